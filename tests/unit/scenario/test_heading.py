"""A scenario's heading is read without the rest of the file, and is what the whole file says."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.model.errors import ScenarioError, UsageError
from testbed.scenario.catalogue import all_scenarios
from testbed.scenario.heading import Heading, heading
from testbed.scenario.load import load

ROOT = Path(__file__).parents[3]
CATALOGUE = all_scenarios(ROOT)


def test_of_the_whole_catalogue() -> None:
    assert len(CATALOGUE) > 100
    for path in CATALOGUE:
        scenario = load(path)
        assert heading(path) == Heading(scenario.name, scenario.summary, scenario.tags)


def test_what_follows_the_heading_is_not_checked(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("summary: x\ntags: [a, b]\nclient: {stepz: []}\n: [")
    assert heading(path) == Heading("mine", "x", ("a", "b"))


def test_a_file_without_tags_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    whole = next(path for path in CATALOGUE if path.stem == "echo").read_text(encoding="utf-8")
    path.write_text("".join(line for line in whole.splitlines(keepends=True) if not line.startswith("tags:")))
    assert heading(path).tags == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("tags: [a]\nclient: {}\n", "summary"),
        ("summary: [x]\ntags: [a]\n", "not a list"),
        ("summary: x\ntags: {a: b}\n", "tags"),
        ("summary: x\ntags: [1]\n", "expected text, not `1`"),
        ("summary: x\nsummary: y\ntags: [a]\n", "duplicate key"),
        ("summary: \x00\n", "control character"),
        ("- summary", "not a list"),
    ],
)
def test_a_wrong_heading_is_reported_with_all_that_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ScenarioError, match=said):
        heading(path)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        heading(tmp_path / "nowhere.yaml")
