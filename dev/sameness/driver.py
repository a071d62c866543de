"""Evaluate a list of recorded inputs with one tree, by what it offers users, in one process.

Run as ``python -P driver.py ITEMS DOCUMENTS`` with the tree as PYTHONPATH: ITEMS is a JSON list of :class:`Item`'s
members, DOCUMENTS gets one line of JSON an item, in that order. It imports nothing of this folder, so that it is the
same for every tree; an item that crashes the tree gives a document that says so.
"""

from __future__ import annotations

import csv
import gc
import inspect
import io
import json
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from runpy import run_path
from typing import Any

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Said:
    """What a command did: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Tree:
    """The three questions, each as a function that prints as `invoke` does and returns the exit code.

    ``show(run, as_json)``; ``compare(one, other, options)``, options being those of `invoke compare`; and
    ``diff(one, other)``, always as JSON.
    """

    show: Callable[[str, bool], int]
    compare: Callable[[str, str, Document], int]
    diff: Callable[[str, str], int]


def by_tasks() -> Tree:
    """Through the tree's tasks.py, as `invoke show`, `invoke compare` and `invoke diff` do it."""
    tasks, invoke = run_path(str(Path(os.environ["PYTHONPATH"], "tasks.py"))), import_module("invoke")

    tasks = tasks.get("ns", tasks)  # older trees have the tasks as functions of the module

    def code(task: Any, *args: Any, **kwargs: Any) -> int:  # noqa: ANN401 - invoke's
        try:
            task(invoke.Context(), *args, **kwargs)
        except invoke.Exit as end:
            return int(end.code)
        return 0

    def compare(one: str, other: str, options: Document) -> int:
        listed = "captures" in inspect.signature(tasks["compare"].body).parameters  # newer trees take any number
        return code(tasks["compare"], *([[one, other]] if listed else [one, other]), **options)

    return Tree(
        show=lambda run, as_json: code(tasks["show"], run, json=as_json),
        compare=compare,
        diff=lambda one, other: code(tasks["diff"], one, other, json=True),
    )


def by_commands() -> Tree:
    """Through the functions below the tasks, where ace3401 has them."""
    runs, captures = import_module("testbed.commands_runs"), import_module("testbed.compare_command")
    here = Path()
    usual = {"json": False, "csv": "", "merged": "", "html": "", "fail_on": "", "filter": "", "one_clock": False}
    names = {"json": "as_json", "filter": "choose"}

    def compare(one: str, other: str, options: Document) -> int:
        words = {names.get(name, name): value for name, value in {**usual, **options}.items()}
        return int(captures.compare(one, other, **words))

    return Tree(
        show=lambda run, as_json: int(runs.show(run, catalogue=here, runs=here, as_json=as_json)),
        compare=compare,
        diff=lambda one, other: int(runs.diff(one, other, runs=here, as_json=True)),
    )


ENTRIES: dict[str, Callable[[], Tree]] = {"tasks": by_tasks, "commands": by_commands}
"""How a tree may be asked; the first that it has is used. A public Python interface gets a row here."""


def choose(name: str = "") -> tuple[str, Tree]:
    """Return the entry of that name, or the first that this tree has."""
    missing = []
    for each, make in ENTRIES.items():
        if name in ("", each):
            try:
                return each, make()
            except (ImportError, AttributeError, FileNotFoundError, KeyError) as problem:
                missing.append(f"{each}: {problem}")
    raise SystemExit("no entry point: " + ("; ".join(missing) or f"none is named {name}"))


def ask(command: Callable[[], int]) -> Said:
    """Call a command with its output taken."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = command()
    gc.unfreeze()  # a task ends with gc.freeze(), since its process is about to end; this one goes on
    return Said(code, out.getvalue(), err.getvalue())


def answered(said: Said, name: str) -> Document:
    """Return a document with what was printed as JSON under that name. Raises RuntimeError for a traceback."""
    if "Traceback (most recent call last)" in said.err:  # no answer: two trees may fail alike
        raise RuntimeError(said.err.strip())
    return {"code": said.code, "errors": said.err.splitlines(), name: json.loads(said.out) if said.out else None}


def run(tree: Tree, item: Document) -> Document:
    """Evaluate a run directory."""
    path = item["paths"][0]
    document = answered(ask(lambda: tree.show(path, True)), "result")
    if item["texts"]:
        document["summary"] = ask(lambda: tree.show(path, False)).out.splitlines()
    return document


def pair(tree: Tree, item: Document) -> Document:
    """Compare two captures."""
    one, other = item["paths"]
    with tempfile.TemporaryDirectory() as place:
        table = Path(place) / "crossings.csv"
        options = {**item["options"], "json": True, "csv": str(table)}
        document = answered(ask(lambda: tree.compare(one, other, options)), "compared")
        if table.exists():
            with table.open(encoding="utf-8", newline="") as lines:
                document["packets"] = list(csv.DictReader(lines))
    if item["texts"]:
        document["summary"] = ask(lambda: tree.compare(one, other, item["options"])).out.splitlines()
    return document


def diff(tree: Tree, item: Document) -> Document:
    """Compare two runs."""
    return answered(ask(lambda: tree.diff(*item["paths"])), "sections")


KINDS = {"run": run, "pair": pair, "diff": diff}


def document_of(tree: Tree, item: Document) -> Document:
    """Return what a tree says of an item; of one that crashes it, the error's name and text."""
    try:
        return KINDS[item["kind"]](tree, item)
    except Exception as crash:  # noqa: BLE001 - a crash is a result here: the other tree may not have it
        return {"crash": type(crash).__name__, "errors": [str(crash)]}


def main(items: str, documents: str, entry: str = "") -> None:
    """Evaluate all items; the first line says by which entry."""
    name, tree = choose(entry)
    with Path(documents).open("w", encoding="utf-8") as out:
        out.write(json.dumps({"entry": name}) + "\n")
        asked = json.loads(Path(items).read_text(encoding="utf-8"))
        out.writelines(json.dumps(document_of(tree, item)) + "\n" for item in asked)


if __name__ == "__main__":
    main(*sys.argv[1:])
