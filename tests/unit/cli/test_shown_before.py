"""What was printed of a run is printed again while neither the run nor the program has changed."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from testbed.cli import shown_before
from testbed.cli.list_show_diff import show
from testbed.cli.shown_before import keeping
from testbed.cli.shown_before import shown_before as before
from testbed.rundir.layout import MANIFEST

ROOT = Path(__file__).parents[3]
RECORDED = next((ROOT / "tests/data/run-v1").rglob(MANIFEST)).parent
WORDS = ("show",)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a run directory, with a cache in which nothing is kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Path(shutil.copytree(RECORDED, tmp_path / "recorded"))


def _kept(run: Path) -> None:
    with keeping(run, WORDS, 1):
        sys.stdout.write("said\n")


def test_a_shown_run_is_shown_again_without_being_worked_out(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second time nothing is analysed, and the text and the exit code are those of the first."""
    first = show(str(run), catalogue=ROOT, runs=run, as_json=False)
    said = capsys.readouterr().out
    assert "client" in said

    def never(*_: object) -> None:
        raise AssertionError("it was worked out again")

    monkeypatch.setattr("testbed.api.runs.analyse_again", never)
    assert show(str(run), catalogue=ROOT, runs=run, as_json=False) == first
    assert capsys.readouterr().out == said
    with pytest.raises(AssertionError):
        show(str(run), catalogue=ROOT, runs=run, as_json=False, full=True)


def test_what_is_kept_is_the_users_own(run: Path, tmp_path: Path) -> None:
    """It is in the user's cache, which nobody else reads, and not in the run directory."""
    names = sorted(path.name for path in run.iterdir())
    _kept(run)
    assert before(run, WORDS) == ("said\n", 1)
    assert sorted(path.name for path in run.iterdir()) == names
    (file,) = (tmp_path / "cache/bothends/shown").iterdir()
    assert file.stat().st_mode & 0o077 == 0


def test_a_changed_run_is_worked_out_again(run: Path) -> None:
    """Bytes changed in place, with the time set back, count as a change; so does a file that is gone."""
    _kept(run)
    capture = run / "client.pcap"
    at = capture.stat()
    data = bytearray(capture.read_bytes())
    data[-1] ^= 1
    capture.write_bytes(data)
    os.utime(capture, ns=(at.st_atime_ns, at.st_mtime_ns))
    assert before(run, WORDS) is None
    _kept(run)
    capture.unlink()
    assert before(run, WORDS) is None


def test_a_page_made_of_the_run_changes_nothing(run: Path) -> None:
    """`invoke report` writes into the run directory what follows from it."""
    _kept(run)
    (run / "report.html").write_text("a page")
    assert before(run, WORDS) == ("said\n", 1)


def test_another_program_or_terminal_works_it_out_again(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other code, another width, another command line."""
    _kept(run)
    assert before(run, ("show", "--full")) is None
    monkeypatch.setenv("COLUMNS", "60")
    assert before(run, WORDS) is None
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(run.parent / "cache"))
    assert before(run, WORDS) is not None
    monkeypatch.setattr(shown_before, "_program", lambda: ["another"])
    assert before(run, WORDS) is None


def test_only_the_newest_are_kept(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache does not grow for ever, and a large text is not kept."""
    monkeypatch.setattr(shown_before, "KEPT", 2)
    for word in "abc":
        with keeping(run, (word,), 0):
            sys.stdout.write(word)
    assert len(list((tmp_path / "cache/bothends/shown").iterdir())) == 2
    assert before(run, ("c",)) == ("c", 0)
    monkeypatch.setattr(shown_before, "LARGEST", 3)
    with keeping(run, WORDS, 0):
        sys.stdout.write("four")
    assert before(run, WORDS) is None


def test_a_cache_that_cannot_be_written_or_read_is_none(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A summary is then worked out each time; broken JSON counts as nothing."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(run / "client.pcap"))
    _kept(run)
    assert before(run, WORDS) is None
    monkeypatch.setenv("XDG_CACHE_HOME", str(run.parent / "cache"))
    _kept(run)
    (file,) = (run.parent / "cache/bothends/shown").iterdir()
    file.write_text("[")
    assert before(run, WORDS) is None
