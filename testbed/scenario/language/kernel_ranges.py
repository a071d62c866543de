"""Which kernels: a version, a limit, a range, or several limits: ``6.12``, ``<6.5``, ``6.1-6.12``, ``>=6.1 <6.5``."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import PlainSerializer

from testbed.model.kernel_versions import COMPARISONS, KernelRange, KernelVersion
from testbed.scenario.language.base import Parsed, shown

_VERSION = r"[0-9]{1,4}\.[0-9]{1,4}(?:\.[0-9]{1,4})?"
_HOW = "|".join(COMPARISONS)
_HINT = 'a quoted version, a limit, a range or several limits: "6.12", "<6.5", "6.1-6.12" or ">=6.1 <6.5"'


def _range(value: object) -> KernelRange:
    if isinstance(value, float):
        message = f"{shown(value)} is a number, in which 6.1 and 6.10 are the same"
        raise ValueError(message, 'with quotes: "6.10"')  # noqa: TRY004 - pydantic reads ValueError
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} says no kernels", _HINT)  # noqa: TRY004 - pydantic reads ValueError
    if match := re.fullmatch(f"({_VERSION})-({_VERSION})", value):
        first, last = _version(match[1]), _version(match[2])
        if last < first:
            raise ValueError(f"{shown(value)} ends before it begins")
        return KernelRange(((">=", first), ("<=", last)), value)
    bounds = []
    for word in re.sub(r"([<>]=?)\s+", r"\1", value).split():
        match = re.fullmatch(f"({_HOW})({_VERSION})", word)
        if match is None:
            raise ValueError(f"{shown(value)} says no kernels", _HINT)
        bounds.append((match[1], _version(match[2])))
    if not bounds:
        raise ValueError(f"{shown(value)} says no kernels", _HINT)
    return KernelRange(tuple(bounds), value)


def _version(text: str) -> KernelVersion:
    return tuple(map(int, text.split(".")))


_SCHEMA = rf"^\s*({_VERSION}-{_VERSION}|(<|<=|>|>=)?\s*{_VERSION}(\s+(<|<=|>|>=)\s*{_VERSION})*)\s*$"
KernelRangeText = Annotated[
    KernelRange, Parsed(_range, {"type": "string", "pattern": _SCHEMA}), PlainSerializer(str, return_type=str)
]
"""Which kernels: "6.12", "<6.5", "6.1-6.12" or ">=6.1 <6.5"."""
