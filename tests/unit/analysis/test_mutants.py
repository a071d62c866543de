"""The mutation check finds an expectation that cannot fail, and leaves none of the kinds out."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from testbed.scenario.expect.all_expectations import EXPECTATIONS, AnyExpectation
from tests.lab.mutants import mutants

READ: TypeAdapter[Any] = TypeAdapter(AnyExpectation)
EACH: dict[str, dict[str, Any]] = {
    "call": {"call": "connect", "packets": ["client S", "server S."], "result": 0},
    "segments": {"segments": {"client": ["c", {"size": 7}], "server": []}},
    "ledger": {"ledger": {"client": {"written": 8, "content": "equal"}}},
    "crossings": {"crossings": {"lost": ">=1"}},
    "packets": {"packets": {"from": "client", "flags": "S", "count": "1-2"}},
    "never": {"never": {"from": "server", "has": "R"}},
    "order": {"order": ["client S", {"call": "accept", "host": "server"}]},
    "timer": {"timer": {"packets": "client S", "each": ">=1s"}},
    "causes": {"causes": {"unknown": 0}},
    "labels": {"labels": {"client": {"keep_alive": 1}}},
    "exit": {"exit": {"client": 0, "server": "SIGKILL"}},
    "output": {"output": {"client": "200 OK"}},
    "finding": {"finding": {"name": "zero-window", "count": 1, "who": "server program", "connection": 1}},
    "findings": {"findings": {"exactly": ["zero-window"], "maybe": ["tail-loss"]}},
    "verdict": {"verdict": {"fact": "broken-off", "host": "server", "connection": 1, "count": 1}},
}


@pytest.mark.parametrize("name", EXPECTATIONS)
def test_each_kind_of_expectation_has_mutants(name: str) -> None:
    """None is the expectation itself, and each names the place that was changed."""
    expectation = READ.validate_python(EACH[name])
    found = mutants(expectation)
    assert found
    assert len({place for place, _ in found}) == len(found)
    for _, mutant in found:
        assert mutant.model_dump(by_alias=True) != expectation.model_dump(by_alias=True)


def test_places_of_a_call() -> None:
    """Name, each flag and sender, each packet left out, and the result."""
    assert [place for place, _ in mutants(READ.validate_python(EACH["call"]))] == [
        *("call", "packets.0.sender", "packets.0.flags", "packets without 0"),
        *("packets.1.sender", "packets.1.flags", "packets without 1", "result"),
    ]
