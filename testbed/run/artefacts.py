"""Write what a run leaves besides captures and output: call logs, the kernel's trace, the manifest."""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.lab import kernel_trace
from testbed.lab.collected import Collected
from testbed.lab.engine import LabSpec, LiveLab
from testbed.model import Host
from testbed.model.errors import CaptureError
from testbed.run import build_manifest
from testbed.run.capture_files import CaptureFiles
from testbed.run.scenario_to_lab import egress_of, witness_wanted
from testbed.run.traced_calls import take_traced_calls
from testbed.rundir.layout import KERNEL, MANIFEST, RECORDING, RunDirectory

if TYPE_CHECKING:  # pydantic is slow to import: whoever has a scenario has imported what it needs
    from testbed.capture.arrivals import Arrivals
    from testbed.capture.directions import FrameRun
    from testbed.scenario.scenario import Scenario


def write_artefacts(
    scenario: Scenario,
    spec: LabSpec,
    directory: RunDirectory,
    started: datetime,
    live: LiveLab | None,
    collected: Collected | None,
    error: str,
    *,
    by_hand: bool = False,
    captures: CaptureFiles | None = None,
) -> None:
    """Write call logs and manifest, whatever there is; ``by_hand``: calls were made or let go by a person.

    ``captures`` are those of the directory, where they are wanted afterwards too.
    """
    if collected is not None:
        take_traced_calls(directory.file(RECORDING), live, collected)
        _write_calls(directory, collected, spec.hosts)
        if live is not None:
            wanted = scenario.observe.kernel
            queued = egress_of(scenario)
            files = captures or CaptureFiles(directory)
            _write_kernel(directory, spec, live, collected, files, queued, wanted=bool(wanted), needed=wanted is True)
    source = scenario.source.encode()
    directory.write_json(
        MANIFEST,
        build_manifest.build(
            scenario={
                "name": scenario.name,
                "summary": scenario.summary,
                "path": str(scenario.path),
                "sha256": hashlib.sha256(source).hexdigest(),
                "settings": scenario.settings,
                "seed": scenario.seed,
                "timeout_s": scenario.timeout,
                "offloads": scenario.offloads,
                "by_hand": by_hand,
            },
            spec=spec,
            started=started,
            observed={host: _observer(scenario, collected, host) for host in spec.hosts},
            live=live,
            collected=collected,
            error=error,
            witness=witness_wanted(scenario),
        ),
    )


def _observer(scenario: Scenario, collected: Collected | None, host: Host) -> str:
    """Return what a host was observed by, else what was asked for."""
    chosen = collected.observers.get(host) if collected is not None else None
    return chosen or str(getattr(scenario.observe, host))


def _write_calls(directory: RunDirectory, collected: Collected, hosts: Iterable[Host]) -> None:
    from testbed.observe.calls_jsonl import write_jsonl

    for host in hosts:
        lines = io.StringIO()
        write_jsonl(collected.calls.get(host, ()), lines)
        directory.write_text(f"{host}.calls.jsonl", lines.getvalue())


def _write_kernel(
    directory: RunDirectory,
    spec: LabSpec,
    live: LiveLab,
    collected: Collected,
    captures: CaptureFiles,
    queued: Collection[Host],
    *,
    wanted: bool,
    needed: bool,
) -> None:
    """Turn the witness's recording into ``kernel.jsonl`` if it is ``wanted``; what is wrong with it is noted.

    ``queued`` are the hosts whose interface has a queue.
    """
    recording = directory.file(RECORDING)
    if not recording.exists():
        return
    if not wanted:
        recording.unlink()
        return
    from testbed.observe.kernel.kernel_jsonl import write_jsonl
    from testbed.observe.kernel.trace_recording import RunSources, decode

    own = {host: addresses.all for host, addresses in live.addresses.items()}
    sources = RunSources(
        lambda: _arrivals(captures, own),
        lambda: _frames(captures, own, spec.witness),
        kernel_symbols,
    )
    try:
        log = decode(recording, own, live.devices, sources, queued=queued)
    except CaptureError as error:
        problems: tuple[str, ...] = (error.what,)
    else:
        lines = io.StringIO()
        write_jsonl(log, lines)
        directory.write_text(KERNEL, lines.getvalue())
        problems = log.problems
    finally:
        recording.unlink()
    (collected.incomplete if needed else collected.notes).extend(problems)


def _arrivals(captures: CaptureFiles, addresses: Mapping[Host, Collection[str]]) -> dict[Host, Arrivals]:
    """Read what came to each host that has a capture; what is wrong with one is reported where it is evaluated."""
    from testbed.capture.arrivals import Arrivals

    found = {}
    for host, own in addresses.items():
        with contextlib.suppress(CaptureError):
            found[host] = Arrivals(captures.of(host), own)
    return found


def kernel_symbols() -> str:
    """Return the names of this machine's kernel functions, nothing where they may not be read."""
    try:
        return Path("/proc/kallsyms").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _frames(
    captures: CaptureFiles, addresses: Mapping[Host, Collection[str]], recorder: Sequence[str]
) -> dict[Host, tuple[FrameRun, FrameRun] | str]:
    """Read what each host's interface sent, as far as the recorder was asked for it, and received; or why not."""
    from testbed.capture.directions import by_direction, shorter

    found: dict[Host, tuple[FrameRun, FrameRun] | str] = {}
    for host, own in addresses.items():
        try:
            sent, received = by_direction(captures.of(host), own)
            found[host] = shorter(sent, kernel_trace.shorter_than(recorder)), received
        except (CaptureError, ValueError) as error:
            found[host] = str(error)
    return found
