"""What the Atlas says of a run, how two of them compare, and that foreign text stays text."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from dev.bench.long_run import long_run
from testbed.atlas.atlas import differences, to_json
from testbed.atlas.atlas_markdown import render as to_markdown
from testbed.atlas.atlas_page import render as to_page
from testbed.atlas.call_facts import compared, facts, rows
from testbed.atlas.groups import GROUPS, group_of
from testbed.atlas.picture import draw
from testbed.model.errors import UsageError
from tests.builders.atlases import atlas
from tests.builders.runs import origin


def test_each_call_has_its_packets() -> None:
    """connect: the handshake; the sends that left together say so."""
    found = {(fact.host, fact.text): fact for fact in facts(origin())}
    (connect,) = (fact for (_, text), fact in found.items() if text.startswith("connect"))
    assert [text.split()[1] for text in connect.packets] == ["S", "S.", "."]
    assert connect.wire == connect.packets[:2]
    together = [fact for fact in found.values() if any("(of 3 calls)" in text for text in fact.packets)]
    assert {fact.name for fact in together} == {"send", "close"}


def test_what_is_compared_holds_no_time() -> None:
    """The same run, later and slower, is the same."""
    analysis = origin()
    joined = analysis.inputs.joined
    later = tuple(
        replace(
            each, sent=each.sent and each.sent + 7_000 * each.n, arrived=each.arrived and each.arrived + 7_001 * each.n
        )
        for each in joined.crossings
    )
    slower = replace(analysis, inputs=replace(analysis.inputs, joined=replace(joined, crossings=later)))
    assert compared(slower, exact=True) == compared(analysis, exact=True)


def test_an_atlas_is_the_same_as_itself_and_as_one_with_more_kinds() -> None:
    """What TCP may do in two ways is no difference as long as one way is common."""
    one = to_json(atlas())
    other = copy.deepcopy(one)
    kind = copy.deepcopy(other["entries"][0]["kinds"][0])
    kind["compared"]["calls"] = ["client send: in another way"]
    other["entries"][0]["kinds"].insert(0, kind)
    assert differences(one, one) == []
    assert differences(one, other) == differences(other, one) == []


@pytest.mark.parametrize("facet", ["calls", "causes", "segments"])
def test_another_line_is_a_difference_and_is_shown_both_ways(facet: str) -> None:
    before: dict[str, Any] = to_json(atlas())
    now = copy.deepcopy(before)
    lines = now["entries"][0]["kinds"][0]["compared"][facet]
    gone, lines[0] = lines[0], "client did something else"
    (found,) = differences(before, now)
    assert found.name == "origin"
    assert found.lines == (f"{facet}: - {gone}", f"{facet}: + client did something else")


@pytest.mark.parametrize(
    ("outcomes", "why"),
    [
        ({"unsupported": 2}, "it cannot be run there (unsupported)"),
        ({"unsupported": 1, "inconclusive": 1}, "no run of it could be carried through"),
    ],
)
def test_a_scenario_that_only_one_has_is_a_difference(outcomes: dict[str, int], why: str) -> None:
    before: dict[str, Any] = to_json(atlas())
    now = copy.deepcopy(before)
    now["entries"][1] |= {"kinds": [], "outcomes": outcomes}
    del now["entries"][0]
    assert [each.lines for each in differences(before, now)] == [
        (f"now: {why}",),
        ("only in the earlier Atlas",),
    ]
    assert [each.lines[0] for each in differences(now, before)] == [
        f"before: {why}",
        "not in the earlier Atlas",
    ]


@pytest.mark.parametrize("value", [[], {}, {"format": "bothends-result/1"}])
def test_what_is_no_atlas_is_told(value: Any) -> None:
    with pytest.raises(UsageError, match="no Atlas"):
        differences(value, value)


def test_a_picture_has_an_arrow_for_each_packet_and_names_the_calls() -> None:
    picture = draw(rows(origin()))
    assert len(picture.arrows) == len(origin().inputs.joined.crossings)
    words = [text.words for text in picture.texts]
    assert any(text.startswith("connect(") for text in words)
    assert "send + send + close" in words


def test_a_long_run_is_cut_in_the_middle_and_says_so() -> None:
    analysis, _ = long_run(200)
    found = rows(analysis)
    assert len(found) <= 18
    shown = sum(row.packet is not None for row in found)
    (cut,) = (row.gap for row in found if "more packets" in row.gap)
    assert int(cut.split()[0]) + shown == len(analysis.inputs.joined.crossings)


def test_hostile_text_never_becomes_markup() -> None:
    """Neither in HTML nor in Markdown, whose tables and code stay whole."""
    page = to_page(atlas())
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page
    text = to_markdown(atlas())
    assert "\x1b" not in page + text
    assert "\u202e" not in page + text
    prose = [line for line in text.splitlines() if "alert(1)" in line and "`" not in line and "script" in line]
    assert [line for line in prose if "<script>" in line and not line.startswith("<script>")] == []


def test_every_group_is_reached_by_its_tags() -> None:
    for group in GROUPS:
        for tag in group.tags:
            assert group_of([tag]) == group
    assert group_of(["close", "send"]).anchor == "close"
    assert group_of(["send", "loss"]).anchor == "path"
    assert group_of([]).anchor == "others"
