"""Prove that a change of the code changed no value: evaluate recorded runs and captures with two trees and compare.

    python dev/same_values.py --old ace3401 --runs runs

Calls, packets, causes, ledgers, expectations, the kernel's word, and all that a comparison of two captures finds, are
values: they must be the same. Sentences are listed apart, old and new beside each other, and fail with --texts only
(--figures: those in which other figures stand); so a change that only moves code is checked with --texts. What is
meant to differ has a row in dev/sameness/known_differences.py with its reason.

Exit code: 0 the same, 1 values differ, 2 bad use, a tree that cannot be evaluated, or nothing to compare.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[1]
if not __package__:  # run as a script: its own folder is no place to import from, the one above is
    sys.path[0] = str(ROOT)

from dev.sameness import corpus, making  # noqa: E402 - after the path is set
from dev.sameness.document_difference import Findings  # noqa: E402
from dev.sameness.wording import plain, text  # noqa: E402

DRIVER = ROOT / "dev/sameness/driver.py"


class BadUse(Exception):  # noqa: N818 - it is no error of the program
    """What cannot be done as asked, in a sentence."""


@contextmanager
def tree(name: str, place: Path) -> Iterator[Path]:
    """Yield the folder of a tree: ``name`` itself, or a worktree of that commit which is removed at the end."""
    if Path(name).is_dir():
        yield Path(name).resolve()
        return
    path = place / "tree"
    git = ["git", "-C", str(ROOT), "worktree"]
    made = subprocess.run([*git, "add", "--detach", str(path), name], capture_output=True, text=True, check=False)
    try:
        if made.returncode:
            raise BadUse(f"{name} is neither a folder nor a commit: {made.stderr.strip()}")
        yield path
    finally:
        subprocess.run([*git, "remove", "--force", str(path)], capture_output=True, check=False)
        subprocess.run([*git, "prune"], capture_output=True, check=False)


def start(where: Path, items: Path, documents: Path, copy: Path, entry: str, seed: str) -> subprocess.Popen[str]:
    """Start the evaluation of all items by one tree, in the folder that their paths are relative to."""
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        "PYTHONPATH": str(where),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": seed,
        "PYTHONUTF8": "1",
        "COLUMNS": "160",
        "TZ": "UTC",
        "NO_COLOR": "1",
    }
    command = [sys.executable, "-P", str(DRIVER), str(items), str(documents), entry]
    with documents.with_suffix(".err").open("w", encoding="utf-8") as complaints:
        return subprocess.Popen(command, cwd=copy, env=env, stderr=complaints, text=True)


def evaluate(trees: dict[str, Path], items: Path, place: Path, copy: Path, options: argparse.Namespace) -> list[Path]:
    """Evaluate all items with both trees at the same time; where each one's documents are."""
    files = [place / f"{which}.jsonl" for which in trees]
    with ExitStack() as stack:
        running = []
        for where, file, seed in zip(trees.values(), files, options.hash_seeds.split(","), strict=True):
            process = stack.enter_context(start(where, items, file, copy, options.entry, seed))
            stack.callback(process.kill)
            running.append(process)
        while any(process.poll() is None for process in running):
            if any(process.returncode for process in running):  # then the other need not go on
                break
            time.sleep(0.05)
    for which, file, process in zip(trees, files, running, strict=True):
        if process.returncode > 0 or -process.returncode not in (0, signal.SIGKILL):
            complaint = file.with_suffix(".err").read_text(encoding="utf-8").strip()
            raise BadUse(f"the {which} tree cannot be evaluated (exit code {process.returncode}): {complaint[-2000:]}")
    if any(process.returncode for process in running):
        raise BadUse("an evaluation was killed")
    return files


