"""Scenarios are found by name or path, and a wrong name says which was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.model.errors import UsageError
from testbed.scenario.catalogue import all_scenarios, find, tagged
from testbed.scenario.load import load

ROOT = Path(__file__).parents[3]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "scenarios").mkdir()
    for name in ("server-drains.yaml", "echo.yml", "notes.txt"):
        (tmp_path / "scenarios" / name).write_text("summary: x\n", encoding="utf-8")
    return tmp_path


def test_all_are_listed_by_name(root: Path) -> None:
    assert [path.name for path in all_scenarios(root)] == ["echo.yml", "server-drains.yaml"]


def test_a_name_and_a_path_lead_to_the_file(root: Path) -> None:
    file = root / "scenarios" / "echo.yml"
    assert find("echo", root) == file
    assert find(str(file), Path("/nowhere")) == file


@pytest.mark.parametrize(
    ("name", "hint"),
    [("ehco", "did you mean echo?"), ("server-drain", "did you mean server-drains?"), ("qqq", "`invoke list` shows")],
)
def test_an_unknown_name_suggests_the_nearest(root: Path, name: str, hint: str) -> None:
    with pytest.raises(UsageError, match=f"there is no scenario `{name}`") as caught:
        find(name, root)
    assert caught.value.hint.startswith(hint)


def test_an_unknown_path_suggests_the_nearest_file_beside_it(root: Path) -> None:
    with pytest.raises(UsageError) as caught:
        find(str(root / "scenarios" / "ecko.yml"), root)
    assert caught.value.hint == "did you mean echo.yml?"


def test_scenarios_are_chosen_by_tags() -> None:
    scenarios = [load(path) for path in all_scenarios(ROOT)]
    assert tagged(scenarios, ()) == scenarios
    names = [scenario.name for scenario in tagged(scenarios, ("time-wait", "zerocopy"))]
    assert "time-wait" in names
    assert "zerocopy" in names
    assert "echo" not in names
    with pytest.raises(UsageError, match="no scenario has the tag `rset`") as caught:
        tagged(scenarios, ("rset",))
    assert "did you mean reset" in caught.value.hint
