"""Expectations about packets: which a pattern means, how many, in which order, and how far apart.

Flags must be equal as a set of letters; a ``P`` more is allowed on a FIN, which may ride on data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from testbed.analysis.expect.run_facts import Result, RunFacts, every, listed, time_at
from testbed.model import HOSTS, CauseKind, CauseName, Crossing, Host, PacketRef, peer_of
from testbed.model.evidence import Part
from testbed.model.expect import (
    CallMoment,
    ExpectedCauses,
    ExpectedIntervals,
    ExpectedLabels,
    ExpectedOrder,
    ExpectedPackets,
    Limits,
    PacketPattern,
)

Event = PacketPattern | CallMoment
_UNKNOWN_SHOWN = 8
_RECORDED_AS = {"timestamps": "tsval"}
"""Options that :attr:`testbed.model.Crossing.options` has by another name."""


def fits(pattern: PacketPattern, packet: Crossing, facts: RunFacts) -> bool:
    """Say whether a packet is one that a pattern means.

    What appeared on the way, which its sender did not send, only if the pattern asks for a cause, a fate or an end.
    """
    asked = {name for name in _MEETS if getattr(pattern, name) is not None}
    if packet.sent is None and asked.isdisjoint(("cause", "fate", "at")):
        return False
    return all(_MEETS[name](pattern, packet, facts) for name in asked)


def _flags(pattern: PacketPattern, packet: Crossing, _: RunFacts) -> bool:
    wanted, found = set(pattern.flags or ""), set(packet.flags)
    extra = found - wanted
    return packet.protocol == "tcp" and wanted <= found and (not extra or (extra == {"P"} and "F" in wanted))


def _cause(pattern: PacketPattern, packet: Crossing, facts: RunFacts) -> bool:
    cause = facts.causes[packet.n]
    return cause.rule in (pattern.cause or ()) or (
        CauseName.UNKNOWN in (pattern.cause or ()) and _is_unknown(cause.kind)
    )


def _is_unknown(kind: CauseKind) -> bool:
    return kind is CauseKind.UNKNOWN


def _answers(pattern: PacketPattern, packet: Crossing, facts: RunFacts) -> bool:
    wanted = pattern.answers
    explained = facts.by_rule.get(wanted.rule, []) if wanted is not None else []
    return (
        wanted is not None
        and len(explained) >= wanted.nth
        and explained[wanted.nth - 1] in facts.causes[packet.n].packets
    )


def _function(pattern: PacketPattern, packet: Crossing, facts: RunFacts) -> bool:
    origin = facts.causes[packet.n].origin
    return origin is not None and any(
        name.partition("+")[0].partition(".")[0] == pattern.function for name in origin.stack
    )


def _timer(pattern: PacketPattern, packet: Crossing, facts: RunFacts) -> bool:
    origin = facts.causes[packet.n].origin
    return origin is not None and origin.timer == pattern.timer


def _untraced(pattern: PacketPattern, facts: RunFacts) -> bool:
    """Say whether a pattern asks for what only the kernel's trace shows, and there is none."""
    asks = pattern.function is not None or pattern.timer is not None
    return asks and not any(cause.origin is not None for cause in facts.causes)


def _options(pattern: PacketPattern, packet: Crossing, _: RunFacts) -> bool:
    return all(_option(packet, name, wanted) for name, wanted in (pattern.options or {}).items())


def _option(packet: Crossing, name: str, wanted: Limits | bool) -> bool:
    value = packet.options.get(_RECORDED_AS.get(name, name))
    if isinstance(wanted, bool):
        return wanted == (value is not None)
    number = len(value) if isinstance(value, (list, tuple)) else value
    return number is not None and wanted.holds(int(number))


def _window(pattern: PacketPattern, packet: Crossing, facts: RunFacts) -> bool:
    return packet.protocol == "tcp" and _holds(pattern.window, window_of(packet, facts))


def window_of(packet: Crossing, facts: RunFacts) -> int:
    """Return the window that a segment tells in bytes: that of a SYN is never scaled (RFC 7323 section 2.2)."""
    shift = 0 if "S" in packet.flags or packet.flow is None else facts.scales.get((packet.flow, packet.sender), 0)
    return packet.window << shift


def _holds(limits: Limits | None, number: int | None) -> bool:
    return limits is not None and number is not None and limits.holds(number)


def _label(pattern: PacketPattern, packet: Crossing, facts: RunFacts) -> bool:
    return pattern.label in facts.labels[_end(pattern, packet)].get(packet.n, ())


