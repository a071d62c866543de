"""Several words for one argument of a task, without a change of invoke's classes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from invoke import Collection, Context, ParseError, Program, task
from invoke.parser.parser import ParseMachine

from testbed.cli.invoke_words import spell_out, takes_words

ROOT = Path(__file__).parents[3]


@task(positional=["names"], iterable=["names", "set"], help={"names": "which"})
def run(_: Context, names: list[str], set: list[str], runs: str = ".", json: bool = False) -> None:  # noqa: A002
    """Takes words."""


@task
def show(_: Context, what: str) -> None:
    """Takes one word."""


@task
def wait(_: Context, host: str, jobs: int = 0) -> None:
    """Takes a number; `-h` is its host."""


@task(positional=["names"], iterable=["names"])
@takes_words(["run", "link"])
def bench(_: Context, names: list[str], page: str = "") -> None:
    """Takes words that are tasks too."""


TASKS = Collection(run, show, wait, bench)


@pytest.mark.parametrize(
    ("words", "spelled"),
    [
        ("", ""),
        ("run", "run"),
        ("run a", "run --names a"),
        ("run a b --json c", "run --names a --names b --json --names c"),
        ("run a --runs b c", "run --names a --runs b --names c"),
        ("run -r b c", "run -r b --names c"),
        ("run --runs=b c", "run --runs=b --names c"),
        ("run --set x=1 --set y=2 a", "run --set x=1 --set y=2 --names a"),
        ("run show", "run --names show"),
        ("run a show b", "run --names a show b"),
        ("run a run b", "run --names a run --names b"),
        ("bench run run --page p link", "bench --names run --names run --page p --names link"),
        ("bench link show run run", "bench --names link show run --names run"),
        ("show a b", "show a b"),
        ("nothing a", "nothing a"),
        ("run --frob a", "run --frob --names a"),
        ("show --help", "--help show"),
        ("run a --json -h", "--help run"),
        ("run --runs --help", "run --runs --help"),
        ("--help show", "--help show"),
        ("wait -h a", "wait -h a"),
        ("wait --help", "--help wait"),
        ("wait -h a --jobs 3", "wait -h a --jobs 3"),
    ],
)
def test_words_are_spelled_out(words: str, spelled: str) -> None:
    assert spell_out(words.split(), TASKS) == spelled.split()
    assert TASKS["run"].help == {"names": "which"}


@pytest.mark.parametrize(("words", "option"), [("wait a --jobs x", "--jobs"), ("wait a -j=1.5", "-j")])
def test_what_is_no_number_is_bad_use(words: str, option: str) -> None:
    with pytest.raises(ParseError, match=f"{option} takes a whole number"):
        spell_out(words.split(), TASKS)


def test_invoke_itself_is_as_it_was() -> None:
    """Importing the tasks changes one program, none of invoke's classes."""
    code = (
        "from invoke import Program\nfrom invoke.parser.parser import ParseMachine\n"
        "before = dict(vars(Program)), dict(vars(ParseMachine))\nimport tasks\n"
        "assert before == (dict(vars(Program)), dict(vars(ParseMachine)))\n"
        "from invoke.main import program\nassert 'parse_tasks' in vars(program)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    assert ParseMachine.handle.__module__ == "invoke.parser.parser"
    assert Program.parse_tasks.__module__ == "invoke.program"
