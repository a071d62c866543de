"""What the rules look at: a run, two captures or one, each connection with its packets, calls and counts.

Two captures and one capture are observations without calls; of one capture every packet was seen at one point only, so
that a packet's fate says nothing (:attr:`Observed.both_ends`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from testbed.analysis.absent.broken_off import broken_off
from testbed.analysis.calls.call_effects import moves_bytes
from testbed.analysis.calls.endpoint_calls import EndpointCalls
from testbed.analysis.causes.endpoint import arrival_time
from testbed.analysis.expect.run_facts import RunFacts
from testbed.diagnosis.sent_segments import SentSegments
from testbed.model import HOSTS, Call, Cause, CauseName, Crossing, Fate, Flow, Host, LedgerRow, peer_of
from testbed.model.intervals import IntervalSet
from testbed.model.ip import quoted_addresses
from testbed.model.verdicts import VerdictFact

MS = 1_000_000
SECOND = 1_000_000_000

_HEADERS = {"4": 40, "6": 60}
_TIMESTAMPS = 12


@dataclass(frozen=True)
class SeenFlow:
    """One flow and all that is known of it; ``packets`` are in time order, ``errors`` are ICMP errors about it."""

    flow: Flow
    facts: RunFacts
    packets: Sequence[Crossing]
    both_ends: bool
    errors: Sequence[Crossing] = ()

    @property
    def index(self) -> int:
        """The flow's index."""
        return self.flow.index

    @cached_property
    def sent(self) -> dict[Host, list[Crossing]]:
        """The packets of each host, in time order."""
        return {host: [each for each in self.packets if each.sender == host] for host in HOSTS}

    @cached_property
    def data(self) -> dict[Host, list[Crossing]]:
        """Those that carry bytes."""
        return {host: [each for each in self.sent[host] if each.length] for host in HOSTS}

    @cached_property
    def segments(self) -> dict[Host, SentSegments]:
        """Those that take sequence numbers."""
        return {host: SentSegments(self.sent[host]) for host in HOSTS}

    @cached_property
    def resets(self) -> list[Crossing]:
        """The RSTs."""
        return [each for each in self.packets if "R" in each.flags]

    @cached_property
    def calls(self) -> dict[Host, EndpointCalls]:
        """The calls of each host on the connection's socket."""
        return {host: EndpointCalls(self.index, host, self.facts.streams) for host in HOSTS}

    def knows(self, host: Host) -> bool:
        """Whether an observer saw this host's socket, and its log is complete."""
        return self.facts.streams.knows(self.index, host) and self.facts.complete

    def cause(self, packet: Crossing) -> Cause:
        """Return why a packet was sent."""
        return self.facts.causes[packet.n]

    def caused_by(self, *rules: CauseName) -> list[Crossing]:
        """Return the packets that one of these rules explains, and no other may."""
        return [each for each in self.packets if self.cause(each).rule in rules and not self.cause(each).alternatives]

    @cached_property
    def rows(self) -> dict[Host, LedgerRow]:
        """The ledger's rows by sender."""
        return {row.sender: row for row in self.facts.ledger if row.flow == self.index}

    @cached_property
    def opener(self) -> Host | None:
        """Who sent the first SYN; None where it was not captured."""
        first = self.packets[0]
        return first.sender if first.flags.startswith("S") and first.ack is None else None

    @cached_property
    def opened(self) -> bool:
        """Whether both ends said a thing that follows the handshake, or its opening was not captured."""
        if self.opener is None:
            return True
        return any(each.ack is not None and "R" not in each.flags for each in self.sent[self.opener])

    @cached_property
    def span(self) -> int:
        """From the first packet to the last, ns."""
        return max(arrival_time(each) for each in self.packets) - self.packets[0].time

    @cached_property
    def round_trip(self) -> int | None:
        """The shortest time from a SYN to what acknowledged it, ns, at the opener; None where none was captured."""
        if self.opener is None:
            return None
        ours = [each for each in self.sent[self.opener] if each.flags == "S"]
        answer = next((each for each in self.sent[peer_of(self.opener)] if "S" in each.flags), None)
        if answer is None or len(ours) != 1 or ours[0].sent is None or answer.arrived is None:
            return None
        return max(answer.arrived - ours[0].sent, 1)

    def seen(self, packet: Crossing, host: Host) -> int | None:
        """Return when a host's capture shows a packet."""
        return packet.sent if packet.sender == host else packet.arrived

    def reached(self, packet: Crossing) -> bool:
        """Whether its receiver's kernel took a packet up."""
        return packet.arrived is not None and not packet.discarded

    def window(self, packet: Crossing) -> int:
        """Return the window that a packet offers, in bytes."""
        shift = self.facts.scales.get((self.index, packet.sender), 0)
        return packet.window if "S" in packet.flags else packet.window << shift

    def written(self, host: Host) -> int:
        """Return how many bytes a host's program wrote, or sent as far as was seen."""
        row = self.rows.get(host)
        if row is None:
            return 0
        return row.written.bytes if row.written.bytes is not None else row.sent.bytes or 0

    def got(self, sender: Host) -> int:
        """Return how many of a host's bytes were read, or acknowledged, as far as was seen."""
        row = self.rows.get(sender)
        if row is None:
            return 0
        known = (row.read.bytes, row.acknowledged.bytes, row.arrived.bytes)
        return next((number for number in known if number is not None), 0)

    def complete_at(self, sender: Host, sequence: int) -> int | None:
        """Return when everything below a relative sequence number of a host's had arrived; None: it never had."""
        came = [each for each in self.sent[sender] if each.sequence_length and self.reached(each)]
        came.sort(key=arrival_time)
        there = IntervalSet()
        for packet in came:
            there.add(packet.seq, packet.seq + packet.sequence_length)
            if there.end_after(came[0].seq if self.opener is None else 0) >= sequence:
                return arrival_time(packet)
        return None

    def writes(self, host: Host) -> list[Call]:
        """Return the calls of a host that wrote bytes."""
        return [call for call in self.calls[host].calls if moves_bytes(call, "out")]

    def writes_between(self, host: Host, start: int, end: int) -> bool:
        """Whether a host's program began to write between two times: then it had not had all to send before."""
        return any(start < call.start < end for call in self.writes(host)) if self.knows(host) else False

    def size(self, packet: Crossing) -> int:
        """Return a segment's IP length: headers, timestamps where it has them, payload. Other options are left out."""
        version = "6" if ":" in self.flow.client.address else "4"
        return _HEADERS[version] + (_TIMESTAMPS if "tsval" in packet.options else 0) + packet.length


