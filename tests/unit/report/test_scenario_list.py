"""The catalogue as a table: whole lines in a pipe, wrapped summaries on a terminal."""

from __future__ import annotations

from testbed.report.text.scenario_list import scenario_list

TWO = [("echo", "One two three four five six seven eight nine ten", ("open", "close")), ("b", "Short\x1b[1m", ())]


def test_a_line_each() -> None:
    assert list(scenario_list(TWO, None)) == [
        "scenario  summary                                           tags",
        "echo      One two three four five six seven eight nine ten  open close",
        "b         Short\\x1b[1m",
    ]


def test_summaries_are_wrapped_to_the_width() -> None:
    assert list(scenario_list(TWO, 52)) == [
        "scenario  summary                         tags",
        "echo      One two three four five six     open close",
        "          seven eight nine ten",
        "b         Short\\x1b[1m",
    ]


def test_a_summary_keeps_some_room_on_a_narrow_terminal() -> None:
    assert max(map(len, scenario_list(TWO, 10))) == len("echo      One two three four five six     open close")
