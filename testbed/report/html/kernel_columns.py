"""What the kernel says of a run, as columns of its page and as the card that stands there without a script."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from testbed.analysis.kernel.kernel_evidence import contradictions, tally
from testbed.model import HOSTS, Analysis, Call, Host
from testbed.model.kernel_log import KernelLog, StateChange, Testimony
from testbed.report import kernel_words
from testbed.report.html.pack import Packer
from testbed.report.html.page_source import Heard, ShownPackets
from testbed.report.html.references import SentencePiece, pieces
from testbed.report.text.terminal_text import counted, duration

ROWS = 200
"""Rows of a table; the others are in result.json."""

_ENDS = 4  # ends of connections whose states are told in a line each

# ------------------------------------------------------------------ columns


def of_packets(testimony: Testimony, numbers: Sequence[int]) -> Heard:
    """Return what the kernel says of some packets, by their numbers."""
    events = kernel_words.of_packets(testimony)
    return Heard(
        [testimony.words[number] for number in numbers],
        [testimony.states.get(number) for number in numbers],
        [events.get(number, ()) for number in numbers],
    )


def put(packer: Packer, heard: Heard) -> None:
    """Add the columns of a page's packets: -1 where a number is not known, or there is no threshold yet."""
    packer.texts("packet.kernel.word", [word.agreement for word in heard.words])
    packer.texts("packet.kernel.said", [word.text for word in heard.words])
    packer.texts("packet.kernel.events", ["\n".join(events) for events in heard.events])
    for name in ("cwnd", "srtt", "wnd"):
        packer.numbers(f"packet.kernel.{name}", [getattr(state, name) if state else -1 for state in heard.states])
    thresholds = [state.ssthresh if state else None for state in heard.states]
    packer.numbers("packet.kernel.ssthresh", [-1 if each is None else each for each in thresholds])


def put_calls(packer: Packer, testimony: Testimony, calls: Sequence[Call]) -> None:
    """Add what states each call changed."""
    events = kernel_words.of_calls(testimony)
    packer.texts("call.kernel.events", ["\n".join(events.get((call.host, call.n), ())) for call in calls])


# ------------------------------------------------------------------ the card


@dataclass(frozen=True, slots=True)
class KernelRow:
    """A row of a table: time (ms since the page's time 0), host, connection, what happened, and because of what."""

    ms: str
    host: str
    flow: str
    what: tuple[str, ...]
    why: list[SentencePiece]


@dataclass(frozen=True, slots=True)
class Card:
    """All that the page says of the kernel besides single packets.

    ``ends`` are (host, connection or empty, states with what each leads to); ``more`` is how many ends are not there.
    """

    told: str
    contradictions: list[list[SentencePiece]]
    problems: tuple[str, ...]
    ends: list[tuple[str, str, list[SentencePiece]]]
    more: int
    changes: list[KernelRow]
    changes_total: int
    events: list[KernelRow]
    events_total: int
    log: KernelLog
    clock_error: str


def card(analysis: Analysis, wire: ShownPackets, base: int) -> Card | None:
    """Return the card, None without a witness. ``base`` is the page's time 0 (ns since the epoch)."""
    testimony = analysis.testimony
    if testimony is None:
        return None
    links = _Links(analysis, wire)
    joined, many = analysis.inputs.joined, len(wire.flows) > 1
    against = contradictions(joined.crossings, analysis.causes, testimony)
    ends = _ends(testimony.changes)
    events = sorted(_events(testimony, links, base, many=many), key=lambda each: each[0])
    return Card(
        told=_told(testimony),
        contradictions=[links.cut(text, None) for text in against] if testimony.log.complete else [],
        problems=testimony.log.problems,
        ends=[
            (host or "?", f"connection {flow}" if many else "", list(_states(made, links)))
            for (flow, host), made in list(ends.items())[:_ENDS]
        ],
        more=max(len(ends) - _ENDS, 0),
        changes=[_change(change, links, base, many=many) for change in testimony.changes[:ROWS]],
        changes_total=len(testimony.changes),
        events=[row for _, row in events[:ROWS]],
        events_total=len(events),
        log=testimony.log,
        clock_error=duration(testimony.log.clock_error).replace("us", "µs"),
    )


def _told(testimony: Testimony) -> str:
    counts = tally(testimony)
    return (
        f"Of {counted(len(testimony.words), 'cause')} the kernel confirms {counts['confirmed']:,} and contradicts "
        f"{counts['contradicted']:,}; {counts['not covered']:,} are not covered."
    )


class _Links:
    """Sentences with their references as links, of packets only to those that the page holds."""

    def __init__(self, analysis: Analysis, wire: ShownPackets) -> None:
        self._calls: Mapping[Host, Sequence[Call]] = analysis.inputs.calls
        self._total = wire.total
        self._held = {f"p{one.n}" for one in wire.crossings}

    def cut(self, text: str, host: Host | None) -> list[SentencePiece]:
        calls = self._calls.get(host, ()) if host else ()
        found = pieces(text, host or HOSTS[0], calls, self._total)
        return [SentencePiece(each.text) if each.target.startswith("p") and each.target not in self._held else each
                for each in found]  # fmt: skip

    def to(self, change: StateChange) -> str:
        """Return where the cause of a state change is, empty if nowhere in the page."""
        host = change.event.host
        if change.calls and host is not None and change.calls[0] < len(self._calls.get(host, ())):
            return f"{host}:{change.calls[0]}"
        target = f"p{change.packets[0]}" if change.packets else ""
        return target if target in self._held else ""


def _ends(changes: Sequence[StateChange]) -> dict[tuple[int, Host | None], list[StateChange]]:
    """Return the changes of each connection's ends, by connection and host."""
    found: dict[tuple[int, Host | None], list[StateChange]] = {}
    for change in changes:
        if change.flow is not None:
            found.setdefault((change.flow, change.event.host), []).append(change)
    return {key: found[key] for key in sorted(found, key=lambda key: (key[0], str(key[1])))}


def _states(changes: Sequence[StateChange], links: _Links) -> Iterator[SentencePiece]:
    """Yield the states that an end went through, each with what led to it."""
    before = ""
    for change in changes:
        if change.old != before:
            yield SentencePiece(change.old)
        yield SentencePiece(change.new, links.to(change))
        before = change.new


def _change(change: StateChange, links: _Links, base: int, *, many: bool) -> KernelRow:
    flow = str(change.flow) if many and change.flow is not None else ""
    host = change.event.host
    return KernelRow(
        _ms(change.event.time, base), host or "?", flow, (change.old, change.new), links.cut(change.why, host)
    )


def _events(testimony: Testimony, links: _Links, base: int, *, many: bool) -> Iterator[tuple[int, KernelRow]]:
    """Yield what was sent again, RSTs and drops, each with its time (ns since the epoch)."""
    of_all = (
        (testimony.retransmissions, kernel_words.again),
        (testimony.resets, kernel_words.reset),
        (testimony.drops, kernel_words.dropped),
    )
    for matched, words in of_all:
        for each in matched:
            flow = str(each.flow) if many and each.flow is not None else ""
            packets = " ".join(f"#{number}" for number in each.packets) or "no packet"
            told = KernelRow(
                _ms(each.event.time, base), each.event.host or "?", flow, (words(each),), links.cut(packets, None)
            )
            yield each.event.time, told


def _ms(time: int, base: int) -> str:
    return f"{(time - base) / 1e6:,.3f}"
