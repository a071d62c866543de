"""A kernel's trace beside a run: its events matched, its states explained, every cause assessed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter

from testbed.analysis.calls.endpoint_calls import EndpointCalls
from testbed.analysis.calls.streams import Streams
from testbed.analysis.kernel import match_events
from testbed.analysis.kernel.agreement import TraceIndex, assess
from testbed.analysis.kernel.kernel_endpoints import SLACK, gather
from testbed.analysis.kernel.state_changes import state_changes
from testbed.model import Cause, Host, Joined
from testbed.model.hosts import HostAddresses
from testbed.model.kernel_log import KernelEvent, KernelEvidence, KernelLog, Matched, SendState, StateChange

_MATTERS = frozenset({*match_events.RETRANSMISSIONS, "tcp_send_reset", "inet_sock_set_state"})
"""Events that belong to a connection of the lab, each of which a packet or a call must explain."""


def kernel_evidence(
    joined: Joined,
    streams: Streams,
    causes: Sequence[Cause],
    log: KernelLog,
    observed: Mapping[Host, str],
    addresses: Mapping[Host, HostAddresses],
) -> KernelEvidence:
    """Return what a kernel's trace says of a run.

    ``causes`` are aligned with the crossings, ``observed`` and ``addresses`` as in :class:`testbed.model.Inputs`.
    """
    slack = SLACK + log.clock_error
    gathered = gather(joined, log)
    retransmissions: list[Matched] = []
    resets: list[Matched] = []
    drops = list(match_events.arrived_drops(joined.crossings, log))
    dropped = {number for each in drops for number in each.packets}
    changes: list[StateChange] = []
    states: dict[int, SendState] = {}
    for endpoint in gathered.endpoints.values():
        retransmissions += match_events.retransmissions(endpoint, slack)
        resets += match_events.resets(endpoint, slack)
        drops += match_events.drops(endpoint, slack, dropped)
        calls = EndpointCalls(endpoint.flow.index, endpoint.host, streams)
        changes += state_changes(endpoint, calls, slack, ends_early=observed.get(endpoint.host) == "strace")
        states.update(match_events.send_states(endpoint))
    trace = TraceIndex(
        log,
        {id(event): endpoint for endpoint in gathered.endpoints.values() for event in endpoint.events},
        _by_packet(retransmissions),
        _by_packet(resets),
        _by_packet(drops),
        listeners=frozenset(
            (flow, host)
            for flow, host in gathered.endpoints
            if not streams.observes(flow, host) or streams.listens(flow, host)
        ),
    )
    for change in changes:
        if change.flow is not None:
            trace.changes.setdefault(change.flow, []).append(change)
    return KernelEvidence(
        log,
        tuple(assess(trace, packet, cause) for packet, cause in zip(joined.crossings, causes, strict=True)),
        tuple(sorted(retransmissions, key=_when)),
        tuple(sorted(resets, key=_when)),
        tuple(sorted(drops, key=_when)),
        tuple(sorted(changes, key=_when)),
        states,
        _unmatched(
            [*retransmissions, *resets, *drops],
            changes,
            [event for event in gathered.strays if not _within_host(event, addresses)],
        ),
        sum(packet.sent is not None for packet in joined.crossings),
    )


def _when(found: Matched | StateChange) -> int:
    return found.event.time


def _by_packet(matched: list[Matched]) -> dict[int, KernelEvent]:
    return {number: each.event for each in matched for number in each.packets}


def _unmatched(
    matched: list[Matched], changes: list[StateChange], strays: list[KernelEvent]
) -> tuple[KernelEvent, ...]:
    """Return the retransmissions, RSTs, drops and state changes that neither a packet nor a call explains."""
    found = [each.event for each in matched if not each.packets]
    found += [change.event for change in changes if change.kind == "unknown"]
    found += [event for event in strays if event.name in _MATTERS and not _on_no_wire(event)]
    return tuple(sorted(found, key=attrgetter("time")))


def _within_host(event: KernelEvent, addresses: Mapping[Host, HostAddresses]) -> bool:
    """Whether it is of a connection between two addresses of one host."""
    own = addresses.get(event.host) if event.host is not None else None
    if own is None or event.local is None or event.peer is None:
        return False
    return {event.local.address, event.peer.address} <= set(own.all)


def _on_no_wire(event: KernelEvent) -> bool:
    """Whether it is of a connection of a host with itself, of a listening socket, or of a connect without a local port.

    A listening socket has no peer; where a connect finds no local port it gives EADDRNOTAVAIL.
    """
    if event.local is None or event.peer is None:
        return False
    return event.local.address == event.peer.address or event.local.port == 0 or event.peer.port == 0
