"""YAML text as values with places: what is read, what is refused, and that nothing makes it crash."""

from __future__ import annotations

import datetime as dt
import string
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.model.errors import ScenarioError
from testbed.scenario.language.scalars import resolve
from testbed.scenario.language.yaml_source import Position, SourceText, decode, read
from testbed.scenario.load import parse

GOOD = b"summary: x\nserver: {command: a}\nclient: {steps: [{connect: 'server:1'}, {send: c}, {close: }]}\n"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[("8", 8), ("-1", -1), ("0", 0), ("1.5", 1.5), ("true", True), ("False", False), ("~", None), ("", None)],
        *[("null", None), ("server:10011", "server:10011"), (":5000", ":5000"), ("1.2.3.4", "1.2.3.4")],
        *[("30s", "30s"), ("8MiB", "8MiB"), ("n", "n"), ("y", "y"), ("c", "c"), ("=", "="), (">=1", ">=1")],
    ],
)
def test_what_yaml_versions_agree_on_is_taken(text: str, value: object) -> None:
    got, message, _ = resolve(text)
    assert (got, type(got), message) == (value, type(value), "")


@pytest.mark.parametrize(
    "text",
    [
        *["no", "No", "NO", "yes", "on", "Off", "010", "08", "-07", "22:22", "190:20:30", "1:30.5", "0x1F", "0b1"],
        *[
            "0o17",
            "+5",
            "1_000",
            "1e3",
            "1.5e3",
            "0_.",
            "+.5",
            "1.",
            "2024-01-01",
            "2001-12-14 21:59:43",
            ".inf",
            "-.INF",
            ".nan",
        ],
    ],
)
def test_what_yaml_versions_read_differently_is_refused(text: str) -> None:
    assert resolve(text)[1]


@settings(max_examples=2000)
@given(st.text(alphabet=string.digits + "+-._:eExobnfayNOSTrult ", min_size=1, max_size=8))
def test_what_is_taken_means_the_same_to_pyyaml(text: str) -> None:
    """No plain scalar is taken as something else than PyYAML (YAML 1.1) takes it for."""
    value, message, _ = resolve(text)
    try:
        theirs: Any = yaml.safe_load(f"[{text}]")[0]
    except (yaml.YAMLError, ValueError, IndexError):
        return
    is_plain = isinstance(theirs, (str, int, float, dt.date, type(None))) and text == text.strip()
    if is_plain and not message and text != "=" and ": " not in text:
        assert (value, type(value)) == (theirs, type(theirs))


def test_keys_are_text_whatever_they_look_like() -> None:
    root, problems = read("{on: 1, 10: 2, no: 3, true: 4}")
    assert root is not None
    assert (root.plain(), problems) == ({"on": 1, "10": 2, "no": 3, "true": 4}, [])


def test_places_of_keys_values_and_items() -> None:
    root, _ = read("a: 1\nb:\n  - x\n  - {c: y}\n")
    assert root is not None
    assert root.find(("a",), key=True) == Position(0, 0)
    assert root.find(("a",)) == Position(0, 3)
    assert root.find(("b", 1, "c")) == Position(3, 8)
    assert root.find(("b", 1, "nothing", "below")) == Position(3, 4)


def test_an_alias_stands_for_what_it_names() -> None:
    root, problems = read("a: &x {k: [1, 2]}\nb: *x\n")
    assert root is not None
    assert (root.plain(), problems) == ({"a": {"k": [1, 2]}, "b": {"k": [1, 2]}}, [])


def test_a_chain_of_aliases_cannot_grow_deep() -> None:
    """Each level nests only once, so that only the followed aliases are deep."""
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 2000))]
    root, problems = read("\n".join(lines))
    assert root is None
    assert "levels of nesting" in problems[-1].message


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert decode("\ufeffa: 1".encode()) == ("a: 1", None)


def test_lines_end_where_yaml_says() -> None:
    """Marks count CR, CRLF, NEL and the Unicode separators; what is shown must agree."""
    text = "a: 1\r\nb: 2\rc: 3\x85d: 4\u2028e: no\n"
    root, problems = read(text)
    assert root is not None
    assert problems[0].mark == Position(4, 3)
    assert "5 | e: no" in SourceText("x", text).report(problems)


def test_a_file_that_is_too_large_is_not_read() -> None:
    with pytest.raises(ScenarioError, match="at most 1048576"):
        parse(b"#" * (1 << 21), name="x", path=__file__, shown="x")  # type: ignore[arg-type]


def test_too_many_problems_are_counted() -> None:
    text = "tags: [" + "no, " * 60 + "]"
    _, problems = read(text)
    assert SourceText("x", text).report(problems).endswith("x: 10 more problems")


def only_a_scenario_error(data: bytes) -> None:
    try:
        parse(data, name="x", path=__file__, shown="x.yaml")  # type: ignore[arg-type]
    except ScenarioError as error:
        assert str(error).startswith("x.yaml:")  # noqa: PT017 - not raising is as good


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_no_bytes_crash_it(data: bytes) -> None:
    only_a_scenario_error(data)


@settings(max_examples=500)
@given(st.data())
def test_no_damage_to_a_good_file_crashes_it(data: st.DataObject) -> None:
    """Some bytes replaced, by YAML's own characters as often as not."""
    start = data.draw(st.integers(0, len(GOOD)))
    end = data.draw(st.integers(start, min(len(GOOD), start + 8)))
    new = data.draw(st.text(alphabet="{}[]:,-&*!|>'\"%@#? \n\t0a~\x00\x85é", max_size=8)).encode()
    only_a_scenario_error(GOOD[:start] + new + GOOD[end:])
