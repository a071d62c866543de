"""Expectations about a call: what it returned, and the packets that it caused.

The packets of a call (:func:`testbed.analysis.expect.run_facts.packets_of`) are compared in order. A pure ACK that is
not expected is ignored. One that is expected and missing is forgiven when a later packet of that host acknowledged the
same bytes (it was delayed, or piggybacked on data), except in a handshake.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from testbed.analysis.expect.expected_packets import fits, packet_text
from testbed.analysis.expect.run_facts import Result, RunFacts, every, packets_of
from testbed.model import Call, Crossing, Evidence, Host, packet_refs
from testbed.model.evidence import concatenated
from testbed.model.expect import ExpectedCall, PacketPattern, bytes_text


def check_call(expectation: ExpectedCall, facts: RunFacts) -> Result:
    """Check one call of a host."""
    host = expectation.host
    asked = [name for name in (*_CHECKS, "count") if getattr(expectation, name) is not None]
    wanted = "; ".join(f"{name}: {_wanted(expectation, name)}" for name in asked)
    if not facts.streams.observed[host]:
        return Result(None, wanted, f"no observer on {host}")
    calls = facts.calls(expectation.call, host, connection=expectation.connection, socket=expectation.socket)
    of_the_call = [name for name in asked if name != "count"]
    results: list[bool | None] = []
    actual: list[Evidence] = []
    if expectation.count is not None:
        results.append(expectation.count.holds(len(calls)) if facts.complete else None)
        actual.append((f"count: {len(calls)}",))
    if of_the_call and len(calls) < expectation.nth:
        results.append(False if facts.complete else None)
        actual.append((f"{len(calls)} calls of {expectation.call} by {host}",))
    elif of_the_call:
        call = calls[expectation.nth - 1]
        for name in of_the_call:
            ok, found = _CHECKS[name](expectation, call, facts)
            results.append(ok)
            actual.append((f"{name}: ", *((found,) if isinstance(found, str) else found)))
        if call.errno is not None and "errno" not in asked and False in results:
            actual.append((f"errno: {call.errno}",))
    return Result(every(results), wanted, concatenated(actual, "; "))


def _wanted(expectation: ExpectedCall, name: str) -> str:
    value = getattr(expectation, name)
    if name == "packets":
        return ", ".join(pattern.text for pattern in value) or "none"
    if name == "args":
        return ", ".join(f"{key} {each}" for key, each in value.items())
    if name == "why":
        return " or ".join(value)
    return str(value.text) if name == "data" else str(value)


def _packets(expectation: ExpectedCall, call: Call, facts: RunFacts) -> tuple[bool | None, str]:
    found = packets_of(call, facts)
    wanted = expectation.packets or ()
    same = _same_packets(wanted, found, facts)
    texts = [packet_text(packet, wanted[at] if at < len(wanted) else None) for at, packet in enumerate(found)]
    return (same if facts.complete else None), ", ".join(texts) or "none"


def _why(expectation: ExpectedCall, call: Call, facts: RunFacts) -> tuple[bool | None, Evidence]:
    absence = facts.no_packet.get((call.host, call.n))
    packets = facts.caused.get((call.host, call.n))
    found: Evidence = ("no reason is known",)
    if absence is not None:
        found = (f"{absence.reason} (", absence, ")")
    elif packets:
        found = ("it caused ", packet_refs(packets))
    ok = absence is not None and expectation.why is not None and absence.reason in expectation.why
    return (ok if facts.complete else None), found


def _result(expectation: ExpectedCall, call: Call, _: RunFacts) -> tuple[bool, str]:
    if call.end is None:
        return False, "never returned"
    return expectation.result is not None and expectation.result.holds(call.result), str(call.result)


def _errno(expectation: ExpectedCall, call: Call, _: RunFacts) -> tuple[bool, str]:
    return call.errno == expectation.errno, call.errno or "none"


def _args(expectation: ExpectedCall, call: Call, facts: RunFacts) -> tuple[bool, str]:
    wanted = expectation.args or {}
    found = {name: argument(call, name) for name in wanted}
    same = _same_value(found, wanted, facts.addresses)
    return same, ", ".join(f"{name} {'not recorded' if value is None else value}" for name, value in found.items())


def _same_value(found: object, wanted: object, addresses: Mapping[str, str]) -> bool:
    """Say whether a value is the wanted one, or has the members that are wanted; an address may be wanted by name."""
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        return all(_same_value(found.get(name), each, addresses) for name, each in wanted.items())
    return str(found) in (str(wanted), addresses.get(str(wanted)))


def argument(call: Call, name: str) -> Any:  # noqa: ANN401 - JSON value
    """Return an argument of a call, that of its only descriptor or event where it waited for one; None without it."""
    if name in call.args:
        return call.args[name]
    for several in ("fds", "events"):
        within = call.args.get(several)
        if isinstance(within, list) and len(within) == 1 and isinstance(within[0], dict):
            return within[0].get(name)
    return None


def _data(expectation: ExpectedCall, call: Call, _: RunFacts) -> tuple[bool | None, str]:
    wanted = expectation.data.content if expectation.data is not None else None
    text = bytes_text(call.data) if call.length <= len(call.data) else f"{call.length} bytes"
    if wanted is None or call.length != len(wanted):
        return False, text
    return wanted[: len(call.data)] == call.data, text


def _took(expectation: ExpectedCall, call: Call, _: RunFacts) -> tuple[bool, str]:
    if call.end is None:
        return False, "never returned"
    span = call.end - call.start
    return expectation.took is not None and expectation.took.holds(span), f"{span / 1e6:.3f} ms"


_CHECKS = {
    "packets": _packets,
    "why": _why,
    "result": _result,
    "errno": _errno,
    "args": _args,
    "data": _data,
    "took": _took,
}


def _same_packets(wanted: Sequence[PacketPattern], found: list[Crossing], facts: RunFacts) -> bool:
    at = 0
    for pattern in wanted:
        while at < len(found) and not fits(pattern, found[at], facts) and _is_pure_ack(found[at]):
            at += 1
        if at < len(found) and fits(pattern, found[at], facts):
            at += 1
        elif pattern.flags != "." or not _acknowledged_otherwise(pattern, found[:at], facts):
            return False
    return all(_is_pure_ack(packet) for packet in found[at:])


def _is_pure_ack(packet: Crossing) -> bool:
    return packet.flags == "." and packet.length == 0


def _acknowledged_otherwise(pattern: PacketPattern, before: list[Crossing], facts: RunFacts) -> bool:
    """Say whether a host acknowledged the data or FIN that the other one had sent in ``before``, by any packet."""
    host: Host | None = pattern.sender
    asked = [packet for packet in before if packet.sender != host and (packet.length or "F" in packet.flags)]
    if host is None or not asked or asked[-1].flow is None:
        return False
    last = asked[-1]
    edge = last.seq + last.sequence_length
    answers = facts.streams.by_sender.get((asked[-1].flow, host), ())
    return any(packet.n > last.n and packet.ack is not None and packet.ack >= edge for packet in answers)
