"""The check that nothing observable changed can fail: what it must find is put there, in JSON and in a kept run."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dev import same_values
from dev.sameness import corpus
from dev.sameness.document_difference import Findings, covers
from dev.sameness.known_differences import MISSING, Known

ROOT = Path(__file__).parents[3]
KEPT = next((ROOT / "tests/data/run-v1/server-reads-once").iterdir())
DOCUMENT: dict[str, Any] = {
    "code": 0,
    "errors": [],
    "result": {
        "outcome": "pass",
        "verdict": ["client to server: all 7 bytes arrived"],
        "crossings": [
            {"n": 0, "note": "", "cause": {"rule": "connect", "evidence": "connect #1 opens it", "calls": [1]}},
            {"n": 1, "note": "", "cause": {"rule": "ack", "evidence": "acknowledges #0", "calls": []}},
        ],
    },
    "summary": ["one line", "another line"],
}


def findings(change: Callable[[dict[str, Any]], object], intended: tuple[Known, ...] = ()) -> Findings:
    """Compare the document with itself after a change."""
    other = copy.deepcopy(DOCUMENT)
    change(other)
    found = Findings(structured=(), intended=intended)
    found.take("run", "a run", DOCUMENT, other)
    return found


def cause(document: dict[str, Any], number: int = 1) -> dict[str, Any]:
    found: dict[str, Any] = document["result"]["crossings"][number]["cause"]
    return found


def test_a_document_is_the_same_as_itself_and_its_values_are_counted() -> None:
    found = findings(lambda _: None)
    assert not found.differences
    assert not found.texts
    assert (found.values, found.texts_compared, found.tally) == (7, 7, {"packets and causes": 2})


VALUES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a rule": (lambda it: cause(it).update(rule="d-sack"), "run.result.crossings[].cause.rule"),
    "a number": (lambda it: it["result"]["crossings"][0].update(n=5), "run.result.crossings[].n"),
    "1 as true": (lambda it: cause(it, 0).update(calls=[True]), "run.result.crossings[].cause.calls[]"),
    "0 as 0.0": (lambda it: it.update(code=0.0), "run.code"),
    "a call more": (lambda it: cause(it)["calls"].append(3), "run.result.crossings[].cause.calls"),
    "a sentence more": (lambda it: it["result"]["verdict"].append("and"), "run.result.verdict"),
    "a packet fewer": (lambda it: it["result"]["crossings"].pop(), "run.result.crossings"),
    "a member gone": (lambda it: cause(it).pop("rule"), "run.result.crossings[].cause.rule"),
    "a member added": (lambda it: cause(it).update(more=None), "run.result.crossings[].cause.more"),
    "a note where none was": (lambda it: it["result"]["crossings"][0].update(note="x"), "run.result.crossings[].note"),
    "a sentence as parts": (lambda it: cause(it).update(evidence=["#0"]), "run.result.crossings[].cause.evidence"),
    "no result": (lambda it: it.update(result=None), "run.result"),
}


@pytest.mark.parametrize("what", VALUES)
def test_each_change_of_a_value_is_found_where_it_is(what: str) -> None:
    change, path = VALUES[what]
    found = findings(change)
    assert list(found.differences) == [path]
    assert not found.texts


def test_a_sentence_put_otherwise_is_only_listed_old_beside_new() -> None:
    found = findings(lambda it: cause(it).update(evidence="is the ACK of #0"))
    assert not found.differences
    ((figures, path, *_), group) = next(iter(found.texts.items()))
    example = group.examples[0]
    assert (figures, path) == (False, "run.result.crossings[].cause.evidence")
    assert (example.old, example.new) == ("acknowledges #0", "is the ACK of #0")
    assert example.at == "result.crossings[1].cause.evidence"


def test_a_sentence_with_another_figure_is_told_apart_from_one_only_reworded() -> None:
    found = findings(lambda it: it["result"].update(verdict=["client to server: all 8 bytes arrived"]))
    assert [figures for figures, *_ in found.texts] == [True]


def test_lines_of_a_page_may_come_and_go() -> None:
    found = findings(lambda it: it.update(summary=["one line", "a new line", "another line"]))
    assert not found.differences
    assert [group.examples[0].new for group in found.texts.values()] == ["a new line"]


def test_a_known_difference_is_counted_apart_and_only_where_its_row_holds() -> None:
    row = Known("run.result.crossings[].cause", "renamed", lambda old, new: (old, new) == ("ack", "pure-ack"))
    found = findings(lambda it: cause(it).update(rule="pure-ack"), intended=(row,))
    assert not found.differences
    assert found.known[0].count == 1
    assert findings(lambda it: cause(it).update(rule="other"), intended=(row,)).differences


def test_a_row_covers_its_path_and_what_is_below_but_no_longer_name() -> None:
    assert covers("run.result.kernel", "run.result.kernel.drops[].reason")
    assert covers("run.result.hosts.*.calls[]", "run.result.hosts.client.calls[].fd")
    assert not covers("run.result.kernel", "run.result.kernels")
    assert not covers("run.result.hosts.*", "run.result.hosts")


def test_what_crashes_the_old_tree_is_not_counted_as_compared() -> None:
    found = Findings()
    crash = {"crash": "ValueError", "errors": ["x"]}
    found.take("run", "a run", crash, crash)
    assert (found.values, found.crashed, found.differences) == (0, 1, {})
    found.take("run", "a run", DOCUMENT, crash)
    assert found.differences["run.crash"].examples[0].old is MISSING


OTHER_TASKS = """\
import contextlib, importlib.util, io, sys
sys.path.insert(0, {root!r})
spec = importlib.util.spec_from_file_location("real_tasks", {root!r} + "/tasks.py")
real = importlib.util.module_from_spec(spec)
spec.loader.exec_module(real)
compare, diff = real.ns["compare"], real.ns["diff"]
def show(context, run, json=False):
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            real.ns["show"](context, run, json=json)
    finally:
        {spoil}
        print(out.getvalue().replace({old!r}, {new!r}), end="")
