"""``annotated.pcapng``: both captures in one file, with what is known of each packet as comments for Wireshark.

The interfaces are named ``client`` and ``server``, a loopback ``server loopback``. A packet seen at both ends stands
there twice, once for each.
Every packet between the two hosts carries its comments: the cause with its evidence, the calls with their place in the
program, its fate where it did not cross, what changed on the way, and, with a kernel trace, what that says of it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from testbed.capture.containers.pcapng_write import Writer
from testbed.model import HOSTS, Analysis, Call, Cause, Crossing, Fate, Host, peer_of
from testbed.model.event_times import place_of
from testbed.model.version import VERSION
from testbed.report import kernel_words
from testbed.report.cause_words import cause_names, full_evidence
from testbed.report.evidence_text import sentence
from testbed.report.text.change_text import change_text
from testbed.report.text.finding_text import headline
from testbed.report.text.ladder import show_call
from testbed.report.text.link_text import link_texts
from testbed.report.text.terminal_text import duration, escape
from testbed.report.text.verdict_text import verdict_text

if TYPE_CHECKING:
    from testbed.capture.columns import Capture
    from testbed.model.kernel_log import KernelEvidence

NAME = "annotated.pcapng"

_ROOM = 100  # characters of a call
_MOST_CALLS = 8


def write(
    stream: BinaryIO,
    analysis: Analysis,
    captures: Mapping[Host, Capture],
    loopbacks: Mapping[Host, Capture] = MappingProxyType({}),
) -> None:
    """Write the captures that there are, merged in the order in which they passed."""
    found = analysis.diagnosis.findings if analysis.diagnosis is not None else ()
    comment = "; ".join(map(escape, (*map(headline, found), *verdict_text(analysis))))
    writer = Writer(stream, application=f"bothends {VERSION}", comment=comment)
    numbers: dict[tuple[Host, int], int] = {}
    for host in (host for host in HOSTS if host in captures):
        for index, interface in enumerate(captures[host].interfaces):
            name = host if len(captures[host].interfaces) == 1 else f"{host} {interface.name or index}"
            numbers[host, index] = writer.interface(name, interface.link_type, interface.snap_length)
    looped = {host: writer.interface(f"{host} loopback", *_link_of(capture)) for host, capture in loopbacks.items()}
    notes = _notes(analysis)
    between = _in_order(captures, analysis.inputs.joined.crossings)
    for _, host, row, loopback in heapq.merge(
        _timed(captures, between), _looped(loopbacks, analysis), key=itemgetter(0)
    ):
        if loopback:
            capture = loopbacks[host]
            writer.packet(looped[host], int(capture.time_ns[row]), capture.frame(row), int(capture.wire[row]), ())
            continue
        capture = captures[host]
        writer.packet(
            numbers[host, int(capture.interface[row])],
            int(capture.time_ns[row]),
            capture.frame(row),
            int(capture.wire[row]),
            notes[host].get(row + 1, ()),
        )


def _link_of(capture: Capture) -> tuple[int, int]:
    return capture.interfaces[0].link_type, capture.interfaces[0].snap_length


def _timed(
    captures: Mapping[Host, Capture], between: Iterable[tuple[Host, int]]
) -> Iterator[tuple[int, Host, int, bool]]:
    for host, row in between:
        yield int(captures[host].time_ns[row]), host, row, False


def _looped(loopbacks: Mapping[Host, Capture], analysis: Analysis) -> list[tuple[int, Host, int, bool]]:
    """Return time, host and row of each packet over a loopback, but for the lab's own, by time."""
    return sorted(
        (packet.time, host, packet.frame - 1, True)
        for host in loopbacks
        for packet in analysis.inputs.loopback[host].packets
    )


