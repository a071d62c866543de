"""What ``invoke diagnose`` does: say what is wrong with runs, campaigns or captures, and return the exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.cli.progress import print_json
from testbed.model.errors import UsageError
from testbed.rundir.layout import RunDirectory
from testbed.rundir.layout import find as find_run

if TYPE_CHECKING:
    from testbed.model.crossings import Flow
    from testbed.model.findings import Diagnosis

    Diagnosed = tuple[str, Diagnosis | None, Sequence[Flow]]


def diagnose(what: Sequence[str], *, runs: Path, as_json: bool, thorough: bool = False) -> int:
    """Diagnose; 0: nothing is worse than a note, 1: an error or a warning was found.

    ``what`` are runs and campaigns, or one capture, or two of the same traffic.
    """
    if not what:
        raise UsageError("nothing to diagnose", hint="a run, a campaign, one capture, or two of the same traffic")
    worst = 0
    for name, diagnosis, flows in _diagnosed(what, runs, thorough=thorough):
        if as_json:
            from testbed.report.json.diagnosis_json import diagnosis_report

            print_json(diagnosis_report(diagnosis, name))
        else:
            from testbed.report.text.finding_text import report_lines

            sys.stdout.write(f"{name}\n")
            if diagnosis is None:
                sys.stdout.write("  the run could not be carried through: nothing was looked for\n")
            else:
                sys.stdout.writelines(f"{line}\n" for line in report_lines(diagnosis, flows))
        if diagnosis is not None and any(each.severity != "note" for each in diagnosis.findings):
            worst = 1
    return worst


def _diagnosed(what: Sequence[str], runs: Path, *, thorough: bool) -> Iterator[Diagnosed]:
    directories = [_runs_of(name, runs) for name in what]
    if any(directories):
        for name, found in zip(what, directories, strict=True):
            if not found:
                raise UsageError(
                    f"there is no run and no campaign `{name}`", hint="captures are diagnosed by themselves"
                )
            for directory in found:
                from testbed.api.runs import analyse_again

                analysis = analyse_again(directory).analysis
                yield str(directory), analysis.diagnosis, analysis.inputs.joined.flows
        return
    for name in what:
        if not Path(name).is_file():
            raise UsageError(
                f"there is no run, campaign or capture `{name}`",
                hint="a run's directory, its id, or SCENARIO/latest; a campaign's id, or latest; a pcap or pcapng file",
            )
    if len(what) > 2:
        raise UsageError("captures are diagnosed one at a time, or two of the same traffic")
    from testbed.api.diagnosing import diagnose_files
    from testbed.capture.malloc_tuning import keep_freed_memory
    from testbed.model.errors import CaptureError

    keep_freed_memory()
    try:
        result = diagnose_files(*what, thorough=thorough)
    except CaptureError as error:
        raise UsageError(str(error)) from error
    yield ", ".join(what), result.diagnosis, result.flows


def _runs_of(name: str, runs: Path) -> list[RunDirectory]:
    """Return the run that is called so, or those of a campaign; none where it is neither."""
    if Path(name).is_file():
        return []
    directory = find_run(name, runs)
    if directory is not None:
        return [directory]
    from testbed.campaign.store import Store
    from testbed.rundir.layout import MANIFEST

    try:
        store = Store.find(runs, name)
    except UsageError:
        return []
    return [RunDirectory(path.parent) for path in sorted(store.path.rglob(MANIFEST))]