@dataclass(frozen=True)
class Observed:
    """Everything that was seen. ``both_ends``: a packet's fate is known, since captures of both ends were joined.

    ``unsure`` are packets of which it is not, and which count as having crossed. ``one_clock``: times of
    both captures can be compared.
    """

    facts: RunFacts
    both_ends: bool = True
    unsure: frozenset[int] = frozenset()
    one_clock: bool = True

    def counter(self, host: Host, name: str) -> int:
        """Return by how much a counter of a host's kernel grew (:mod:`testbed.model.kernel_counters`)."""
        return self.facts.inputs.counters.get(host, {}).get(name, 0)

    @cached_property
    def connections(self) -> tuple[SeenFlow, ...]:
        """Every flow that has packets, TCP and UDP."""
        by_flow: dict[int, list[Crossing]] = {}
        errors: dict[int, list[Crossing]] = {}
        crossings = self.facts.crossings
        for packet in crossings:
            about = packet.options.get("about") or {}
            error = packet.protocol in ("icmp", "icmpv6") and (packet.flow is None or bool(about))
            if packet.flow is not None and not error:
                by_flow.setdefault(packet.flow, []).append(packet)
            elif error:
                named = {crossings[n].flow for n in self.facts.causes[packet.n].packets}
                named |= set(self._quoted_flows(packet, about))
                for index in (each for each in named if each is not None):
                    errors.setdefault(index, []).append(self._about(packet, index))
        return tuple(
            SeenFlow(flow, self.facts, by_flow[flow.index], self.both_ends, errors.get(flow.index, ()))
            for flow in self.facts.inputs.joined.flows
            if flow.index in by_flow
        )

    def _quoted_flows(self, error: Crossing, about: Mapping[str, Any]) -> list[int]:
        """Return the flows between the ports that an ICMP error quotes; of several those between its addresses, too."""
        flows = self.facts.inputs.joined.flows
        found = self._by_ports.get((about.get("sport"), about.get("dport")), [])
        quoted = quoted_addresses(error.payload) if len(found) > 1 else None
        if quoted is None:
            return found
        exact = [n for n in found if {flows[n].client.address, flows[n].server.address} == set(quoted)]
        return exact or found

    def _about(self, error: Crossing, index: int) -> Crossing:
        """Return an ICMP error about a flow, from the end that did not send what it quotes where one capture has it.

        One capture does not show from which side of the tap an error came; the ports that it quotes do.
        """
        about = error.options.get("about") or {}
        flow, ports = self.facts.inputs.joined.flows[index], (about.get("sport"), about.get("dport"))
        if self.both_ends or flow.client.port == flow.server.port or None in ports:
            return error
        return replace(error, sender="server" if ports == (flow.client.port, flow.server.port) else "client")

    @cached_property
    def _by_ports(self) -> dict[tuple[int | None, int | None], list[int]]:
        """The flows between two ports, in either direction: what an ICMP error quotes."""
        found: dict[tuple[int | None, int | None], list[int]] = {}
        for flow in self.facts.inputs.joined.flows:
            ports = flow.client.port, flow.server.port
            for pair in {ports, ports[::-1]}:
                found.setdefault(pair, []).append(flow.index)
        return found

    @cached_property
    def tcp(self) -> tuple[SeenFlow, ...]:
        """The TCP connections."""
        return tuple(each for each in self.connections if each.flow.protocol == "tcp")

    @cached_property
    def udp(self) -> tuple[SeenFlow, ...]:
        """The UDP conversations."""
        return tuple(each for each in self.connections if each.flow.protocol == "udp")

    def verdicts(self, *kinds: type[VerdictFact]) -> Iterator[VerdictFact]:
        """Yield the facts of the verdict that are of some kinds."""
        yield from (fact for fact in self.facts.verdict if isinstance(fact, kinds))

    def until(self, host: Host) -> int:
        """Return until when a host was seen, ns: its program's end, else the last packet."""
        ended = [each.ended for each in self.facts.inputs.programs if each.host == host]
        return ended[0] if ended else self._last

    @cached_property
    def _last(self) -> int:
        return max((arrival_time(each) for each in self.facts.crossings), default=0)

    @cached_property
    def resets(self) -> dict[tuple[int, Host], int]:
        """When each connection was broken off at each host: numbers of the RST's crossings."""
        ends = broken_off(self.facts.crossings, self.facts.streams)
        return {key: end.reset.packet.n for key, end in ends.items() if end.reset is not None}


def lost(packets: Iterable[Crossing]) -> list[Crossing]:
    """Return those that were sent and did not arrive."""
    return [each for each in packets if each.fate is Fate.LOST]
