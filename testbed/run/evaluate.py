"""From a run directory to its meaning: everything right of the seam, possible again at any later time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from testbed.model import (
    HOSTS,
    Analysis,
    Check,
    Host,
    Inputs,
    Joined,
    Labels,
    LinkAction,
    LinkFault,
    LinkJournal,
    Outcome,
)
from testbed.model.errors import CaptureError, ScenarioError
from testbed.model.hosts import HostAddresses
from testbed.run.capture_files import CaptureFiles
from testbed.rundir.layout import JOURNAL, KERNEL, MANIFEST, RESULT, SCENARIO_COPY, RunDirectory, loopback_file
from testbed.rundir.manifest import addresses_of, counters, is_watched, link_addresses_of, programs, understood

if TYPE_CHECKING:  # pydantic is slow to import, and only needed where no scenario is given
    from testbed.model.kernel_log import KernelLog
    from testbed.model.loopback import Loopback
    from testbed.scenario.scenario import Scenario

OUTPUT_SHOWN = 1 << 20


def evaluate(
    directory: RunDirectory, scenario: Scenario | None = None, captures: CaptureFiles | None = None
) -> Analysis:
    """Analyse the artefacts in a run directory. Raises UsageError where it is none.

    ``scenario`` saves reading the directory's own copy again, ``captures`` its captures.
    """
    from testbed.analysis.analyse import analyse
    from testbed.diagnosis.diagnose import diagnose_run
    from testbed.observe.calls_jsonl import read_jsonl

    manifest = understood(directory.read_json(MANIFEST), directory.file(MANIFEST))
    as_recorded = False
    if scenario is None and not is_watched(manifest):
        from testbed.scenario.load import load

        try:
            scenario = load(
                directory.file(SCENARIO_COPY),
                name=manifest["scenario"]["name"],
                settings=manifest["scenario"].get("settings", {}),
            )
        except ScenarioError:
            as_recorded = True
    incomplete = list(manifest["incomplete"])
    journal = _link_journal(directory, manifest, scenario, incomplete)
    if manifest["error"]:
        incomplete.append(f"the run was cut short: {manifest['error'].splitlines()[0]}")
    hosts: tuple[Host, ...] = tuple(manifest["hosts"])
    calls = {}
    for host in hosts:
        path = directory.file(f"{host}.calls.jsonl")
        if path.exists():
            with path.open(encoding="utf-8") as lines:
                calls[host] = tuple(read_jsonl(lines))
        else:
            calls[host] = ()
    joined, labels = _join(directory, captures or CaptureFiles(directory), manifest, incomplete)
    analysis = analyse(
        Inputs(
            joined=joined,
            calls=calls,
            observed={host: manifest["hosts"][host]["observer"] for host in hosts},
            programs=programs(manifest),
            output={host: _output(directory, host) for host in hosts},
            incomplete=tuple(incomplete),
            failures=tuple(manifest["failures"]),
            link=journal,
            cut_short=manifest["cut_short"],
            labels=labels,
            sysctls={host: manifest["hosts"][host]["sysctls"] for host in hosts},
            kernel=_kernel(directory),
            counters={
                host: counted.changed() for host, counted in counters(manifest).items() if counted.after is not None
            },
            release=str(manifest["engine"].get("kernel", "")),
            midway=is_watched(manifest),
            proven=frozenset(host for host in hosts if manifest["hosts"][host].get("calls_proven", False)),
            rto_min={} if scenario is None else _rto_min(scenario),
            queued={} if scenario is None else _queued(scenario),
            addresses=_addresses(manifest),
            loopback=_loopbacks(directory, hosts),
        ),
        () if scenario is None or manifest["scenario"]["by_hand"] else scenario.expectations,
        diagnose_run,
    )
    return _with_recorded_checks(directory, analysis) if as_recorded else analysis


def _addresses(manifest: dict[str, Any]) -> dict[Host, HostAddresses]:
    """Return the addresses of a lab's hosts, if some host has several."""
    several = any(len(own) > 1 for own in addresses_of(manifest).values())
    if is_watched(manifest) or not several:
        return {}
    return {host: HostAddresses.sorted(own) for host, own in addresses_of(manifest).items()}