"""


@pytest.fixture
def other_tree(tmp_path: Path) -> Callable[..., str]:
    """Make a tree that says what this one says, but for one text in what `show` prints."""

    def make(old: str, new: str, spoil: str = "pass") -> str:
        tree = tmp_path / "other"
        tree.mkdir()
        code = OTHER_TASKS.format(root=str(ROOT), old=old, new=new, spoil=spoil)
        (tree / "tasks.py").write_text(code, encoding="utf-8")
        return str(tree)

    return make


def run(*words: str) -> int:
    return same_values.main(["--old", str(ROOT), "--captures", str(KEPT), "--every", "3", *words])


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_a_kept_run_is_the_same_with_the_same_tree(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--json") == 0
    report = told(capsys)
    assert report["same"]
    assert report["values"] > 1000
    assert not report["reworded"]
    assert set(report["inputs"]) >= {"run", "pair"}


def test_a_value_that_another_tree_gives_a_kept_run_fails(
    other_tree: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--json", "--new", other_tree('"rule": "syn-ack"', '"rule": "syn-nack"')) == 1
    report = told(capsys)
    assert [each["path"] for each in report["differences"]] == ["run.result.crossings[].cause.rule"]


def test_a_text_that_another_tree_gives_a_kept_run_fails_only_if_asked_for(
    other_tree: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    tree = other_tree("accepts the SYN", "answers the SYN")
    assert run("--json", "--new", tree) == 0
    reworded = told(capsys)["reworded"]
    assert [each["path"] for each in reworded] == ["run.result.crossings[].cause.evidence"]
    assert reworded[0]["examples"][0]["new"].startswith("answers the SYN")
    assert run("--new", tree, "--figures") == 0
    capsys.readouterr()
    assert run("--new", tree, "--texts") == 1
    assert "old: accepts the SYN" in capsys.readouterr().out


def test_a_figure_in_a_text_fails_if_asked_for(other_tree: Callable[..., str]) -> None:
    tree = other_tree("accepts the SYN #0", "accepts the SYN #1")
    assert run("--new", tree) == 0
    assert run("--new", tree, "--figures") == 1


def test_a_tree_that_writes_into_its_input_fails(
    other_tree: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    spoil = "open(run + '/extra', 'w').close()"
    assert run("--json", "--new", other_tree("", "", spoil)) == 1
    assert told(capsys)["touched"]


def test_the_kept_runs_themselves_are_not_touched() -> None:
    before = corpus.digests(ROOT / "tests/data")
    run()
    assert corpus.digests(ROOT / "tests/data") == before


@pytest.mark.parametrize("words", [("--old", "no-such-commit"), ("--new", "no-such-commit"), ("--runs", "/no/such")])
def test_bad_use_is_told_and_ends_with_2(words: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*words) == 2
    assert words[1] in capsys.readouterr().err


def test_a_tree_without_an_entry_point_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--new", str(tmp_path)) == 2
    assert "the new tree cannot be evaluated" in capsys.readouterr().err


def test_pairs_of_captures_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both trees answer with values; where the old one answers no pair at all, nothing is called the same."""
    assert run("--json") == 0
    said = told(capsys)
    assert said["inputs"]["pair"]
    assert not said["crashed"]
    tree = tmp_path / "broken"
    tree.mkdir()
    code = OTHER_TASKS.format(root=str(ROOT), old="", new="", spoil="pass")
    broken = "\ndef compare(context, captures):\n    raise OSError('no comparison')\ncompare.body = compare\n"
    (tree / "tasks.py").write_text(code + broken, encoding="utf-8")
    assert same_values.main(["--old", str(tree), "--captures", str(KEPT), "--every", "3"]) == 2
    assert "none of the" in capsys.readouterr().err


def worktrees() -> str:
    command = ["git", "-C", str(ROOT), "worktree", "list"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is no checkout")
def test_the_worktree_of_a_commit_goes_whatever_happens(tmp_path: Path) -> None:
    def interrupted() -> None:
        with same_values.tree("HEAD", tmp_path) as tree:
            assert (tree / "tasks.py").exists()
            assert str(tree) in worktrees()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert str(tmp_path) not in worktrees()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("what", corpus.DAMAGES)
def test_each_damage_changes_a_run_or_says_that_it_cannot(what: str, tmp_path: Path) -> None:
    copied = tmp_path / "run"
    shutil.copytree(KEPT, copied)
    before = corpus.digests(copied)
    changed = corpus.DAMAGES[what](copied)
    assert changed == (corpus.digests(copied) != before)
    assert changed or any(word in what for word in ("journal", "kernel"))