def _end(pattern: PacketPattern, packet: Crossing) -> Host:
    """Return the end at which a pattern looks at a packet: the sender's, unless it appeared on the way."""
    if pattern.at is not None:
        return pattern.at
    return packet.sender if packet.sent is not None else peer_of(packet.sender)


_MEETS: dict[str, Callable[[Any, Crossing, RunFacts], bool]] = {
    "sender": lambda pattern, packet, _: packet.sender == pattern.sender,
    "protocol": lambda pattern, packet, _: packet.protocol == pattern.protocol,
    "flags": _flags,
    "has": lambda pattern, packet, _: packet.protocol == "tcp" and set(pattern.has) <= set(packet.flags),
    "seq": lambda pattern, packet, _: packet.protocol == "tcp" and _holds(pattern.seq, packet.seq),
    "ack": lambda pattern, packet, _: _holds(pattern.ack, packet.ack),
    "length": lambda pattern, packet, _: _holds(pattern.length, packet.length),
    "data": lambda pattern, packet, _: packet.payload == pattern.data,
    "window": _window,
    "urgent": lambda pattern, packet, _: "U" in packet.flags and _holds(pattern.urgent, packet.options.get("urgent")),
    "options": _options,
    "cause": _cause,
    "label": _label,
    "fate": lambda pattern, packet, _: packet.fate == pattern.fate,
    "at": lambda pattern, packet, _: time_at(packet, pattern.at) is not None,
    "connection": lambda pattern, packet, facts: facts.number_of(packet) == pattern.connection,
    "basis": lambda pattern, packet, facts: facts.causes[packet.n].basis == pattern.basis,
    "answers": _answers,
    "function": _function,
    "timer": _timer,
}
"""How each key of a pattern is met."""


def matching(pattern: PacketPattern, facts: RunFacts) -> list[Crossing]:
    """Return the packets that a pattern means, in time order."""
    return [packet for packet in facts.crossings if fits(pattern, packet, facts)]


def packet_text(packet: Crossing, wanted: PacketPattern | None = None) -> str:
    """Return a packet in a pattern's words; with ``wanted`` also the numbers that this asks for."""
    text = f"{packet.sender} {packet.flags or packet.protocol}"
    if wanted is None:
        return text
    numbers = {"seq": packet.seq, "ack": packet.ack, "length": packet.length}
    return text + "".join(f" {name} {number}" for name, number in numbers.items() if getattr(wanted, name) is not None)


def check_packets(expected: ExpectedPackets, facts: RunFacts) -> Result:
    """Check how many packets fit a pattern."""
    pattern, wanted = expected.pattern, expected.count
    if _untraced(pattern, facts):
        return Result(None, f"{wanted} {pattern.text}", "no kernel trace")
    found = matching(pattern, facts)
    ok = wanted.holds(len(found))
    where = f": {listed([f'#{packet.n}' for packet in found])}" if found and not ok else ""
    result = ok if facts.complete else None
    return Result(result, f"{wanted} {pattern.text}", f"{len(found)} {pattern.text}{where}")


def check_causes(expected: ExpectedCauses, facts: RunFacts) -> Result:
    """Check how many packets each rule explains."""
    found = {
        rule: sum(
            _is_unknown(cause.kind) if rule is CauseName.UNKNOWN else cause.rule is rule for cause in facts.causes
        )
        for rule in expected.counts
    }
    ok = all(limits.holds(found[rule]) for rule, limits in expected.counts.items())
    return Result(
        ok if facts.complete else None,
        ", ".join(f"{rule} {limits}" for rule, limits in expected.counts.items()),
        (
            ", ".join(f"{rule} {number}" for rule, number in found.items()),
            *(_unknown_packets(facts) if CauseName.UNKNOWN in found else ()),
        ),
    )


def _unknown_packets(facts: RunFacts) -> Iterator[Part]:
    """Yield the first packets of unknown cause with their evidence, in brackets; nothing without any."""
    unknown = [
        (packet, cause) for packet, cause in zip(facts.crossings, facts.causes, strict=True) if _is_unknown(cause.kind)
    ]
    for at, (packet, cause) in enumerate(unknown[:_UNKNOWN_SHOWN]):
        yield ", " if at else " ("
        yield from (PacketRef(packet.n), f" {packet_text(packet)}: ", *cause.evidence)
    if len(unknown) > _UNKNOWN_SHOWN:
        yield f", ... {len(unknown) - _UNKNOWN_SHOWN} more"
    if unknown:
        yield ")"


