"""Rules for packets that are not of a TCP connection: UDP datagrams and ICMP messages."""

from __future__ import annotations

from dataclasses import dataclass, field

from testbed.analysis.calls.datagram_calls import Datagram
from testbed.analysis.calls.streams import Streams
from testbed.analysis.causes.endpoint import Explanation
from testbed.analysis.causes.rule_set import BoundRules
from testbed.model import (
    CauseName,
    Crossing,
    Evidence,
    Fate,
    Host,
    Joined,
    PacketRef,
    call_ref,
    call_refs,
    packet_refs,
    peer_of,
)
from testbed.model.evidence import Quantity
from testbed.model.ip import quoted_addresses

ICMP = frozenset({"icmp", "icmpv6"})
_ECHO_REQUEST = {8, 128}  # ICMP (RFC 792), ICMPv6 (RFC 4443)
_ECHO_REPLY = {0, 129}


@dataclass(slots=True)
class DatagramState:
    """What the rules for UDP and ICMP look at: the datagrams' calls, and what arrived where.

    ``makers`` are by crossing; ``arrivals`` by receiver, protocol, the sender's and the receiver's port; ``echoes``
    are echo requests by receiver and payload.
    """

    joined: Joined
    streams: Streams
    makers: dict[int, Datagram] = field(default_factory=dict)
    arrivals: dict[tuple[Host, str | None, int | None, int | None], list[Crossing]] = field(default_factory=dict)
    echoes: dict[tuple[Host, bytes], Crossing] = field(default_factory=dict)

    @classmethod
    def of(cls, joined: Joined, streams: Streams) -> DatagramState:
        """Index the run."""
        made = cls(joined, streams)
        for (_, _, direction), datagrams in streams.datagrams.items():
            if direction == "out":
                made.makers.update({number: each for each in datagrams for number in each.crossings})
        return made

    def note_arrived(self, packet: Crossing, receiver: Host) -> None:
        """Record a packet that reached a host."""
        if packet.protocol in ICMP or packet.flow is None:
            if icmp_type(packet) in _ECHO_REQUEST:
                self.echoes[receiver, packet.payload] = packet
            return
        flow = self.streams.flows[packet.flow]
        key = (receiver, packet.protocol, flow.endpoint(packet.sender).port, flow.endpoint(receiver).port)
        self.arrivals.setdefault(key, []).append(packet)


RULES: BoundRules[DatagramState] = BoundRules()


def icmp_type(packet: Crossing) -> int | None:
    """Return the ICMP type, None for other protocols."""
    return packet.options.get("type") if packet.protocol in ICMP else None


def is_too_big(packet: Crossing) -> bool:
    """Say whether it is ICMP "fragmentation needed" (RFC 1191) or ICMPv6 "packet too big" (RFC 4443 section 3.2)."""
    kind = (packet.protocol, packet.options.get("type"))
    return kind == ("icmpv6", 2) or (kind == ("icmp", 3) and packet.options.get("code") == 4)


def is_port_unreachable(packet: Crossing) -> bool:
    """Say whether it is ICMP "port unreachable" (RFC 792, RFC 4443 section 3.1)."""
    kind = (packet.protocol, packet.options.get("type"), packet.options.get("code"))
    return kind in (("icmp", 3, 3), ("icmpv6", 1, 4))


def is_reassembly_timeout(packet: Crossing) -> bool:
    """Say whether it is ICMP "fragment reassembly time exceeded" (RFC 792, RFC 4443 section 3.3)."""
    kind = (packet.protocol, packet.options.get("type"), packet.options.get("code"))
    return kind in (("icmp", 11, 1), ("icmpv6", 3, 1))


@RULES.explains(CauseName.DATAGRAM)
def datagram(state: DatagramState, packet: Crossing) -> Explanation | None:
    """Explain a UDP datagram by the calls that sent it (udp_sendmsg).

    One call is one datagram; of several with MSG_MORE or under UDP_CORK the last sends all, and with UDP_SEGMENT one
    call sends several.
    """
    if packet.protocol != "udp":
        return None
    made = state.makers.get(packet.n)
    if made is not None:
        calls = dict.fromkeys((*(call.n for call in made.calls), made.call.n))
        return Explanation(_sent(made, packet), tuple(calls))
    if not state.streams.observed[packet.sender]:
        return Explanation((Quantity(packet.length, "byte"), f"; no observer on {packet.sender}"))
    return None


