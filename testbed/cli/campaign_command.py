"""``invoke run`` as a campaign: variants, repeats, jobs, a cluster."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.api.campaign_worker import MODULE as WORKER
from testbed.campaign import campaign
from testbed.campaign.campaign_options import Options
from testbed.campaign.task_list import Plan
from testbed.cli.outputs import Outputs
from testbed.cli.progress import print_json, say_why, tell
from testbed.lab.choose_engine import NAMES, choose
from testbed.model.errors import BothendsError, EngineError, UsageError
from testbed.report.text import campaign_text as report
from testbed.scenario.scenario import Scenario

if TYPE_CHECKING:
    from testbed.campaign.cluster import Cluster


def run_campaign(scenarios: Sequence[Scenario], *, runs: Path, engine: str, options: Options, outputs: Outputs) -> int:
    """Conduct a new campaign, or go on with one where ``options.resume`` says so; the worst outcome's exit code."""
    from rich.console import Console

    from testbed.report import campaign_files
    from testbed.report.ci.campaign_cases import records
    from testbed.report.ci.ci_cases import RunRecord
    from testbed.report.ci.ci_files import write_ci_files

    def make() -> Plan:
        try:
            return campaign.plan(scenarios, options, _engine(engine, options))
        except EngineError as error:
            if outputs.ci is not None:
                write_ci_files([RunRecord(scenario.name, 0.0, error=error) for scenario in scenarios], outputs.ci)
            raise

    cluster = _cluster(options)  # before anything is written
    plan, store = campaign.store_for(options, runs, make)
    again = f"`invoke run --resume {store.path.name.rpartition('-')[2]}`"
    try:
        summary, stopped = campaign.run(plan, store, options, cluster, quiet=outputs.quiet, worker=WORKER)
    except BothendsError as error:
        if store.reports():
            error.kept = str(store.path)
            error.hint = "; ".join(filter(None, (error.hint, f"{again} continues it")))
        else:
            store.remove()
        raise
    if outputs.as_json:
        print_json(report.to_json(summary, str(store.path)))
    else:
        report.render(summary, str(store.path), Console())
    if outputs.ci is not None:
        write_ci_files(list(records(summary, str(store.path))), outputs.ci)
    if outputs.pages:
        made = campaign_files.rebuild(store)
        sys.stderr.write("\n".join([*made.troubles, str(made.pages[0])]) + "\n")
    if stopped:
        sys.stderr.write(f"stopped; {again} continues it\n")
    return summary.outcome.exit_code


def _cluster(options: Options) -> Cluster | None:
    if not options.on:
        return None
    from testbed.campaign.cluster import Cluster

    cluster = Cluster(options.on)
    sys.stderr.write(f"cluster {options.on}: {cluster.state}\n")
    return cluster


def _engine(wanted: str, options: Options) -> str:
    """Return the engine's name, all that its labs share being made; empty where a cluster's workers choose."""
    if options.on:
        if wanted not in ("", *NAMES):
            raise UsageError(f"there is no engine `{wanted}`", hint=f"--engine {' or '.join(NAMES)}")
        return wanted
    choice = choose(wanted)
    say_why(choice)
    choice.prepare(tell)
    return choice.name