def _rto_min(scenario: Scenario) -> dict[Host, int]:
    return {host: (described.route.rto_min or 0) * 1_000_000 for host, described in scenario.hosts.items()}


def _queued(scenario: Scenario) -> dict[Host, int]:
    return {host: described.egress for host, described in scenario.hosts.items() if described.egress is not None}


def _with_recorded_checks(directory: RunDirectory, analysis: Analysis) -> Analysis:
    """Take expectations and outcome from ``result.json``: this version cannot read the run's scenario any more."""
    result = directory.read_json(RESULT)
    note = "this version cannot read the run's scenario.yaml; expectations and outcome are as they were recorded"
    return replace(
        analysis,
        checks=tuple(Check(**{**check, "actual": (check["actual"],)}) for check in result["checks"]),
        outcome=Outcome(result["outcome"]),
        reasons=tuple(dict.fromkeys((*result["reasons"], note))),
    )


def _join(
    directory: RunDirectory, files: CaptureFiles, manifest: dict[str, Any], incomplete: list[str]
) -> tuple[Joined, Labels]:
    from testbed.analysis.join.join import join
    from testbed.crossings.frame_labels import wire_labels

    addresses = addresses_of(manifest)
    # What the link itself sends to a host comes, for that host, from where the other hosts are.
    link = link_addresses_of(manifest)
    places = {
        host: [*own, *(address for other, there in link.items() if other != host for address in there)]
        for host, own in addresses.items()
        if own
    }
    captures = {}
    for host in addresses:
        path = directory.file(f"{host}.pcap")
        if host not in places or not path.exists() or path.stat().st_size == 0:
            incomplete.append(f"{host}: the capture is missing")
            continue
        try:
            captures[host] = files.of(host)
        except CaptureError as error:
            incomplete.append(f"{host}: {error.what}")
            continue
        if captures[host].partial:
            incomplete.append(f"{host}: {captures[host].partial}")
    if len(captures) < len(addresses):
        return Joined((), (), dict.fromkeys(addresses, 0), {host: {} for host in addresses}), {}
    one_end, other_end = (captures[end] for end in HOSTS)  # packets are joined between two captures
    joined = join(one_end, other_end, places)
    return joined, {host: wire_labels(capture) for host, capture in captures.items()}


def _loopbacks(directory: RunDirectory, hosts: Iterable[Host]) -> dict[Host, Loopback]:
    """Read what hosts sent to themselves; a capture that cannot be read is left out, as nothing rests on it."""
    from testbed.analysis.join.loopback_frames import loopback_packets
    from testbed.capture.read_file import read

    found = {}
    for host in hosts:
        path = directory.file(loopback_file(host))
        if path.exists():
            with contextlib.suppress(CaptureError):
                found[host] = loopback_packets(read(path), host)
    return {host: each for host, each in found.items() if each.total}


def _link_journal(
    directory: RunDirectory, manifest: dict[str, Any], scenario: Scenario | None, incomplete: list[str]
) -> LinkJournal | None:
    from testbed.observe.link_jsonl import read_journal

    if manifest["link"]["kind"] != "routed":
        return None
    path = directory.file(JOURNAL)
    if not path.exists():
        incomplete.append("the journal of the link is missing")
        return None
    items = scenario.link.faults if scenario else ()
    faults = tuple(LinkFault(n, LinkAction(item.fault.key), item.text) for n, item in enumerate(items))
    try:
        with path.open(encoding="utf-8") as lines:
            return read_journal(lines, faults)
    except CaptureError as error:
        incomplete.append(error.what)
        return None


def _kernel(directory: RunDirectory) -> KernelLog | None:
    from testbed.observe.kernel.kernel_jsonl import read_jsonl

    path = directory.file(KERNEL)
    if not path.exists():
        return None
    with path.open(encoding="utf-8") as lines:
        return read_jsonl(lines)


def _output(directory: RunDirectory, host: Host) -> str:
    path = directory.file(f"{host}.out")
    if not path.exists():
        return ""
    with path.open("rb") as file:
        return file.read(OUTPUT_SHOWN).decode(errors="replace")
