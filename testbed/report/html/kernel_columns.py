"""What a kernel trace says of a run, as columns of its page and as the card that needs no script."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from testbed.model import HOSTS, Analysis, Call, CallRef, Cause, Crossing, Host, PacketRef, packet_refs, peer_of
from testbed.model.kernel_log import Agreement, KernelEvidence, KernelLog, Matched, StateChange, TimerRun
from testbed.report import kernel_words
from testbed.report.html.links import LinkedPiece, Links, put_sentences
from testbed.report.html.pack import Packer
from testbed.report.html.page_source import KernelOfPackets, ShownPackets
from testbed.report.text.contradiction_text import kernel_contradictions
from testbed.report.text.terminal_text import counted, duration

ROWS = 200
"""Rows of a table; the others are in result.json."""

_ENDPOINTS = 4  # endpoints of connections whose states have a line each

# ------------------------------------------------------------------ columns


def of_packets(kernel: KernelEvidence, causes: Sequence[Cause], numbers: Sequence[int]) -> KernelOfPackets:
    """Return what a kernel trace says of some packets, by their numbers; ``causes`` are those of all packets."""
    events = kernel_words.of_packets(kernel)
    return KernelOfPackets(
        [kernel.assessments[number] for number in numbers],
        [origin.stack if (origin := causes[number].origin) is not None else () for number in numbers],
        [kernel.send_states.get(number) for number in numbers],
        [events.get(number, ()) for number in numbers],
    )


def put(packer: Packer, kernel: KernelOfPackets) -> None:
    """Add the columns of a page's packets: -1 where a number is not known, or there is no threshold yet."""
    packer.texts("packet.kernel.agreement", [each.agreement.value for each in kernel.assessments])
    put_sentences(packer, "packet.kernel.evidence", [each.evidence for each in kernel.assessments])
    packer.texts("packet.kernel.stack", ["\n".join(stack) for stack in kernel.stacks])
    packer.texts("packet.kernel.events", ["\n".join(events) for events in kernel.events])
    for name in ("cwnd", "srtt", "wnd"):
        packer.numbers(f"packet.kernel.{name}", [getattr(state, name) if state else -1 for state in kernel.states])
    thresholds = [state.ssthresh if state else None for state in kernel.states]
    packer.numbers("packet.kernel.ssthresh", [-1 if each is None else each for each in thresholds])


def put_calls(packer: Packer, kernel: KernelEvidence, calls: Sequence[Call]) -> None:
    """Add what states each call changed."""
    events = kernel_words.of_calls(kernel)
    packer.texts("call.kernel.events", ["\n".join(events.get((call.host, call.n), ())) for call in calls])


# ------------------------------------------------------------------ the card


@dataclass(frozen=True, slots=True)
class KernelRow:
    """A row of a table: time (ms since the page's time 0), host, connection, what happened, and because of what."""

    ms: str
    host: str
    flow: str
    what: tuple[str, ...]
    why: list[LinkedPiece]


@dataclass(frozen=True, slots=True)
class Card:
    """All that the page says of the kernel besides single packets.

    ``endpoints`` are (host, connection or empty, states with what each leads to); ``more`` is how many are left out.
    """

    counts: str
    contradictions: list[list[LinkedPiece]]
    problems: tuple[str, ...]
    endpoints: list[tuple[str, str, list[LinkedPiece]]]
    more: int
    changes: list[KernelRow]
    changes_total: int
    events: list[KernelRow]
    events_total: int
    timers: list[KernelRow]
    timers_total: int
    log: KernelLog
    clock_error: str


def card(analysis: Analysis, wire: ShownPackets, base: int) -> Card | None:
    """Return the card, None without a kernel trace. ``base`` is the page's time 0 (ns since the epoch)."""
    kernel = analysis.kernel
    if kernel is None:
        return None
    links, many = Links(one.n for one in wire.crossings), len(wire.flows) > 1
    endpoints = _endpoints(kernel.state_changes)
    events = sorted(_events(kernel, links, base, many=many), key=lambda each: each[0])
    return Card(
        counts=_counts(kernel),
        contradictions=[links.linked(each) for each in kernel_contradictions(analysis)] if kernel.log.complete else [],
        problems=kernel.log.problems,
        endpoints=[
            (host or "?", f"connection {flow}" if many else "", list(_states(made, links)))
            for (flow, host), made in list(endpoints.items())[:_ENDPOINTS]
        ],
        more=max(len(endpoints) - _ENDPOINTS, 0),
        changes=[_change(change, links, base, many=many) for change in kernel.state_changes[:ROWS]],
        changes_total=len(kernel.state_changes),
        events=[row for _, row in events[:ROWS]],
        events_total=len(events),
        timers=list(_timers(analysis, kernel.log.timers[:ROWS], links, base, many=many)),
        timers_total=len(kernel.log.timers),
        log=kernel.log,
        clock_error=duration(kernel.log.clock_error).replace("us", "µs"),
    )


