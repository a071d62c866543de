"""What one run shows of its socket calls: the packets that each caused, what it did not send, what timers sent. Pure.

A fact has two forms: for people (``packets``), and for comparing with another kernel's (``wire``), which leaves out
what TCP may do or not (bare ACKs), how a long transfer is cut, and all numbers within reasons.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from testbed.analysis.calls.streams import build_streams
from testbed.analysis.expect.run_facts import RunFacts, packets_of
from testbed.campaign.signature import MANY, facets
from testbed.model import HOSTS, Analysis, Call, CauseKind, Crossing, Evidence, Fate, Host, LedgerRow
from testbed.model.absences import NoPacket, NoPacketReason
from testbed.report.evidence_text import without_numbers
from testbed.report.no_packet_text import no_packet
from testbed.report.text.ladder import show_call
from testbed.report.text.terminal_text import quote

SENDING = frozenset({"send", "sendto", "sendmsg", "sendmmsg", "write", "writev", "sendfile", "splice"})
ASKED = SENDING | {"connect", "shutdown", "close", "closesocket"}
"""Calls of which it is news when they send nothing."""
_ROOM = 30
_PAYLOAD = 20
_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Fact:
    """One call: as C would show it, the packets that it caused with their answers, or why there was none.

    ``first`` is the number of the first packet that it caused, None without any; ``time`` when it stands in a ladder.
    """

    host: Host
    name: str
    text: str
    packets: tuple[str, ...]
    wire: tuple[str, ...]
    absence: NoPacket | None
    first: int | None
    time: int

    @property
    def why(self) -> Evidence:
        """Why there was no packet, empty where there was one."""
        return () if self.absence is None else no_packet(self.absence)


def facts(analysis: Analysis) -> list[Fact]:
    """Return the facts of both hosts' calls in time order."""
    inputs = analysis.inputs
    streams = build_streams(inputs.joined, inputs.calls, inputs.observed)
    findings = RunFacts(inputs, streams, analysis.causes, analysis.ledger, analysis.no_packet)
    names = inputs.address_names
    found = [
        _fact(call, findings, names)
        for host in HOSTS
        for call in inputs.calls.get(host, ())
        if _matters(call, findings) and (call.socket is None or call.socket.protocol != "other")
    ]
    return sorted(found, key=lambda fact: fact.time)


def _matters(call: Call, findings: RunFacts) -> bool:
    if findings.caused.get((call.host, call.n)):
        return True
    if call.name in ASKED:
        absence = findings.no_packet.get((call.host, call.n))
        return absence is not None and absence.reason is not NoPacketReason.STOPS_LISTENING
    return bool(call.errno) and call.errno not in ("EAGAIN", "EINPROGRESS") and call.direction == "in"


def _fact(call: Call, findings: RunFacts, names: Mapping[str, str]) -> Fact:
    own = findings.caused.get((call.host, call.n), [])
    chain = packets_of(call, findings)
    waited = call.direction == "in" and call.end is not None
    return Fact(
        call.host,
        call.name,
        show_call(call, _ROOM, names),
        _cut([packet_text(packet) + _shared(packet, call, findings) for packet in chain]),
        tuple(_plain(packet) for packet in chain if not _is_bare_ack(packet)),
        findings.no_packet.get((call.host, call.n)),
        own[0] if own else None,
        call.end if waited and call.end is not None else call.start,
    )


def _plain(packet: Crossing) -> str:
    """Return a packet for comparing: its fate is told once, and PSH on a FIN is the sender's choice."""
    return packet_text(packet).removesuffix(f" ({packet.fate})").replace(" FP.", " F.")


def _shared(packet: Crossing, call: Call, findings: RunFacts) -> str:
    """Say that a packet is of several calls: bytes that waited leave with others."""
    count = len(findings.causes[packet.n].calls)
    return f" (of {count} calls)" if packet.sender == call.host and count > 1 else ""


def packet_text(packet: Crossing) -> str:
    """Return a packet in short: ``client P. "c"``, ``server ICMP``."""
    words = [packet.sender, packet.flags or ("" if packet.protocol == "udp" else packet.protocol.upper())]
    if packet.protocol == "udp" or (packet.length and packet.protocol == "tcp"):
        words.append(quote(packet.payload, _PAYLOAD, packet.length))
    return " ".join(filter(None, words)) + ("" if packet.fate is Fate.CROSSED else f" ({packet.fate})")


def _is_bare_ack(packet: Crossing) -> bool:
    return packet.flags == "." and not packet.length


def _cut(texts: list[str]) -> tuple[str, ...]:
    if len(texts) <= _SHOWN:
        return tuple(texts)
    return (*texts[: _SHOWN - 2], f"{len(texts) - _SHOWN + 1} more", texts[-1])


def timers(analysis: Analysis) -> list[tuple[Host, str, int, str]]:
    """Return what the kernel sent later by itself: host, rule, how often, an example."""
    found: Counter[tuple[Host, str]] = Counter()
    example: dict[tuple[Host, str], str] = {}
    for packet, cause in zip(analysis.inputs.joined.crossings, analysis.causes, strict=True):
        if cause.kind is CauseKind.TIMER:
            key = (packet.sender, cause.rule)
            found[key] += 1
            example.setdefault(key, packet_text(packet))
    return [(host, rule, count, example[host, rule]) for (host, rule), count in found.items()]


