"""The small types about what is the user's own in a host: paths here, paths there, packages, the name of a user."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import Annotated, NamedTuple

from testbed.scenario.language.base import Parsed, shown
from testbed.scenario.language.values import Port, as_text, port_number

_OUR_DIRECTORIES = ("/opt/bothends", "/opt/bothends-debugger", "/run", "/tmp", "/proc", "/sys", "/dev")  # noqa: S108
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_WHOLE = ("/", "/etc", "/var", "/opt", "/srv", "/home", "/root")
_PATH_HINT = "relative to the scenario's file: ./app or ../server.py"


class WantedFiles(NamedTuple):
    """What is copied into a host: pairs of a path here and a path there. ``alone``: written as one path only."""

    pairs: tuple[tuple[str, str], ...] = ()
    alone: bool = False


def _own_path(value: object) -> str:
    """Read a path of the user's own, relative to the scenario's file."""
    text = as_text(value)
    if not re.fullmatch(r"\.{1,2}(/.*)?", text) or any(not char.isprintable() for char in text):
        raise ValueError(f"{shown(value)} is not a path of your own", _PATH_HINT)
    return text


def _inside_path(value: object) -> str:
    """Read an absolute path in a host."""
    text = as_text(value)
    if not text.startswith("/") or any(not char.isprintable() for char in text):
        raise ValueError(f"{shown(value)} is not a path in the host", "absolute: /app")
    return posixpath.normpath(text).replace("//", "/")


def _target(value: object) -> str:
    """Read a path in a host at which something of the user's own may be."""
    path = _inside_path(value)
    if path in _WHOLE:
        raise ValueError(f"nothing of your own can be all of `{path}`", f"name what is in it: {path.rstrip('/')}/app")
    for taken in (*_OUR_DIRECTORIES, *_SYSTEM):
        if path == taken or path.startswith(f"{taken}/"):
            whose = "is made new for each run" if taken in _OUR_DIRECTORIES else "belongs to the system"
            raise ValueError(
                f"nothing of your own can be at `{path}`: {taken} {whose}", "such as /app, /srv/www or /etc/app"
            )
    return path


def _files(value: object) -> WantedFiles:
    """Read what is wanted; what is wrong with one of its paths is found by :func:`wrong_files`, with its place."""
    if isinstance(value, WantedFiles):
        return value
    if isinstance(value, dict):
        return WantedFiles(tuple((as_text(source), as_text(target)) for source, target in value.items()))
    if isinstance(value, list):
        return WantedFiles(tuple((as_text(each), "") for each in value))
    return WantedFiles((_beside(value),), alone=True)


def wrong_files(wanted: WantedFiles) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    """Yield what is wrong with the paths: the place below ``files``, a message and a hint."""
    for index, (source, target) in enumerate(wanted.pairs):
        try:
            if target:
                _own_path(source)
                _target(target)
            else:
                _beside(source)
        except ValueError as error:
            yield (source, index) if not wanted.alone else (), str(error.args[0]), "".join(error.args[1:])


def placed_files(wanted: WantedFiles) -> list[tuple[str, str]]:
    """Return the pairs, with the place of those of which nothing is said."""
    return [(source, posixpath.normpath(target)) if target else _beside(source) for source, target in wanted.pairs]


def _beside(value: object) -> tuple[str, str]:
    """Return a path of the user's own, and where it is if nothing is said of that: at the top, under its own name."""
    source = _own_path(value)
    name = posixpath.basename(posixpath.normpath(source))
    if name in ("", ".", ".."):
        raise ValueError(f"{shown(value)} has no name of its own", "say where it shall be: {.: /app}")
    return source, _target(f"/{name}")


def _packages(value: object) -> tuple[str, ...]:
    if isinstance(value, tuple):
        return value
    names = value if isinstance(value, list) else as_text(value).split()
    for name in names:
        if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", name):
            raise ValueError(
                f"{shown(name)} is not the name of a Debian package", "memcached, or [postgresql, netcat-openbsd]"
            )
    return tuple(names)


def _user(value: object) -> str:
    text = as_text(value)
    if not re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}", text):
        raise ValueError(f"{shown(value)} is not the name of a user", "small letters, digits, - and _")
    return text


def _ports(value: object) -> tuple[int, ...]:
    if isinstance(value, (list, tuple)) and value:
        return tuple(map(port_number, value))
    return (port_number(value),)


_OWN_SCHEMA: dict[str, object] = {"type": "string", "pattern": r"^\.{1,2}(/.*)?$"}
OwnPath = Annotated[str, Parsed(_own_path, _OWN_SCHEMA)]
"""A path relative to the scenario's file."""
InsidePath = Annotated[str, Parsed(_inside_path, {"type": "string", "pattern": "^/"})]
"""An absolute path in a host."""
Files = Annotated[
    WantedFiles,
    Parsed(
        _files,
        {
            "anyOf": [
                _OWN_SCHEMA,
                {"type": "array", "items": _OWN_SCHEMA},
                {"type": "object", "additionalProperties": {"type": "string", "pattern": "^/"}},
            ]
        },
    ),
]
Packages = Annotated[
    tuple[str, ...],
    Parsed(_packages, {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
User = Annotated[str, Parsed(_user, {"type": "string", "pattern": "^[a-z_][a-z0-9_-]{0,31}$"})]
_PORT_SCHEMA: dict[str, object] = {"type": "integer", "minimum": 1, "maximum": 65535}
Ports = Annotated[
    tuple[Port, ...],
    Parsed(_ports, {"anyOf": [_PORT_SCHEMA, {"type": "array", "items": _PORT_SCHEMA, "minItems": 1}]}),
]