def _counts(kernel: KernelEvidence) -> str:
    confirmed, consistent, not_covered, contradicted = (kernel.count(agreement) for agreement in Agreement)
    fits = f"{consistent:,} more fit its events; " if consistent else ""
    return (
        f"Of {counted(len(kernel.assessments), 'cause')} the kernel confirms {confirmed:,} and contradicts "
        f"{contradicted:,}; {fits}{not_covered:,} are not covered."
    )


def _target(change: StateChange, links: Links) -> str:
    """Return where the cause of a state change is, empty if nowhere in the page."""
    if change.calls and change.event.host is not None:
        return links.target(CallRef(change.event.host, change.calls[0], ""))
    return links.target(PacketRef(change.packets[0])) if change.packets else ""


def _endpoints(changes: Sequence[StateChange]) -> dict[tuple[int, Host | None], list[StateChange]]:
    """Return the changes of each endpoint, by connection and host."""
    found: dict[tuple[int, Host | None], list[StateChange]] = {}
    for change in changes:
        if change.flow is not None:
            found.setdefault((change.flow, change.event.host), []).append(change)
    return {key: found[key] for key in sorted(found, key=lambda key: (key[0], str(key[1])))}


def _states(changes: Sequence[StateChange], links: Links) -> Iterator[LinkedPiece]:
    """Yield the states that an endpoint went through, each with what led to it."""
    before = ""
    for change in changes:
        if change.old != before:
            yield LinkedPiece(change.old)
        yield LinkedPiece(change.new, _target(change, links))
        before = change.new


def _change(change: StateChange, links: Links, base: int, *, many: bool) -> KernelRow:
    flow = str(change.flow) if many and change.flow is not None else ""
    because = links.linked(change.evidence)
    return KernelRow(_ms(change.event.time, base), change.event.host or "?", flow, (change.old, change.new), because)


def _events(kernel: KernelEvidence, links: Links, base: int, *, many: bool) -> Iterator[tuple[int, KernelRow]]:
    """Yield retransmissions, RSTs and drops, each with its time (ns since the epoch)."""
    of_all: tuple[tuple[tuple[Matched, ...], Callable[[Matched], str]], ...] = (
        (kernel.retransmissions, kernel_words.again),
        (kernel.resets, kernel_words.reset),
        (kernel.drops, kernel_words.dropped),
    )
    for matched, words in of_all:
        for each in matched:
            flow = str(each.flow) if many and each.flow is not None else ""
            about = links.linked((packet_refs(each.packets),) if each.packets else ("no packet",))
            row = KernelRow(_ms(each.event.time, base), each.event.host or "?", flow, (words(each),), about)
            yield each.event.time, row


_SOON = 1_000_000
"""ns within which what a timer sends has left."""


def _timers(
    analysis: Analysis, timers: Iterable[TimerRun], links: Links, base: int, *, many: bool
) -> Iterator[KernelRow]:
    """Yield each run of a timer with the packets that it sent, or that it sent none."""
    joined = analysis.inputs.joined
    flows = {(host, flow.endpoint(host), flow.endpoint(peer_of(host))): flow for flow in joined.flows for host in HOSTS}
    sent: dict[tuple[Host, int | None, str], list[Crossing]] = {}
    for crossing, cause in zip(joined.crossings, analysis.causes, strict=True):
        if cause.origin is not None and cause.origin.timer and crossing.sent is not None:
            sent.setdefault((crossing.sender, crossing.flow, cause.origin.timer), []).append(crossing)
    for timer in timers:
        flow = flows.get((timer.host, timer.local, timer.peer))
        index = None if flow is None else flow.index
        began = sent.get((timer.host, index, timer.function), ())
        packets = tuple(
            each.n for each in began if each.sent is not None and timer.time <= each.sent < timer.time + _SOON
        )
        about = links.linked((packet_refs(packets),) if packets else ("no packet",))
        yield KernelRow(
            _ms(timer.time, base), timer.host, str(index) if many and flow else "", (timer.function,), about
        )


def _ms(time: int, base: int) -> str:
    return f"{(time - base) / 1e6:,.3f}"