def compared(analysis: Analysis, *, exact: bool) -> dict[str, list[str]]:
    """Return what of a run must be the same on another kernel, in lines by name.

    Left out is what TCP may do or not: bare ACKs, tail-loss probes, how often something is repeated, whether a FIN
    rides on data, how many bytes of a stream that broke off had come how far. Of others' programs (not ``exact``) what
    they say is their own; compared is what the kernels made of it.
    """
    crossings = analysis.inputs.joined.crossings
    told: dict[str, list[str]] = {
        "calls": list(_lines(facts(analysis))) if exact else [],
        "segments": facets(analysis)["segments"] if exact else [],
        "packets": list(_packets(analysis)),
        "causes": list(_causes(analysis)),
        "fates": sorted(
            {each.fate.value for each in crossings if each.fate is not Fate.CROSSED and not _is_bare_ack(each)}
        ),
        "ledger": [_row(row, exact=exact) for row in analysis.ledger],
    }
    return {name: [_ADDRESS.sub("ADDRESS", line) for line in lines] for name, lines in told.items() if lines}


_ADDRESS = re.compile(r"\b[0-9]{1,3}(?:\.[0-9]{1,3}){3}\b|\b[0-9a-f]{1,4}:[0-9a-f:]*:[0-9a-f]{1,4}\b")


def _packets(analysis: Analysis) -> Iterator[str]:
    """Yield each host's kinds of control packets, of those that no timer sent."""
    for host in HOSTS:
        found = {
            packet.flags.replace("FP", "F")
            for packet, cause in zip(analysis.inputs.joined.crossings, analysis.causes, strict=True)
            if packet.sender == host and cause.kind is not CauseKind.TIMER and set(packet.flags) & set("SRFU")
        }
        yield from [f"{host}: {', '.join(sorted(found))}"] if found else []


def _causes(analysis: Analysis) -> Iterator[str]:
    for host in HOSTS:
        found = {
            cause.rule
            for packet, cause in zip(analysis.inputs.joined.crossings, analysis.causes, strict=True)
            if packet.sender == host and not _is_bare_ack(packet) and not cause.traits.timing
        }
        yield from [f"{host}: {', '.join(sorted(found))}"] if found else []


def _row(row: LedgerRow, *, exact: bool) -> str:
    """Return how far the bytes came: all or some of those written; the number where all were read."""
    written, points = row.written.bytes, []
    for point in ("sent", "arrived", "read"):
        number = getattr(row, point).bytes
        share = "?" if number is None else "none" if not number else "all" if number == written else "some"
        points.append(f"{point} {share}")
    total = "?" if written is None else f"{written:,}" if exact else "some" if written else "none"
    return f"#{row.flow} {row.sender}: written {total}, {', '.join(points)}"


def _lines(found: Sequence[Fact]) -> Iterator[str]:
    """Yield a line for each host's calls in their order; those of a long transfer in one."""
    for host in HOSTS:
        own = [fact for fact in found if fact.host == host]
        many = sum(len(fact.wire) for fact in own) > MANY
        lines: list[str] = []
        for fact in own:
            if many and fact.name in SENDING:
                lines.append(f"{host} {fact.name}: many segments")
            elif many and fact.name not in ASKED:
                continue
            else:
                # the time of a window update, and so which read makes it, is the scheduler's
                text = fact.text if fact.name in ASKED or not fact.wire else f"{fact.name}()"
                ending = ", ".join(fact.wire) or f"nothing: {without_numbers(fact.why)}"
                if fact.name not in ASKED and not fact.wire and fact.absence is None:
                    ending = "nothing"
                if fact.name not in ASKED and fact.packets and not fact.wire:
                    continue
                lines.append(f"{host} {text}: {ending}")
        yield from dict.fromkeys(lines)


@dataclass(frozen=True, slots=True)
class PictureRow:
    """One row of a picture: calls of either host, a packet between them, or how much is left out."""

    client: str = ""
    server: str = ""
    packet: Crossing | None = None
    kind: str = ""
    gap: str = ""


_MOST = 18
_LATER = 100_000_000
"""Nanoseconds from which the wait before a packet is worth telling."""


def rows(analysis: Analysis) -> list[PictureRow]:
    """Return the picture of a run in rows, at most _MOST of them."""
    crossings = analysis.inputs.joined.crossings
    by_packet: dict[int, list[Fact]] = {}
    events: list[tuple[int, int, Any]] = [(packet.time, 1, packet) for packet in crossings]
    for fact in facts(analysis):
        if fact.first is not None:
            by_packet.setdefault(fact.first, []).append(fact)
        else:
            events.append((fact.time, 0, fact))
    events.sort(key=lambda event: event[:2])
    found: list[PictureRow] = []
    before: int | None = None
    for time, _, event in events:
        gap = f"{(time - before) / 1e9:.1f} s" if before is not None and time - before >= _LATER else ""
        before = time
        if isinstance(event, Crossing):
            own = {host: [fact for fact in by_packet.get(event.n, ()) if fact.host == host] for host in HOSTS}
            client, server = (_several(own[host]) for host in HOSTS)
            found.append(PictureRow(client, server, event, analysis.causes[event.n].kind.value, gap))
        else:
            client, server = (event.text if event.host == host else "" for host in HOSTS)
            found.append(PictureRow(client, server, None, "silent" if event.absence is not None else "", gap))
    if len(found) <= _MOST:
        return found
    head, tail = _MOST * 2 // 3, _MOST // 3 - 1
    left = sum(row.packet is not None for row in found[head:-tail])
    return [*found[:head], PictureRow(gap=f"{left:,} more packets"), *found[-tail:]]


def _several(own: list[Fact]) -> str:
    """One call as C would show it, several by name: ``send + send + close``."""
    return own[0].text if len(own) == 1 else " + ".join(fact.name for fact in own)
