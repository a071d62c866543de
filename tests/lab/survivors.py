"""Which mutants of a kept run's expectations its evaluation lets pass."""

from __future__ import annotations

import json
from pathlib import Path

from testbed.run.evaluate import evaluate
from testbed.rundir.layout import RunDirectory
from testbed.scenario.load import load

from .mutants import mutants


def surviving(directory: Path) -> dict[str, tuple[list[str], list[str]]]:
    """Return for each expectation (place and text) the places whose change failed, and those whose change did not.

    Those for other kernels than the run's are left out. One evaluation checks all mutants at once, so that a run costs
    little more than `invoke show`.
    """
    described = json.loads((directory / "manifest.json").read_text())["scenario"]
    scenario = load(directory / "scenario.yaml", name=described["name"], settings=described.get("settings", {}))
    both = zip(scenario.expect, scenario.expectations, strict=True)
    tried = [(compiled, mutant) for each, compiled in both for mutant in mutants(each)]
    wrong = scenario.model_copy(update={"expectations": tuple(mutant.expectation.compiled() for _, mutant in tried)})
    found: dict[str, tuple[list[str], list[str]]] = {
        f"{each.where} {each.text}": ([], []) for each in scenario.expectations
    }
    for (each, mutant), check in zip(tried, evaluate(RunDirectory(directory), wrong).checks, strict=True):
        if check.applies:
            found[f"{each.where} {each.text}"][check.ok is not False].append(mutant.place)
        else:
            found.pop(f"{each.where} {each.text}", None)
    return found
