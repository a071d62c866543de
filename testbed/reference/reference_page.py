"""The whole page: ``page.md.j2`` with the tables in it."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from testbed.reference import tables
from testbed.scenario import scenario
from testbed.scenario.expect import all_expectations, packet_patterns
from testbed.scenario.language import kernel_names
from testbed.scenario.link import faults, impairments, link_model

PAGE = Path(__file__).parents[2] / "docs" / "scenarios.md"


def text() -> str:
    """Return the page as Markdown."""
    # No markup can come in: all of it is ours, and it is Markdown.
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)  # noqa: S701
    template = environment.from_string(resources.files("testbed.reference").joinpath("page.md.j2").read_text("utf-8"))
    page = template.render(
        t=tables,
        expect=all_expectations,
        link=link_model,
        impairments=impairments,
        faults=faults,
        model=scenario,
        names=kernel_names,
        packets=packet_patterns,
    )
    return re.sub(r"\n{3,}", "\n\n", page).strip() + "\n"


def anchor(heading: str) -> str:
    """Return the anchor that GitHub gives to a heading."""
    return re.sub(r"[^a-z0-9 _-]", "", heading.lower()).strip().replace(" ", "-")