def compare(files: Sequence[Path], items: Sequence[corpus.Item], findings: Findings) -> list[str]:
    """Compare both trees' documents of all items; by which entry each tree was asked.

    Raises BadUse where the old tree answers no item of a kind.
    """
    crashes: dict[str, list[str]] = {}
    with files[0].open(encoding="utf-8") as old, files[1].open(encoding="utf-8") as new:
        entries = [json.loads(next(lines))["entry"] for lines in (old, new)]
        for item, one, other in zip(items, old, new, strict=True):
            first = json.loads(one)
            crashes.setdefault(item.kind, []).append(first["errors"][0] if "crash" in first else "")
            findings.take(item.kind, item.name, first, first if one == other else json.loads(other))
    for kind, problems in crashes.items():
        if all(problems):
            raise BadUse(f"the old tree answers none of the {len(problems)} questions of kind `{kind}`: {problems[0]}")
    return entries


def check(options: argparse.Namespace) -> int:
    """Do what was asked; the exit code."""
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="same-values-") as temporary, ExitStack() as stack:
        place = Path(temporary)
        names = {"old": options.old, "new": options.new}
        for name in names:
            (place / name).mkdir()
        trees = {which: stack.enter_context(tree(name, place / which)) for which, name in names.items()}
        runs = [ROOT / "tests/data", *options.runs]
        if options.make:
            making.make(trees["old"], options.make, _say)
            runs.append(options.make)
        for missing in (path for path in (*runs, options.captures) if path is not None and not path.is_dir()):
            raise BadUse(f"{missing} is no folder")
        copy = place / "inputs"
        copy.mkdir()
        items = corpus.gather(copy, runs, options.captures, damaged=not options.whole)[:: options.every]
        _say(f"{len(items)} inputs, each evaluated with both trees")
        if not items:
            raise BadUse("there is nothing to compare")
        before = corpus.digests(copy)
        listed = place / "items.json"
        listed.write_text(json.dumps([item.plain() for item in items]), encoding="utf-8")
        files = evaluate(trees, listed, place, copy, options)
        after = corpus.digests(copy)
        touched = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
        findings = Findings()
        entries = compare(files, items, findings)
    report = plain(findings, entries, touched, names)
    report["seconds"] = round(time.monotonic() - begin, 1)
    sys.stdout.write(json.dumps(report, indent=1, ensure_ascii=False) + "\n" if options.json else text(report))
    if not findings.values:
        raise BadUse("nothing was compared: no input gave a value")
    told = options.texts and findings.texts
    other_figures = options.figures and any(figures for figures, *_ in findings.texts)
    return 1 if findings.differences or touched or told or other_figures else 0


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--old", required=True, metavar="COMMIT_OR_FOLDER", help="the tree that is right")
    parser.add_argument("--new", default=str(ROOT), metavar="COMMIT_OR_FOLDER", help="default: this tree as it is")
    parser.add_argument(
        "--runs",
        nargs="+",
        action="extend",
        type=Path,
        default=[],
        metavar="DIR",
        help="run directories, or folders above them, besides tests/data",
    )
    usual = ROOT.parent / "shared/captures"
    parser.add_argument(
        "--captures",
        type=Path,
        default=usual if usual.is_dir() else None,
        metavar="DIR",
        help="captures: all pairs of a folder in pairs/, others with themselves and the next",
    )
    parser.add_argument("--make", type=Path, metavar="DIR", help="first make runs there with the old tree (minutes)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take only every Nth input")
    parser.add_argument("--whole", action="store_true", help="no damaged copies of the runs")
    parser.add_argument("--texts", action="store_true", help="fail where sentences differ, too")
    parser.add_argument("--figures", action="store_true", help="fail where the figures in sentences differ, too")
    parser.add_argument("--entry", default="", help="ask both trees by this row of driver.ENTRIES")
    parser.add_argument(
        "--hash-seeds",
        default="0,0",
        metavar="A,B",
        help="PYTHONHASHSEED of both; two different ones show what the order of a set decides",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(words)
    if options.every < 1 or len(options.hash_seeds.split(",")) != 2:
        parser.error("--every is from 1, --hash-seeds are two")
    return options


@contextmanager
def terminable() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C, so that the worktree goes."""

    def interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def main(words: Sequence[str] | None = None) -> int:
    """Run the check as the command line asks."""
    options = parse(words)
    try:
        with terminable():
            return check(options)
    except BadUse as problem:
        _say(str(problem))
    except KeyboardInterrupt:
        _say("interrupted")
    return 2


if __name__ == "__main__":
    sys.exit(main())
