"""Expectations made wrong in one place each: a check that none of them fails is empty.

A mutant differs from the expectation in one value (a flag, a count, a payload, a result, a figure, a cause), or in the
order of two events. The values are the loaded ones, so that also what no file could say is tried.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel

from testbed.model import peer_of
from testbed.model.expect import NONE, Limits
from testbed.scenario.expect.expectations import (
    NeverExpectation,
    OrderExpectation,
    PacketFigures,
    PacketsExpectation,
)
from testbed.scenario.expect.packet_patterns import Pattern
from testbed.scenario.expect.written_expectation import WrittenExpectation

_OTHER_WORDS = {"flags": "SRU", "has": "SRU", "errno": "EPROTO", "call": "socketpair", "protocol": "sctp"}
_NOT_CHECKED = frozenset({"when", "share", "maybe", "none"})
"""What only allows something, and what is about findings that are not there."""


class Mutant(NamedTuple):
    """What was changed (``packets.0.flags``), and the expectation with it."""

    place: str
    expectation: WrittenExpectation


def mutants(expectation: WrittenExpectation) -> list[Mutant]:
    """Return all mutants of an expectation."""
    found = list(_changed_model(expectation))
    if isinstance(expectation, OrderExpectation):
        events = expectation.order
        for at in range(len(events) - 1):
            swapped = (*events[:at], events[at + 1], events[at], *events[at + 2 :])
            found.append((f"order.{at} after order.{at + 1}", expectation.model_copy(update={"order": swapped})))
    if isinstance(expectation, NeverExpectation):
        found += _loosened(expectation, "never")
        found.append(("there is one", _some(expectation.never)))
    if isinstance(expectation, PacketsExpectation) and expectation.packets.count == NONE:
        found += _loosened(expectation, "packets")
    return [Mutant(place, each) for place, each in found]


def _some(pattern: Pattern) -> PacketsExpectation:
    """Return the contrary of `never`: where no packet crosses at all, no looser pattern finds one either."""
    given = {name: getattr(pattern, name) for name in pattern.model_fields_set}
    figures = PacketFigures.model_construct(_fields_set=set(given), **given)
    return PacketsExpectation.model_construct(_fields_set={"packets"}, packets=figures)


def _loosened(expectation: WrittenExpectation, key: str) -> Iterator[tuple[str, Any]]:
    """Yield the expectation with one condition of its pattern left out: more packets must not be there."""
    pattern = getattr(expectation, key)
    for name in sorted(pattern.model_fields_set - {"count"}):
        given = {each: getattr(pattern, each) for each in pattern.model_fields_set - {name}}
        loose = type(pattern).model_construct(_fields_set=set(given), **given)
        yield f"{key} without {name}", expectation.model_copy(update={key: loose})


def _changed_model(model: BaseModel) -> Iterator[tuple[str, Any]]:
    for name in type(model).model_fields:
        if name in model.model_fields_set and name not in _NOT_CHECKED:
            for place, value in _changed(getattr(model, name), name):
                yield f"{name}{place}", model.model_copy(update={name: value})


def _changed(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield where, below a field of this name, a value is another, and the whole value with it."""
    if isinstance(value, Limits):
        yield "", _outside(value)
    elif isinstance(value, BaseModel):
        yield from ((f".{place}", each) for place, each in _changed_model(value))
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from ((f".{key}{place}", {**value, key: each}) for place, each in _changed(inner, name))
    elif isinstance(value, tuple) and name == "cause":
        yield "", ("another",)
    elif isinstance(value, tuple):
        for at, inner in enumerate(value):
            rest = value[:at], value[at + 1 :]
            yield from ((f".{at}{place}", (*rest[0], each, *rest[1])) for place, each in _changed(inner, name))
            if name not in ("order", "data"):
                yield f" without {at}", (*rest[0], *rest[1])
        if not value and name in ("packets", "segments"):
            yield " not empty", (_something(name),)
        if not value and name == "exactly":
            yield " not empty", ("another",)
    elif isinstance(value, bool):
        yield "", not value
    elif isinstance(value, int):
        yield "", value + 1
    elif isinstance(value, str):
        yield "", _another(value, name)


def _something(name: str) -> BaseModel:
    from testbed.scenario.language.payload import Payload

    return Payload(text="x") if name == "segments" else Pattern.model_validate("client P.")


def _another(value: str, name: str) -> str:
    if value in ("client", "server"):
        return peer_of("client" if value == "client" else "server")
    if name == "hex":
        return value + "00"
    return _OTHER_WORDS.get(name, re.sub(r"$", "~", value))


def _outside(limits: Limits) -> Limits:
    """Return limits that no number within these meets."""
    if limits.most is not None:
        return Limits(limits.most + 1, None, f">{limits.text}")
    assert limits.least is not None
    return Limits(None, limits.least - 1, f"<{limits.text}")
