"""Variants of a scenario: settings that replace values in its tree before it is checked. Pure.

A setting is a path and a value: ``observe.client: none``, ``client.steps.1.send: hello``. The parts of a path are keys
and, in lists, positions from 0. Names of sysctls hold dots themselves: what follows ``sysctl.`` or ``env.`` is one key.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_WHOLE = ("sysctl", "env")
"""Keys whose own keys are names with dots."""
FIXED = ("matrix", "expect", "summary", "tags", "about")
"""What no setting may change: a variant is of the same scenario."""


def split(path: str) -> tuple[str | int, ...]:
    """Return the parts of a path; digits become positions."""
    parts: list[str | int] = []
    rest = path
    while rest:
        part, _, rest = rest.partition(".")
        parts.append(int(part) if part.isdecimal() else part)
        if part in _WHOLE and rest:
            parts.append(rest)
            break
    return tuple(parts)


def combinations(matrix: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Yield every combination of a matrix, the last key varying fastest; one empty one for an empty matrix."""
    for values in itertools.product(*matrix.values()):
        yield dict(zip(matrix, values, strict=True))


def apply(tree: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a scenario's plain tree with the settings in it.

    Raises ValueError (message, hint, path) for a path that leads nowhere.
    """
    changed = copy.deepcopy(dict(tree))
    for path, value in settings.items():
        _put(changed, path, value)
    return changed


def _put(tree: dict[str, Any], path: str, value: object) -> None:
    parts = split(path)
    if not parts or parts[0] in FIXED:
        raise ValueError(f"`{path}` cannot be varied", f"anything but {', '.join(FIXED)}", path)
    at: Any = tree
    for part in parts[:-1]:
        if isinstance(at, dict) and isinstance(part, str):
            at = at.setdefault(part, {})
        elif isinstance(at, list) and isinstance(part, int) and part < len(at):
            at = at[part]
        else:
            raise ValueError(f"`{path}` leads nowhere", f"there is no `{part}`", path)
    last = parts[-1]
    is_item = isinstance(at, list) and isinstance(last, int) and last < len(at)
    if not is_item and not (isinstance(at, dict) and isinstance(last, str)):
        raise ValueError(f"`{path}` leads nowhere", f"there is no `{last}`", path)
    at[last] = value
