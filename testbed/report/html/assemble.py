"""Self-contained pages: a template, with style sheets, scripts and data put inside.

Every page carries a Content-Security-Policy that lets nothing be fetched, and no script run but those whose digests it
names: should hostile text ever become markup, it stays without effect.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Callable, Sequence
from importlib import resources
from typing import TYPE_CHECKING

from testbed.report.text.terminal_text import escape

if TYPE_CHECKING:
    from jinja2 import Environment

_PACKAGE = "testbed.report.html"


def page(template: str, *, scripts: Sequence[str], styles: Sequence[str], data: str, **values: object) -> str:
    """Return a page made of ``templates/<template>``, ``assets/<script>.js`` and ``assets/<style>.css``.

    ``data`` (base64) goes into an element ``#data``. Other values are the template's; every text is escaped.
    """
    script = _script(tuple(scripts))
    style = "\n".join(_asset(f"{name}.css") for name in styles)
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    return _environment().get_template(template).render(policy=policy, script=script, style=style, data=data, **values)


def compiling(*names: str) -> Callable[[], None]:
    """Return what compiles templates before a page is made of them; it imports nothing."""
    get = _environment().get_template

    def compile_all() -> None:
        for name in names:
            get(name)

    return compile_all


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(_PACKAGE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["plain"] = escape
    return environment


@functools.cache
def _script(names: tuple[str, ...]) -> str:
    """Return the scripts as one: they share a scope of their own and leave nothing in the page's."""
    return '(() => {\n"use strict";\n' + "\n".join(_asset(f"{name}.js") for name in names) + "\n})();\n"


@functools.cache
def _asset(name: str) -> str:
    return resources.files(_PACKAGE).joinpath("assets", name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """Return the digest by which a policy names an element's text."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
