"""Limits: how many, how large or how long something must be, written as a number, a limit or a range."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated

from pydantic import PlainSerializer

from testbed.model.expect import Limits
from testbed.scenario.language.base import Parsed, shown
from testbed.scenario.language.values import size_bytes

NUMBER = "(?:0|[1-9][0-9]{0,17})"
_SPANS = {
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
}
_UNITS = "|".join(_SPANS)


def _limits(value: object, one: Callable[[object], float], what: str, hint: str) -> Limits:
    """Read a number that ``one`` reads, a limit (``>=1``, ``<=2``) or a range (``1-4``)."""

    def number(text: str) -> float:
        try:
            return one(int(text) if re.fullmatch(f"-?{NUMBER}", text) else text)
        except ValueError as error:
            raise ValueError(f"{shown(value)} is not a {what}", hint) from error

    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"{shown(value)} is not a {what}", hint)  # noqa: TRY004 - pydantic reads ValueError
    text = str(value)
    match = re.fullmatch(r"(>=|<=)\s*(\S+)", text)
    if match:
        limit = number(match[2])
        return Limits(limit, None, text) if match[1] == ">=" else Limits(None, limit, text)
    first, dash, last = text.partition("-")
    if first and dash:
        low, high = number(first), number(last)
        if high < low:
            raise ValueError(f"{shown(value)} ends before it begins")
        return Limits(low, high, text)
    if isinstance(value, str) and re.fullmatch(f"-?{NUMBER}", value):
        raise ValueError(f"{shown(value)} is not a {what}", hint)
    exact = number(text)
    return Limits(exact, exact, text)


def _whole(value: object) -> int:
    if type(value) is not int:
        raise ValueError
    return value


def _count(value: object) -> Limits:
    if type(value) is int and value < 0:
        raise ValueError(f"{shown(value)} is not a count", _COUNT_HINT)
    return _limits(value, _whole, "count", _COUNT_HINT)


def _result(value: object) -> Limits:
    return _limits(value, _whole, "result", 'a whole number, a limit or a range: 0, -1, ">=1" or 1-4')


def _amount(value: object) -> Limits:
    return _limits(value, size_bytes, "size", 'bytes, a limit or a range: 8, 64KiB, ">=1KiB", "<=8" or 1-8')


def _span(value: object) -> float:
    match = re.fullmatch(f"({NUMBER})({_UNITS})", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError
    return int(match[1]) * _SPANS[match[2]]


def _duration(value: object) -> Limits:
    hint = 'a limit or a range: ">=200ms", "<=1s" or 200ms-1s'
    found = _limits(value, _span, "limit of a duration", hint)
    if found.least == found.most:
        raise ValueError(f"no clock can meet the exact time {shown(value)}", hint)
    return found


def _ratio(value: object) -> Limits:
    def one(number: object) -> float:
        if isinstance(number, int) or (
            isinstance(number, str) and re.fullmatch(r"[0-9]{1,6}(?:\.[0-9]{1,6})?", number)
        ):
            return float(number)
        raise ValueError

    hint = 'a limit or a range: ">=1.5" or 1.5-3'
    found = _limits(value, one, "limit of a ratio", hint)
    if found.least == found.most:
        raise ValueError(f"no clock can meet the exact ratio {shown(value)}", hint)
    return found


def _presence(value: object) -> Limits | bool:
    if isinstance(value, bool):
        return value
    return _limits(value, _whole, "value of an option", 'true, false, a number or a limit: 1460 or ">=1"')


_COUNT_HINT = 'a whole number, a limit or a range: 2, ">=1", "<=2" or 1-4'
_COUNT = rf"^((>=|<=)\s*{NUMBER}|{NUMBER}-{NUMBER})$"
_BYTES = f"{NUMBER}(KiB|MiB|GiB)?"
_TIME = f"{NUMBER}({_UNITS})"
_DECIMAL = r"[0-9]{1,6}(\.[0-9]{1,6})?"
_WHOLE_SCHEMA: dict[str, object] = {"type": "integer", "minimum": 0}


def _pattern(one: str) -> str:
    return rf"^((>=|<=)\s*{one}|{one}-{one})$"


def as_written(value: object) -> object:
    """Return limits as a scenario writes them, any other value as it is."""
    if not isinstance(value, Limits):
        return value
    return int(value.text) if re.fullmatch(f"-?{NUMBER}", value.text) else value.text


_WRITTEN = PlainSerializer(as_written)
CountText = Annotated[
    Limits, Parsed(_count, {"anyOf": [_WHOLE_SCHEMA, {"type": "string", "pattern": _COUNT}]}), _WRITTEN
]
"""How many: 2, ">=1", "<=2" or 1-4."""
Result = Annotated[
    Limits, Parsed(_result, {"anyOf": [{"type": "integer"}, {"type": "string", "pattern": _pattern(NUMBER)}]}), _WRITTEN
]
"""What a call returned: 0, -1, ">=1" or 1-4."""
Amount = Annotated[
    Limits,
    Parsed(_amount, {"anyOf": [_WHOLE_SCHEMA, {"type": "string", "pattern": f"^{_BYTES}$|{_pattern(_BYTES)}"}]}),
    _WRITTEN,
]
"""How many bytes: 8, 64KiB, ">=1KiB", "<=8" or 1-8."""
SpanLimits = Annotated[Limits, Parsed(_duration, {"type": "string", "pattern": _pattern(_TIME)}), _WRITTEN]
"""How long, in nanoseconds once loaded: ">=200ms", "<=1s" or 200ms-1s."""
Ratio = Annotated[Limits, Parsed(_ratio, {"type": "string", "pattern": _pattern(_DECIMAL)}), _WRITTEN]
"""How much more: ">=1.5" or 1.5-3."""
Presence = Annotated[
    Limits | bool,
    Parsed(_presence, {"anyOf": [{"type": "boolean"}, {"type": "integer"}, {"type": "string", "pattern": _COUNT}]}),
    _WRITTEN,
]
"""Whether something is there, or what it is: true, false, 1460 or ">=1"."""
