"""The witness heard: all its events matched, and its word on every cause."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import get_args

from testbed.analysis.calls.endpoint_calls import OwnCalls
from testbed.analysis.calls.streams import Streams
from testbed.analysis.kernel import match_events
from testbed.analysis.kernel.agreement import Evidence, word
from testbed.analysis.kernel.kernel_endpoints import SLACK, End, gather
from testbed.analysis.kernel.state_changes import changes
from testbed.model import Cause, Crossing, Host, Joined
from testbed.model.kernel_log import Agreement, KernelEvent, KernelLog, Matched, SendState, StateChange, Testimony

MOST_TOLD = 8


def testify(
    joined: Joined, streams: Streams, causes: Sequence[Cause], log: KernelLog, observed: Mapping[Host, str]
) -> Testimony:
    """Return what the kernel says of a run; ``causes`` are aligned with the crossings, ``observed`` as in Inputs."""
    slack = SLACK + log.clock_error
    ends = gather(joined, log)
    again: list[Matched] = []
    resets: list[Matched] = []
    drops = list(match_events.arrived_drops(joined.crossings, log))
    taken = {number for each in drops for number in each.packets}
    changed: list[StateChange] = []
    states: dict[int, SendState] = {}
    for end in ends.of.values():
        again += match_events.retransmissions(end, slack)
        resets += match_events.resets(end, slack)
        drops += match_events.drops(end, slack, taken)
        own = OwnCalls(end.flow.index, end.host, streams)
        changed += changes(end, own, slack, ends_early=observed.get(end.host) == "strace")
        states.update(match_events.send_states(end))
    evidence = _evidence(log, list(ends.of.values()), again, resets, drops, changed)
    evidence.listeners = frozenset(
        (flow, host) for flow, host in ends.of if not streams.observed[host] or streams.listens(flow, host)
    )
    return Testimony(
        log,
        tuple(word(evidence, packet, cause) for packet, cause in zip(joined.crossings, causes, strict=True)),
        tuple(_in_order(again)),
        tuple(_in_order(resets)),
        tuple(_in_order(drops)),
        tuple(sorted(changed, key=lambda change: change.event.time)),
        states,
        tuple(_unmatched(again, resets, drops, changed, ends.strays)),
    )


def tally(testimony: Testimony) -> dict[str, int]:
    """Count causes by agreement."""
    counted = Counter(said.agreement for said in testimony.words)
    return {agreement: counted[agreement] for agreement in get_args(Agreement)}


def contradictions(crossings: Sequence[Crossing], causes: Sequence[Cause], testimony: Testimony) -> tuple[str, ...]:
    """Return a sentence for each cause that the kernel contradicts, and for events that nothing explains.

    Of a record that is not complete only that is said: what would explain an event may be what was lost.
    """
    if not testimony.log.complete:
        why = "; ".join(testimony.log.problems)
        return (f"the kernel's record is not complete ({why}): what it does not show may have happened",)
    told = [
        f"the kernel contradicts the cause `{cause.rule}` of #{packet.n} ({packet.sender}): {said.text}"
        for packet, cause, said in zip(crossings, causes, testimony.words, strict=True)
        if said.agreement == "contradicted"
    ]
    told += [f"nothing explains what the kernel says: {text}" for text in testimony.unmatched]
    more = len(told) - MOST_TOLD
    return (*told[:MOST_TOLD], *([f"... and {more} more contradictions of the kernel"] if more > 0 else []))


def _in_order(matched: list[Matched]) -> list[Matched]:
    return sorted(matched, key=lambda each: each.event.time)


def _evidence(
    log: KernelLog,
    ends: list[End],
    again: list[Matched],
    resets: list[Matched],
    drops: list[Matched],
    changed: list[StateChange],
) -> Evidence:
    of_event = {id(event): end for end in ends for event in end.events}
    evidence = Evidence(log, of_event)
    for found, matched in ((evidence.again, again), (evidence.resets, resets), (evidence.drops, drops)):
        found.update({number: each.event for each in matched for number in each.packets})
    for change in changed:
        if change.flow is not None:
            evidence.changes.setdefault(change.flow, []).append(change)
    return evidence


def _unmatched(
    again: list[Matched],
    resets: list[Matched],
    drops: list[Matched],
    changed: list[StateChange],
    strays: list[KernelEvent],
) -> list[str]:
    """Say which retransmissions, RSTs, drops and state changes neither a packet nor a call explains."""
    told = [each.event for matched in (again, resets, drops) for each in matched if not each.packets]
    told += [change.event for change in changed if change.kind == "unknown"]
    # A connection of a host with itself is on no wire.
    told += [event for event in strays if event.name in _MATTERS and not _within_a_host(event)]
    return [_sentence(event) for event in sorted(told, key=lambda event: event.time)]


_MATTERS = frozenset({*match_events.RETRANSMISSIONS, "tcp_send_reset", "inet_sock_set_state"})


def _within_a_host(event: KernelEvent) -> bool:
    return event.local is not None and event.peer is not None and event.local.address == event.peer.address


def _sentence(event: KernelEvent) -> str:
    what = " ".join(str(value) for value in event.fields.values())
    return f"{event.host}: {event.name} {what} on {event.local} - {event.peer}".replace("  ", " ")