def check_labels(expected: ExpectedLabels, facts: RunFacts) -> Result:
    """Check which labels Wireshark gives in the hosts' captures."""
    wanted, actual, results = [], [], []
    for host, labels in expected.counts.items():
        given = [name for names in facts.labels[host].values() for name in names]
        results += [limits.holds(given.count(name)) for name, limits in labels.items()]
        wanted.append(f"{host}: {', '.join(f'{name} {limits}' for name, limits in labels.items())}")
        actual.append(f"{host}: {', '.join(f'{name} {given.count(name)}' for name in labels)}")
    return Result(all(results) if facts.complete else None, "; ".join(wanted), "; ".join(actual))


def check_order(expected: ExpectedOrder, facts: RunFacts) -> Result:
    """Check that packets and calls came in an order: each is the first that fits after the one before."""
    wanted = " -> ".join(event.text for event in expected.events)
    blind = _blind(expected.events, facts)
    if blind:
        return Result(None, wanted, f"no observer on {blind}")
    now = -1
    met: list[str] = []
    used: set[int] = set()
    for event in expected.events:
        found = next(((time, n) for time, n in moments(event, facts) if time >= now and n not in used), None)
        if found is None:
            ok = False if facts.complete else None
            then = f", then no {event.text}" if met else f"no {event.text}"
            return Result(ok, wanted, " -> ".join(met) + then)
        now = found[0]
        if isinstance(event, PacketPattern):
            used.add(found[1])
        met.append(event.text + (f" #{found[1]}" if isinstance(event, PacketPattern) else ""))
    return Result(True if facts.complete else None, wanted, " -> ".join(met))


def _blind(events: Sequence[Event | None], facts: RunFacts) -> str:
    hosts = {event.host for event in events if isinstance(event, CallMoment)}
    return next((host for host in HOSTS if host in hosts and not facts.streams.observed[host]), "")


def moments(event: Event, facts: RunFacts) -> Iterator[tuple[int, int]]:
    """Yield when an event happened, in time order, with the packet's number; -1 for a call."""
    if isinstance(event, CallMoment):
        calls = facts.calls(event.call, event.host)
        if len(calls) >= event.nth:
            call = calls[event.nth - 1]
            time = call.start if event.moment == "begins" else call.end
            if time is not None:
                yield time, -1
        return
    found = [(time_at(packet, _end(event, packet)), packet.n) for packet in matching(event, facts)]
    yield from sorted((time, n) for time, n in found if time is not None)


def check_intervals(timing: ExpectedIntervals, facts: RunFacts) -> Result:
    """Check the intervals between packets."""
    wanted = [f"{timing.count} intervals of {timing.packets.text}"]
    wanted += [f"{name} {limits}" for name in ("first", "each", "ratio") if (limits := getattr(timing, name))]
    blind = _blind([timing.after, timing.until], facts)
    if blind:
        return Result(None, ", ".join(wanted), f"no observer on {blind}")
    times = [time for time, _ in moments(timing.packets, facts)]
    if timing.after is not None:
        begun = next((time for time, _ in moments(timing.after, facts)), None)
        if begun is None:
            return Result(False if facts.complete else None, ", ".join(wanted), f"no {timing.after.text}")
        times = [begun, *(time for time in times if time >= begun)]
    if timing.until is not None:
        ended = next((time for time, _ in moments(timing.until, facts) if not times or time >= times[0]), None)
        if ended is None:
            return Result(False if facts.complete else None, ", ".join(wanted), f"no {timing.until.text}")
        times = [*(time for time in times if time <= ended), ended]
    spans = [after - before for before, after in pairwise(times)]
    ratios = [after / before if before else float("inf") for before, after in pairwise(spans)]
    results = [timing.count.holds(len(spans))]
    if timing.first is not None:
        results.append(bool(spans) and timing.first.holds(spans[0]))
    if timing.each is not None:
        results.append(bool(spans) and all(map(timing.each.holds, spans)))
    if timing.ratio is not None:
        results.append(bool(ratios) and all(map(timing.ratio.holds, ratios)))
    actual = f"{len(spans)} intervals: {listed([_span(span) for span in spans])}"
    if timing.ratio is not None:
        actual += f"; ratios: {listed([f'{ratio:.2f}' for ratio in ratios])}"
    return Result(every(results) if facts.complete else None, ", ".join(wanted), actual)


def _span(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e6:.3g} ms" if nanoseconds < 1e9 else f"{nanoseconds / 1e9:.3f} s"
