"""JSON as a file of a run directory has it: a line for each item two levels deep.

A person can read and grep it, and it is made by the encoder of CPython that is compiled: that one makes single lines
only, and takes a tenth of the other's time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any


def in_lines(value: Mapping[str, Any]) -> str:
    """Return the text of a file. Raises TypeError for what JSON does not have."""
    return _block("{", (f"{_line(str(key))}: {_lines(each)}" for key, each in value.items()), "", "}") + "\n"


def _lines(value: object) -> str:
    if isinstance(value, dict) and value:
        return _block("{", (f"{_line(str(key))}: {_line(each)}" for key, each in value.items()), " ", "}")
    if isinstance(value, list | tuple) and value:
        return _block("[", map(_line, value), " ", "]")
    return _line(value)


def _block(opening: str, items: Iterable[str], indent: str, closing: str) -> str:
    return f"{opening}\n" + ",\n".join(f"{indent} {item}" for item in items) + f"\n{indent}{closing}"


def _line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
