"""Why each packet exists: which rule explains it.

A rule looks at byte ranges, sequence numbers, flags and state, never at how near in time a call was. The stages are
tried in order, and the first rule that explains a packet names its cause. Of the rules of one stage at most one
explains a packet, so that their order does not matter (a test shuffles them). ``model/causes.py`` says what
each cause is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from testbed.analysis.calls.streams import Streams
from testbed.analysis.causes import acknowledgements, datagrams, resets, retransmissions, room, transmissions
from testbed.analysis.causes.datagrams import DatagramState
from testbed.analysis.causes.endpoint import Explanation, TcpEndpoint
from testbed.analysis.causes.interface_queue import InterfaceQueue, behind_queue
from testbed.analysis.causes.rule_set import Rule, Stages, State, in_stages
from testbed.analysis.link_check import origin_evidence
from testbed.model import HOSTS, Cause, CauseName, Crossing, Evidence, Host, Joined, LinkOrigin, PacketRef, peer_of
from testbed.model.evidence import concatenated

C = CauseName

TCP_STAGES: Stages[TcpEndpoint] = in_stages(
    resets.RULES, transmissions.RULES, retransmissions.RULES, acknowledgements.RULES, room.RULES
)
DATAGRAM_STAGES: Stages[DatagramState] = in_stages(datagrams.RULES)


def find_causes(
    joined: Joined,
    streams: Streams,
    sysctls: Mapping[Host, Mapping[str, str]] = MappingProxyType({}),
    queued: Mapping[Host, int] = MappingProxyType({}),
    rto_min: Mapping[Host, int] = MappingProxyType({}),
) -> tuple[Cause, ...]:
    """Return the cause of every crossing, aligned with ``joined.crossings``.

    ``streams`` holds the calls; :func:`testbed.analysis.calls.streams.build_streams` makes it. ``sysctls``,
    ``queued`` and ``rto_min`` as in :class:`testbed.model.Inputs`.
    """
    endpoints = {
        (flow.index, host): TcpEndpoint(
            flow.index,
            host,
            streams,
            sysctls.get(host, {}),
            route_rto_min=rto_min.get(host),
            has_queue=host in queued,
        )
        for flow in joined.flows
        if flow.protocol == "tcp"
        for host in HOSTS
    }
    datagram_state = DatagramState.of(joined, streams)
    tcp_rules, datagram_rules = _in_order(TCP_STAGES), _in_order(DATAGRAM_STAGES)
    causes: dict[int, Cause] = {}
    queues = {host: InterfaceQueue(rate) for host, rate in queued.items()}
    sent: dict[tuple[int | None, Host, int, int, str], int] = {}
    for packet, is_departure in _events(joined.crossings):
        host = packet.sender if is_departure else peer_of(packet.sender)
        endpoint = endpoints.get((packet.flow, host)) if packet.flow is not None and packet.protocol == "tcp" else None
        key = (packet.flow, packet.sender, packet.raw_seq, packet.length, packet.flags)
        if is_departure:
            waited = host in queues and queues[host].leaves(packet)
            if endpoint is not None:
                endpoint.queued = waited
                rule, explained = _first(tcp_rules, endpoint, packet)
                explained = behind_queue(rule, explained) if waited else explained
                endpoint.note_sent(packet, rule, explained)
            else:
                rule, explained = _first(datagram_rules, datagram_state, packet)
            causes[packet.n] = Cause(
                rule,
                explained.evidence,
                explained.calls,
                explained.packets,
                explained.refusal,
                explained.alternatives,
                sent_by=explained.sent_by,
            )
            sent[key] = packet.n
        else:
            if packet.sent is None:
                causes[packet.n] = _appeared(packet, sent.get(key))
            if endpoint is not None:
                endpoint.note_arrived(packet)
            datagram_state.note_arrived(packet, host)
            if datagrams.is_too_big(packet):
                for each in endpoints.values():
                    if each.host == host:
                        each.note_too_big(packet)
    return tuple(causes[packet.n] for packet in joined.crossings)


def _in_order(stages: Stages[State]) -> tuple[tuple[CauseName, Rule[State]], ...]:
    return tuple(bound for stage in stages for bound in stage.items())


def _events(crossings: Iterable[Crossing]) -> list[tuple[Crossing, bool]]:
    """Return departures (True) and arrivals (False) in time order; a departure comes first among equals."""
    events = [(packet.sent, 0, packet.n, packet) for packet in crossings if packet.sent is not None]
    events += [(packet.arrived, 1, packet.n, packet) for packet in crossings if packet.arrived is not None]
    events.sort(key=lambda event: event[:3])
    return [(packet, not arrival) for _, arrival, _, packet in events]


def _first(
    rules: tuple[tuple[CauseName, Rule[State]], ...], state: State, packet: Crossing
) -> tuple[CauseName, Explanation]:
    for name, explain in rules:
        explained = explain(state, packet)
        if explained is not None:
            return name, explained
    return C.UNKNOWN, Explanation(_unexplained(packet))


def _unexplained(packet: Crossing) -> Evidence:
    if packet.protocol == "tcp":
        return (f"no rule explains [{packet.flags}] at sequence number {packet.seq}: no call, arrival or timer fits",)
    return (f"no rule explains this {packet.protocol} packet",)


_MADE: Mapping[str, CauseName] = {"copy": C.LINK_COPY, "forged": C.LINK_FORGED, "icmp": C.LINK_ICMP}


def _appeared(packet: Crossing, original: int | None) -> Cause:
    if packet.made:
        origins = (origin_evidence(origin) for origin in packet.link if isinstance(origin, LinkOrigin))
        return Cause(_MADE[packet.made], concatenated(origins, "; "))
    if original is not None:
        evidence = (f"never left {packet.sender}: a copy of ", PacketRef(original), " made on the way")
        return Cause(C.APPEARED, evidence, packets=(original,))
    return Cause(C.APPEARED, (f"never left {packet.sender} as its capture shows: made on the way, or not captured",))