def _sent(made: Datagram, packet: Crossing) -> Evidence:
    size = Quantity(packet.length, "byte")
    if len(made.crossings) > 1:
        place = f": part {made.crossings.index(packet.n) + 1} of {len(made.crossings)} of what it wrote (UDP_SEGMENT)"
        return (call_ref(made.call), " sent ", size, place)
    if made.release is not None:
        return (call_ref(made.release), " (UDP_CORK off) sent ", size, " of ", call_refs(made.calls))
    if len(made.calls) > 1:
        return (call_ref(made.call), " sent ", size, ", its own with those of ", call_refs(made.calls[:-1]))
    return (call_ref(made.call), " sent ", size)


@RULES.explains(CauseName.ICMP_ERROR)
def icmp_error(state: DatagramState, packet: Crossing) -> Explanation | None:
    """Explain an ICMP error by the packet that it quotes (RFC 792, RFC 1122 section 3.2.2, RFC 4443)."""
    about = packet.options.get("about") or {}
    key = (packet.sender, about.get("protocol"), about.get("sport"), about.get("dport"))
    came = state.arrivals.get(key, ())
    found = [each for each in came if _quotes(packet, each, about.get("raw_seq"))]
    quoted = quoted_addresses(packet.payload)
    if len(found) > 1 and quoted is not None:  # one port may have conversations of several addresses
        found = [each for each in found if _addresses(state, each) == quoted] or found
    if not found:
        return _not_reassembled(state, packet) if is_reassembly_timeout(packet) else None
    if packet.sender in state.streams.queued and len(found) > 1:  # while it waited to leave others came
        alike = packet_refs(each.n for each in found)
        return Explanation(("reports that one of ", alike, " could not be delivered"))
    culprit = found[-1]
    return Explanation(("reports that ", PacketRef(culprit.n), " could not be delivered"), packets=(culprit.n,))


_QUOTED = {"icmp": (20, 548), "icmpv6": (40, 1232)}
"""Bytes of an IP header, and most that an error quotes (icmp_send: 576 bytes with headers; RFC 4443: 1,280)."""
_UDP_HEADER = 8


def _quotes(error: Crossing, packet: Crossing, raw_seq: int | None) -> bool:
    """Say whether an ICMP error may be about a packet of its ports: a segment's number, or as much as is quoted."""
    if packet.protocol == "tcp":
        return packet.raw_seq == raw_seq
    header, most = _QUOTED[error.protocol]
    whole = header + _UDP_HEADER + packet.length
    return packet.protocol != "udp" or error.length == whole or (error.length >= most and whole >= most)


def _not_reassembled(state: DatagramState, packet: Crossing) -> Explanation | None:
    """Explain the ICMP error about a datagram of which some fragments came, and not all (RFC 792, RFC 8200 4.5)."""
    about = packet.options.get("about") or {}
    lost = tuple(
        each.n
        for each in state.joined.crossings
        if each.fate is Fate.LOST
        and each.note  # that some of its fragments came
        and each.time < packet.time
        and (each.sender, each.protocol) == (peer_of(packet.sender), about.get("protocol"))
        and _ports(state, each) == (about.get("sport"), about.get("dport"))
    )
    if not lost:
        return None
    which = (PacketRef(lost[0]),) if len(lost) == 1 else ("one of ", packet_refs(lost))
    return Explanation(("reports that not all fragments of ", *which, " came"), packets=lost)


def _addresses(state: DatagramState, packet: Crossing) -> tuple[str, str] | None:
    if packet.flow is None:
        return None
    flow = state.streams.flows[packet.flow]
    return flow.endpoint(packet.sender).address, flow.endpoint(peer_of(packet.sender)).address


def _ports(state: DatagramState, packet: Crossing) -> tuple[int, int] | None:
    if packet.flow is None:
        return None
    flow = state.streams.flows[packet.flow]
    return flow.endpoint(packet.sender).port, flow.endpoint(peer_of(packet.sender)).port


@RULES.explains(CauseName.ECHO_REPLY)
def echo_reply(state: DatagramState, packet: Crossing) -> Explanation | None:
    """Explain an echo reply by its request."""
    request = state.echoes.get((packet.sender, packet.payload)) if icmp_type(packet) in _ECHO_REPLY else None
    if request is None:
        return None
    return Explanation(("answers the echo request ", PacketRef(request.n)), packets=(request.n,))


@RULES.explains(CauseName.UNLOGGED_DATA)
def unlogged_datagram(state: DatagramState, packet: Crossing) -> Explanation | None:
    """Say that no logged call sent a datagram."""
    del state
    if packet.protocol != "udp":
        return None
    return Explanation(("no logged call sent these ", Quantity(packet.length, "byte")))
