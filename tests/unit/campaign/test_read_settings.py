"""What `--set` takes: values as a scenario file writes them, commas between them, and where one is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.campaign.read_settings import read_settings
from testbed.model.errors import UsageError


@pytest.mark.parametrize(
    ("written", "values"),
    [
        ("4,6", [4, 6]),
        ("probe, none", ["probe", "none"]),
        ("[4, 6]", [[4, 6]]),
        ("4,[4, 6],[6,4],6", [4, [4, 6], [6, 4], 6]),
        ("[[1, 2], [3]],[]", [[[1, 2], [3]], []]),
        ("{A: 1, B: [x, y]},{}", [{"A": 1, "B": ["x", "y"]}, {}]),
        ("\"a,b\",'c,d',e", ["a,b", "c,d", "e"]),
        ("curl http://{server}/[1]", ["curl http://{server}/[1]"]),
        ("true,null,1.5", [True, None, 1.5]),
    ],
)
def test_commas_are_between_values_and_not_within_one(written: str, values: list[Any]) -> None:
    assert read_settings([f"server.x={written}", "ip=4"]) == {"server.x": values, "ip": [4]}


def test_versions_of_a_kernel_are_text() -> None:
    assert read_settings(["kernel=6.1,6.10"]) == {"kernel": ["6.1", "6.10"]}


@pytest.mark.parametrize("word", ["ip", "=4", "ip="])
def test_a_word_that_is_no_setting(word: str) -> None:
    with pytest.raises(UsageError, match=f"`{word}` is not a setting and its values"):
        read_settings([word])


@pytest.mark.parametrize(
    ("word", "column", "said"),
    [
        ("ip=[4, 6", 9, "broken YAML: expected ',' or ']', but got 'the end'"),
        ("ip=4,[4, 6", 11, "broken YAML: expected ',' or ']', but got 'the end'"),
        ("ip=[4, 6]]", 10, "broken YAML: expected 'document start', but found ']'"),
        ("ip=4,,6", 6, "a value is missing here"),
        ("ip=4,", 6, "a value is missing here"),
        ("offloads=false,yes", 16, "`yes` is true to some YAML parsers and text to others"),
        ("server.x=a: b: c", 14, "broken YAML: mapping values are not allowed here"),
        ("client.env={A: x,, B}", 18, "broken YAML: expected the node content, but found ','"),
    ],
)
def test_what_is_wrong_is_shown_with_its_column_and_a_caret(word: str, column: int, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_settings(["seed=1", word])
    first, shown, caret, *_ = str(caught.value).splitlines()
    assert first == f"--set:1:{column}: {said}"
    assert shown.partition("| ")[2] == word
    assert caret.partition("| ")[2] == " " * (column - 1) + "^"
