"""The run directory."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from testbed.model.errors import BothendsError, UsageError
from testbed.rundir.layout import RunDirectory, find, what_to_do


def _made(root: Path, run_id: str) -> RunDirectory:
    directory = RunDirectory.create(root, "echo", run_id)
    directory.write_json("manifest.json", {"run": run_id})
    directory.point_latest()
    return directory


def test_latest_points_to_the_newest_and_is_relative(tmp_path: Path) -> None:
    """So that the whole runs/ can be moved or copied."""
    _made(tmp_path, "00000001")
    second = _made(tmp_path, "00000002")
    latest = tmp_path / "runs/echo/latest"
    assert latest.resolve() == second.path
    assert not latest.readlink().is_absolute()
    assert second.run_id == "00000002"
    assert second.scenario == "echo"


@pytest.mark.parametrize("name", ["0badcafe", "echo/latest"])
def test_a_run_is_found_by_id_and_by_latest(tmp_path: Path, name: str) -> None:
    made = _made(tmp_path, "0badcafe")
    found = find(name, tmp_path)
    assert found is not None
    assert found.path == made.path


def test_a_run_is_found_by_its_directory(tmp_path: Path) -> None:
    made = _made(tmp_path, "0badcafe")
    found = find(str(made.path), tmp_path / "elsewhere")
    assert found is not None
    assert found.path == made.path


def test_what_is_no_run_is_not_found(tmp_path: Path) -> None:
    assert find("echo", tmp_path) is None
    (tmp_path / "empty").mkdir()
    assert find(str(tmp_path / "empty"), tmp_path) is None


def test_an_artefact_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """A value that is no JSON leaves the old file as it was."""
    made = _made(tmp_path, "0badcafe")
    with pytest.raises(TypeError):
        made.write_json("manifest.json", {"bad": object()})
    assert made.read_json("manifest.json") == {"run": "0badcafe"}
    assert sorted(path.name for path in made.path.iterdir()) == ["manifest.json"]


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file, not a folder")
    with pytest.raises(BothendsError, match="cannot make the run directory"):
        RunDirectory.create(tmp_path, "echo", "0badcafe")


def test_a_broken_artefact_is_said(tmp_path: Path) -> None:
    made = _made(tmp_path, "0badcafe")
    made.file("manifest.json").write_text("{")
    with pytest.raises(UsageError, match="cannot be read"):
        made.read_json("manifest.json")


@pytest.mark.parametrize(
    ("number", "hint"), [(errno.ENOSPC, "free disk space"), (errno.EROFS, "make the file system writable")]
)
def test_what_to_do_about_a_place_depends_on_why_it_cannot_be_written(number: int, hint: str) -> None:
    assert what_to_do(OSError(number, "x")) == hint


def test_a_file_in_the_way_of_the_runs_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("", encoding="utf-8")
    with pytest.raises(BothendsError, match="cannot make the run directory") as caught:
        RunDirectory.create(tmp_path, "echo", "0123abcd")
    assert caught.value.hint.startswith("move the file that stands in the way")
