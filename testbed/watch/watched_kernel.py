"""What the kernel reports of a watched pair's connections, as a run has it: events, and how its packets were sent."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping
from dataclasses import replace
from ipaddress import ip_address

import numpy as np

from testbed.capture.columns import Capture
from testbed.capture.directions import FrameRun, shorter
from testbed.capture.read_file import read
from testbed.lab.collected import Collected
from testbed.lab.kernel_trace import NOT_FULL
from testbed.model import Host, peer_of
from testbed.model.errors import CaptureError
from testbed.model.ip import address_words
from testbed.model.kernel_log import KernelEvent
from testbed.observe.kernel.kernel_jsonl import write_jsonl
from testbed.observe.kernel.observed_interface import SeenInterface
from testbed.observe.kernel.trace_recording import RunSources, decode
from testbed.run.artefacts import kernel_symbols
from testbed.rundir.layout import KERNEL
from testbed.watch.call_recorder import TraceRecorder
from testbed.watch.watched_pair import WatchedPair


def write_kernel(
    pair: WatchedPair, trace: TraceRecorder, seen: Mapping[tuple[str, str], SeenInterface], collected: Collected
) -> None:
    """Write what the kernel reports of a pair since watching began; its captures are as they stay.

    ``seen``: by which name an interface is known, by target and own name.
    """
    own: dict[Host, SeenInterface] = {}
    for host, device in pair.devices.items():
        key = pair.ends[host].name, device
        if key in seen:
            own[host] = seen[key]
        else:
            collected.notes.append(f"{host}: no name tells its interface `{device}` from others: causes are inferred")
    since = max(pair.begun, trace.complete_since)
    sources = RunSources(frames=lambda: _frames(pair, own, since), symbols=kernel_symbols)
    try:
        log = decode(trace.path, pair.addresses, {}, sources, seen=own)
    except CaptureError as error:
        collected.notes.append(error.what)
        return
    events = tuple(
        event for event in log.events if pair.begun <= event.time <= pair.ended and is_between(event, pair.addresses)
    )
    lines = io.StringIO()
    write_jsonl(replace(log, events=events, timers=()), lines)
    pair.directory.write_text(KERNEL, lines.getvalue())
    collected.notes += log.problems


def is_between(event: KernelEvent, addresses: Mapping[Host, Collection[str]]) -> bool:
    """Whether an event is of a socket between the two hosts; one that names no peer may be, a listener's for instance.

    A target talks with others too, whose packets this pair's captures do not have.
    """
    if event.host is None or event.peer is None or ip_address(event.peer.address).is_unspecified:
        return True
    return event.peer.address in addresses[peer_of(event.host)]


def _frames(pair: WatchedPair, seen: Collection[Host], since: int) -> dict[Host, tuple[FrameRun, FrameRun] | str]:
    """Read what each host sent, of the frames of which stacks are recorded; what it received is not asked for."""
    found: dict[Host, tuple[FrameRun, FrameRun] | str] = {}
    for host in seen:
        try:
            sent = _sent(read(pair.directory.file(f"{host}.pcap")), pair.addresses[host], since)
        except CaptureError as error:
            found[host] = error.what
        else:
            found[host] = shorter(sent, NOT_FULL), shorter(sent, 0)
    return found


def _sent(capture: Capture, addresses: Collection[str], since: int) -> FrameRun:
    """Return the frames that have one of these addresses as source, from a time (ns) on."""
    ours = np.zeros(len(capture.version), np.bool_)
    for address in addresses:
        high, low = map(np.uint64, address_words(address))
        ours |= (capture.src_hi == high) & (capture.src_lo == low)
    rows = np.flatnonzero(ours & (capture.version > 0) & (capture.time_ns >= since))
    return FrameRun(rows + 1, capture.time_ns[rows], capture.wire[rows].astype(np.int64), np.zeros(len(rows), np.int64))
