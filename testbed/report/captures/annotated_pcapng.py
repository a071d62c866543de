"""``annotated.pcapng``: both captures in one file, with what is known of each packet as comments for Wireshark.

The interfaces are named ``client`` and ``server``. A packet seen at both ends stands there twice, once for each.
Every packet between the two hosts carries its comments: the cause with its evidence, the calls with their place in the
program, its fate where it did not cross, what changed on the way, and, where there was a witness, the kernel's word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from testbed.capture.containers.pcapng_write import Writer
from testbed.model import HOSTS, Analysis, Call, Cause, Crossing, Fate, Host, peer_of
from testbed.model.version import VERSION
from testbed.report import kernel_words
from testbed.report.text.change_text import change_text
from testbed.report.text.ladder import show_call
from testbed.report.text.link_text import link_texts
from testbed.report.text.terminal_text import duration, escape
from testbed.report.text.verdict_text import verdict_text

if TYPE_CHECKING:
    from testbed.capture.columns import Capture
    from testbed.model.kernel_log import Testimony

NAME = "annotated.pcapng"

_ROOM = 100  # characters of a call
_MOST_CALLS = 8


def write(stream: BinaryIO, analysis: Analysis, captures: Mapping[Host, Capture]) -> None:
    """Write the captures that there are, merged by time."""
    comment = "; ".join(escape(sentence) for sentence in verdict_text(analysis))
    writer = Writer(stream, application=f"bothends {VERSION}", comment=comment)
    numbers: dict[tuple[Host, int], int] = {}
    for host in (host for host in HOSTS if host in captures):
        for index, interface in enumerate(captures[host].interfaces):
            name = host if len(captures[host].interfaces) == 1 else f"{host} {interface.name or index}"
            numbers[host, index] = writer.interface(name, interface.link_type, interface.snap_length)
    notes = _notes(analysis)
    for host, row in _by_time(captures):
        capture = captures[host]
        writer.packet(
            numbers[host, int(capture.interface[row])],
            int(capture.time_ns[row]),
            capture.frame(row),
            int(capture.wire[row]),
            notes[host].get(row + 1, ()),
        )


def _by_time(captures: Mapping[Host, Capture]) -> Iterator[tuple[Host, int]]:
    hosts = [host for host in HOSTS if host in captures]
    if not hosts:
        return
    times = np.concatenate([captures[host].time_ns for host in hosts])
    host_of = np.concatenate([np.full(len(captures[host]), k) for k, host in enumerate(hosts)])
    rows = np.concatenate([np.arange(len(captures[host])) for host in hosts])
    for k in np.argsort(times, kind="stable").tolist():
        yield hosts[int(host_of[k])], int(rows[k])


def _notes(analysis: Analysis) -> dict[Host, dict[int, list[str]]]:
    """Return the comments of each host's frames."""
    notes: dict[Host, dict[int, list[str]]] = {host: {} for host in HOSTS}
    calls = {host: {call.n: call for call in analysis.inputs.calls.get(host, ())} for host in HOSTS}
    joined = analysis.inputs.joined
    names = {flow.endpoint(host).address: host for flow in joined.flows for host in HOSTS}
    said = _kernel(analysis.testimony)
    for crossing, cause in zip(joined.crossings, analysis.causes, strict=True):
        comments = list(_comments(crossing, cause, calls[crossing.sender], names))
        comments += said.get(crossing.n, ())
        places: tuple[tuple[Host, int | None], ...] = (("client", crossing.at_client), ("server", crossing.at_server))
        for host, frame in places:
            if frame is not None:
                # a segment that was merged on its way stands for several crossings
                notes[host].setdefault(frame, []).extend(comments)
    return notes


def _kernel(testimony: Testimony | None) -> dict[int, list[str]]:
    """Return what the kernel says of each packet, by its number; nothing without a witness."""
    if testimony is None:
        return {}
    events = kernel_words.of_packets(testimony)
    told: dict[int, list[str]] = {}
    for number, word in enumerate(testimony.words):
        told[number] = [f"kernel: cause {word.agreement}" + (f": {escape(word.text)}" if word.text else "")]
        told[number] += [f"kernel: {escape(event)}" for event in events.get(number, ())]
        if number in testimony.states:
            told[number].append(f"kernel: sent with {kernel_words.sent_with(testimony.states[number])}")
    return told


def _comments(crossing: Crossing, cause: Cause, calls: Mapping[int, Call], names: Mapping[str, str]) -> Iterator[str]:
    sender = crossing.sender
    yield f"#{crossing.n} cause: {cause.kind.value}, {cause.rule}: {escape(cause.evidence)}"
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
        yield f"note: {escape(crossing.note)}"
