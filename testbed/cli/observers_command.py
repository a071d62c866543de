"""``invoke run --compare-observers``: what observing changes on the wire."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from testbed.cli.progress import print_json, show_progress
from testbed.model.errors import Unsupported, UsageError
from testbed.run.interruption import ended_by_signals


def compare_observers(
    names: Sequence[str], *, catalogue: Path, runs: Path, as_json: bool, quiet: bool, engine: str
) -> int:
    """Run each scenario under every observer, without its expectations, and print what that changed on the wire.

    The kernel trace, which disturbs too, is recorded only by the observer that is one.
    """
    from testbed.api.runs import run_scenario
    from testbed.lab.choose_engine import choose
    from testbed.report.text.observer_effect import Effect, measure, table
    from testbed.scenario.catalogue import find
    from testbed.scenario.load import load
    from testbed.scenario.scenario import OBSERVERS

    if not names:
        raise UsageError("no scenario is named", hint="`invoke list` shows them")
    choice = choose(engine)
    for scenario in [load(find(name, catalogue)) for name in names]:
        effects: dict[str, Effect] = {}
        for observer in OBSERVERS:
            asked: dict[str, object] = dict.fromkeys(scenario.hosts, observer)
            observe = scenario.observe.model_copy(update=asked | {"kernel": observer == "trace"})
            variant = scenario.without_expectations().model_copy(update={"observe": observe})
            with show_progress(quiet=quiet) as progress, ended_by_signals():
                progress(f"{scenario.name} under {observer}")
                try:
                    result = run_scenario(variant, engine=choice, runs=runs, progress=progress)
                except Unsupported as error:
                    sys.stderr.write(f"{scenario.name} under {observer}: {error}\n")
                    continue
            if result.analysis.inputs.failures or result.analysis.inputs.incomplete:
                reasons = "; ".join(result.analysis.reasons)
                sys.stderr.write(f"{scenario.name} under {observer}: {result.analysis.outcome.value}: {reasons}\n")
            effects[observer] = measure(result.analysis)
        if as_json:
            print_json({"scenario": scenario.name, "observers": {name: asdict(e) for name, e in effects.items()}})
        else:
            sys.stdout.write(f"{scenario.name}\n" + "\n".join(table(effects)) + "\n")
    return 0