def _in_order(captures: Mapping[Host, Capture], crossings: Iterable[Crossing]) -> Iterator[tuple[Host, int]]:
    """Yield host and row of each frame by time; those of one time as their packets passed."""
    hosts = [host for host in HOSTS if host in captures]
    if not hosts:
        return
    places = {host: np.zeros(len(captures[host]), np.int64) for host in hosts}
    for crossing in crossings:
        passed: tuple[tuple[Host, int | None], ...] = (("client", crossing.at_client), ("server", crossing.at_server))
        for host, frame in passed:
            if frame is not None and host in places:
                places[host][frame - 1] = place_of(crossing.sent if host == crossing.sender else crossing.arrived)
    times = np.concatenate([captures[host].time_ns for host in hosts])
    # a frame that is no packet between the hosts stays behind the one before it
    place = np.concatenate([np.maximum.accumulate(places[host]) for host in hosts])
    host_of = np.concatenate([np.full(len(captures[host]), k) for k, host in enumerate(hosts)])
    rows = np.concatenate([np.arange(len(captures[host])) for host in hosts])
    for k in np.lexsort((place, times)).tolist():
        yield hosts[int(host_of[k])], int(rows[k])


def _notes(analysis: Analysis) -> dict[Host, dict[int, list[str]]]:
    """Return the comments of each host's frames."""
    notes: dict[Host, dict[int, list[str]]] = {host: {} for host in HOSTS}
    calls = {host: {call.n: call for call in analysis.inputs.calls.get(host, ())} for host in HOSTS}
    joined = analysis.inputs.joined
    names = analysis.inputs.address_names
    by_kernel = _kernel(analysis.kernel, analysis.causes)
    named: dict[int, list[str]] = {}
    for finding in analysis.diagnosis.findings if analysis.diagnosis is not None else ():
        for n in dict.fromkeys(finding.packets):
            named.setdefault(n, []).append(f"finding: {escape(headline(finding))}")
    for crossing, cause in zip(joined.crossings, analysis.causes, strict=True):
        comments = list(_comments(crossing, cause, calls[crossing.sender], names))
        comments += [*named.get(crossing.n, ()), *by_kernel.get(crossing.n, ())]
        places: tuple[tuple[Host, int | None], ...] = (("client", crossing.at_client), ("server", crossing.at_server))
        for host, frame in places:
            if frame is not None:
                # a segment that was merged on its way stands for several crossings
                notes[host].setdefault(frame, []).extend(comments)
    return notes


def _kernel(kernel: KernelEvidence | None, causes: Sequence[Cause]) -> dict[int, list[str]]:
    """Return what the kernel trace says of each packet, by its number; nothing without one."""
    if kernel is None:
        return {}
    events = kernel_words.of_packets(kernel)
    found: dict[int, list[str]] = {}
    for number, each in enumerate(kernel.assessments):
        evidence = f": {escape(sentence(each.evidence))}" if each.evidence else ""
        found[number] = [f"kernel: cause {each.agreement}{evidence}"]
        origin = causes[number].origin
        if origin is not None:
            found[number].append(f"kernel: sent from {escape(' < '.join(origin.stack))}")
        found[number] += [f"kernel: {escape(event)}" for event in events.get(number, ())]
        if number in kernel.send_states:
            found[number].append(f"kernel: sent with {kernel_words.sent_with(kernel.send_states[number])}")
    return found


def _comments(crossing: Crossing, cause: Cause, calls: Mapping[int, Call], names: Mapping[str, str]) -> Iterator[str]:
    sender = crossing.sender
    yield f"#{crossing.n} cause: {cause.kind.value}, {cause_names(cause)}: {escape(sentence(full_evidence(cause)))}"
    for n in cause.calls[:_MOST_CALLS]:
        if n in calls:
            place = calls[n].source or calls[n].caller
            where = f" at {escape(place)}" if place else ""
            yield f"call: {sender} #{n} {show_call(calls[n], _ROOM, names)}{where}"
    if len(cause.calls) > _MOST_CALLS:
        yield f"call: and {len(cause.calls) - _MOST_CALLS:,} more of the {sender}'s calls"
    if crossing.fate is Fate.LOST:
        yield f"lost: not captured at the {peer_of(sender)}"
    elif crossing.fate is Fate.APPEARED:
        yield f"appeared: not captured at the {sender}"
    elif crossing.sent is not None and crossing.arrived is not None:
        yield f"one way: {duration(crossing.arrived - crossing.sent)}"
    if crossing.made:
        yield f"link: made by the link: {crossing.made}"
    if done := link_texts(crossing.link):
        yield f"link: {'; '.join(map(escape, done))}"
    for change in crossing.changes:
        what, sent, arrived = change_text(change)
        yield f"altered: {what}: {escape(sent)} -> {escape(arrived)}"
    if crossing.note:
        yield f"note: {escape(sentence(crossing.note))}"
