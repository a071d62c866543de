"""Variants of a scenario: settings in its tree, expectations that are for some of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from testbed.model.errors import ScenarioError
from testbed.scenario.load import parse
from testbed.scenario.scenario import Scenario
from testbed.scenario.variants import apply, combinations, split

TEXT = """
summary: x
matrix: {observe.client: [probe, none], client.sysctl.net.ipv4.tcp_sack: [0, 1]}
server: {steps: [{listen: 10011}, {accept: }]}
client: {steps: [{connect: "server:10011"}, {send: c}]}
expect:
  - {segments: {client: [c]}, in: 99.5%}
  - {call: connect, result: 0, when: {observe.client: probe}}
"""


def load(text: str = TEXT, **settings: Any) -> Scenario:
    given = {path.replace("__", "."): value for path, value in settings.items()}
    return parse(text.encode(), name="x", path=Path("x.yaml"), shown="x.yaml", settings=given)


def test_paths() -> None:
    """Keys and positions; the name of a sysctl is one key."""
    assert split("client.steps.1.send") == ("client", "steps", 1, "send")
    assert split("client.sysctl.net.ipv4.tcp_sack") == ("client", "sysctl", "net.ipv4.tcp_sack")


def test_every_combination_the_last_fastest() -> None:
    """A matrix gives its product; none gives one variant without settings."""
    assert list(combinations({"a": [1, 2], "b": [3, 4]})) == [
        {"a": 1, "b": 3},
        {"a": 1, "b": 4},
        {"a": 2, "b": 3},
        {"a": 2, "b": 4},
    ]
    assert list(combinations({})) == [{}]


def test_the_original_is_not_changed() -> None:
    """Settings go into a copy."""
    tree = {"client": {"steps": [{"send": "c"}]}}
    assert apply(tree, {"client.steps.0.send": "d"}) == {"client": {"steps": [{"send": "d"}]}}
    assert tree == {"client": {"steps": [{"send": "c"}]}}


def test_without_settings_the_first_of_each() -> None:
    """A scenario with a matrix is its first variant until another is chosen."""
    scenario = load()
    assert scenario.settings == {"observe.client": "probe", "client.sysctl.net.ipv4.tcp_sack": 0}
    assert scenario.client.sysctl == {"net.ipv4.tcp_sack": "0"}
    assert len(scenario.expect) == 2
    assert scenario.expect[0].share == pytest.approx(0.995)


def test_expectations_are_for_their_variants() -> None:
    """`when` leaves an expectation out of the others, and so it is no mistake there."""
    scenario = load(observe__client="none")
    assert scenario.observe.client == "none"
    assert [expectation.where for expectation in scenario.expectations] == ["x.yaml:7"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"observe.nobody": "probe"}, "unknown key `nobody`"),
        ({"observe.client": "dtrace"}, "`dtrace` is not allowed here"),
        ({"client.steps.7.send": "c"}, "`client.steps.7.send` leads nowhere"),
        ({"expect.0.segments": "c"}, "cannot be varied"),
    ],
)
def test_wrong_settings_are_told(settings: dict[str, Any], message: str) -> None:
    """A setting that leads nowhere or does not fit is a scenario's error."""
    with pytest.raises(ScenarioError, match=message):
        parse(TEXT.encode(), name="x", path=Path("x.yaml"), shown="x.yaml", settings=settings)


def test_a_copy_without_expectations_expects_nothing() -> None:
    """Also when the original's were compiled before: `--compare-observers` and `step` change what is observed."""
    scenario = load()
    assert len(scenario.expectations) == 2
    bare = scenario.without_expectations()
    assert bare.expectations == ()
    assert (bare.name, bare.client) == (scenario.name, scenario.client)
