"""The table of docs/diagnose.md: in how many runs each condition is found, from runs, their two captures, and one.

``python -m dev.found_table RUNS``, where RUNS holds the runs of the scenarios that show findings, each with several
delays: ``invoke run NAME --set link.delay=1ms,4ms,10ms,20ms,40ms --keep all --runs RUNS``. The first value of a
scenario's own matrix shows its finding, the others are its twins.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from testbed.api.diagnosing import diagnose_files
from testbed.api.runs import analyse_again, load_scenario
from testbed.model.findings import FINDINGS, Finding, FindingName, Need
from testbed.rundir.layout import MANIFEST, RunDirectory

HEAD = ("finding", "runs", "with calls", "two captures", "one capture", "its twin")


@dataclass(slots=True)
class Found:
    """In how many runs of a condition it was found, by what was seen; and of its twins."""

    runs: int = 0
    calls: int = 0
    two: int = 0
    client: int = 0
    server: int = 0
    twins: int = 0
    wrong: int = 0


def measure(root: Path) -> dict[FindingName, Found]:
    """Diagnose all runs below a directory."""
    names = {row.scenario: name for name, row in FINDINGS.items() if row.scenario}
    table: dict[FindingName, Found] = {}
    for manifest in sorted(root.rglob(MANIFEST)):
        directory = RunDirectory(manifest.parent)
        name = names.get(directory.scenario)
        if name is None:
            continue
        found = table.setdefault(name, Found())
        diagnosis = analyse_again(directory).analysis.diagnosis
        here = diagnosis is not None and has(name, diagnosis.findings)
        settings = directory.read_json(MANIFEST)["scenario"].get("settings", {})
        matrix = load_scenario(directory.scenario).matrix
        if any(settings.get(key, values[0]) != values[0] for key, values in matrix.items()):
            found.twins, found.wrong = found.twins + 1, found.wrong + here
            continue
        client, server = directory.file("client.pcap"), directory.file("server.pcap")
        found.runs, found.calls = found.runs + 1, found.calls + here
        found.two += has(name, diagnose_files(client, server).findings)
        found.client += has(name, diagnose_files(client).findings)
        found.server += has(name, diagnose_files(server).findings)
    return table


def has(name: FindingName, findings: tuple[Finding, ...]) -> bool:
    """Say whether a finding is among others."""
    return any(each.name is name for each in findings)


def lines(table: dict[FindingName, Found]) -> list[str]:
    """Return the table as Markdown."""
    made = [f"| {' | '.join(HEAD)} |", "|---|---:|---:|---:|---:|---:|"]
    for name in (each for each in FINDINGS if each in table):
        found, needs = table[name], FINDINGS[name].needs
        calls, ends = Need.CALLS in needs, Need.BOTH_ENDS in needs
        two = "needs calls" if calls else str(found.two)
        one = "needs calls" if calls else "needs both ends" if ends else str(max(found.client, found.server))
        twin = f"{found.wrong} of {found.twins}" if found.twins else ""
        made.append(f"| `{name}` | {found.runs} | {found.calls} | {two} | {one} | {twin} |")
    return made


if __name__ == "__main__":
    sys.stdout.write("\n".join(lines(measure(Path(sys.argv[1])))) + "\n")
