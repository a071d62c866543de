"""``invoke soak``: every scenario many times, as one campaign of which only what did not pass is told."""

from __future__ import annotations

import sys
from pathlib import Path

from testbed.api.campaign_worker import MODULE as WORKER
from testbed.campaign import campaign
from testbed.campaign.campaign_options import Options
from testbed.lab.choose_engine import choose
from testbed.model import Outcome
from testbed.report.text.campaign_text import variant_lines
from testbed.report.text.terminal_text import counted
from testbed.scenario.catalogue import all_scenarios
from testbed.scenario.load import load


def main(*, catalogue: Path, runs: Path, engine: str, options: Options) -> int:
    """Run the catalogue; the worst outcome's exit code. One run directory of each kind of result is kept."""
    options.check()
    choice = choose(engine)
    choice.prepare(_tell)
    scenarios = [load(path) for path in all_scenarios(catalogue)]
    plan, store = campaign.store_for(options, runs, lambda: campaign.plan(scenarios, options, choice.name))
    summary, stopped = campaign.run(plan, store, options, None, quiet=False, worker=WORKER)
    bad = [variant for variant in summary.variants if variant.outcome_of_runs is not Outcome.PASS]
    lines = [line for variant in bad for line in variant_lines(variant)]
    made = sum(variant.runs for variant in summary.variants)
    failed = sum(variant.runs - variant.outcomes[Outcome.PASS.value] for variant in summary.variants)
    lines.append(
        f"{counted(made, 'run')} of {counted(len(summary.variants), 'variant')} on {choice.name}: "
        f"{failed} did not pass; kept in {store.path}" + (" (stopped)" if stopped else "")
    )
    sys.stdout.write("\n".join(lines) + "\n")
    return summary.outcome.exit_code


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
