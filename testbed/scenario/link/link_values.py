"""The small types of the link: spans of time, probabilities, rates, numbers and sizes of packets, ranges of bytes."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

from testbed.scenario.language.base import Parsed, shown
from testbed.scenario.language.values import Size

_NUMBER = "(?:0|[1-9][0-9]{0,11})"
_SPAN_NS = {
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
}
_UNITS = "|".join(_SPAN_NS)
_RATES = {"bit": 1, "kbit": 10**3, "Mbit": 10**6, "Gbit": 10**9}
LONGEST_NS = 7 * 86_400_000_000_000


def span_ns(value: object) -> int:
    """Return a span such as 200us, 5ms or 2s in nanoseconds. Raises ValueError (message, hint)."""
    match = re.fullmatch(f"({_NUMBER})({_UNITS})", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{shown(value)} is not a duration", "a whole number with its unit: 200us, 5ms, 2s, 1m or 2h")
    length = int(match[1]) * _SPAN_NS[match[2]]
    if length > LONGEST_NS:
        raise ValueError(f"{shown(value)} is longer than a week")
    return length


def _probability(value: object) -> float:
    hint = "from 0 to 1, or in percent: 0.01 or 1%"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        number = float(value)
    else:
        match = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)%", value) if isinstance(value, str) else None
        if match is None:
            raise ValueError(f"{shown(value)} is not a probability", hint)
        number = float(match[1]) / 100
    if not 0 <= number <= 1:
        raise ValueError(f"{shown(value)} is not a probability", hint)
    return number


def _rate(value: object) -> int:
    match = re.fullmatch(f"({_NUMBER})(bit|kbit|Mbit|Gbit)", value) if isinstance(value, str) else None
    if match is None or not int(match[1]):
        raise ValueError(f"{shown(value)} is not a rate", "bits per second: 500kbit, 10Mbit or 1Gbit")
    rate = int(match[1]) * _RATES[match[2]]
    if rate > 10**12:
        raise ValueError(f"{shown(value)} is more than 1000 Gbit")
    return rate


def _byte_range(value: object) -> tuple[int, int]:
    match = re.fullmatch(f"({_NUMBER})-({_NUMBER})", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{shown(value)} is not a range of bytes", "the first and the last, from 0: 0-99")
    first, last = int(match[1]), int(match[2])
    if last < first:
        raise ValueError(f"{shown(value)} ends before it begins")
    return first, last


def _many(value: object) -> int:
    if value == "all":
        return 0
    if type(value) is not int or value < 1:
        raise ValueError(f"{shown(value)} is not a number of packets", "1, 2, ... or all")
    return value


Span = Annotated[int, Parsed(span_ns, {"type": "string", "pattern": f"^{_NUMBER}({_UNITS})$"})]
"""Nanoseconds, written 200us, 5ms, 2s or 1m."""
Probability = Annotated[
    float,
    Parsed(
        _probability,
        {"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "string", "pattern": r"^[0-9.]+%$"}]},
    ),
]
"""0 to 1, written 0.01 or 1%."""
Rate = Annotated[int, Parsed(_rate, {"type": "string", "pattern": f"^{_NUMBER}(bit|kbit|Mbit|Gbit)$"})]
"""Bits per second, written 500kbit, 10Mbit or 1Gbit."""
ByteRange = Annotated[tuple[int, int], Parsed(_byte_range, {"type": "string", "pattern": f"^{_NUMBER}-{_NUMBER}$"})]
"""The first and the last offset in the stream, from 0: 0-99."""
Many = Annotated[int, Parsed(_many, {"anyOf": [{"type": "integer", "minimum": 1}, {"const": "all"}]})]
"""How many packets; ``all`` is 0 once loaded."""
PacketSize = Annotated[Size, Field(ge=68, le=65535)]
"""Bytes of an IP packet; 68 is the least that every link must carry (RFC 791)."""
PayloadSize = Annotated[Size, Field(le=65535)]
"""Bytes of a packet's payload."""
