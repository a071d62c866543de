"""What expectations and findings are made of: a run's packets, calls, causes and ledger, and what follows from them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from testbed.analysis.calls.streams import Streams
from testbed.analysis.label_check import labels_of
from testbed.model import (
    HOSTS,
    Call,
    Cause,
    CauseKind,
    CauseName,
    Crossing,
    Evidence,
    Host,
    Inputs,
    LedgerRow,
    peer_of,
)
from testbed.model.absences import NoPacket
from testbed.model.crossings import host_names
from testbed.model.findings import Diagnosis
from testbed.model.hosts import by_name
from testbed.model.verdicts import VerdictFact


@dataclass(frozen=True, slots=True)
class Result:
    """How one expectation ended: ``ok`` None where the observation cannot say; ``actual`` what the run showed."""

    ok: bool | None
    expected: str
    actual: str | Evidence


@dataclass(frozen=True)
class RunFacts:
    """What checks and rules look at; ``causes`` are aligned with the crossings, ``no_packet`` as in :class:`Analysis`.

    ``diagnosis`` is what the rules of ``diagnosis/`` found, None where they were not asked.
    """

    inputs: Inputs
    streams: Streams
    causes: Sequence[Cause]
    ledger: Sequence[LedgerRow]
    no_packet: dict[tuple[Host, int], NoPacket]
    verdict: Sequence[VerdictFact] = ()
    diagnosis: Diagnosis | None = None

    @property
    def complete(self) -> bool:
        """Whether captures and call logs hold all there was."""
        return not self.inputs.incomplete

    @property
    def crossings(self) -> Sequence[Crossing]:
        """All packets in time order."""
        return self.inputs.joined.crossings

    @cached_property
    def addresses(self) -> dict[str, str]:
        """The addresses of hosts by all their names."""
        known: dict[str, str] = {host: address for address, host in host_names(self.inputs.joined.flows).items()}
        return {**known, **by_name(self.inputs.addresses)}

    @cached_property
    def answers(self) -> dict[int, list[int]]:
        """Crossings that answer a crossing: ``{answered: [answers]}``."""
        found: dict[int, list[int]] = defaultdict(list)
        for crossing, cause in zip(self.crossings, self.causes, strict=True):
            if cause.traits.in_exchange:
                for n in cause.packets:
                    found[n].append(crossing.n)
        return found

    @cached_property
    def caused(self) -> dict[tuple[Host, int], list[int]]:
        """Crossings that a call caused: ``{(host, Call.n): [crossings]}``."""
        found: dict[tuple[Host, int], list[int]] = defaultdict(list)
        for crossing, cause in zip(self.crossings, self.causes, strict=True):
            if cause.kind in (CauseKind.CALL, CauseKind.EXIT):
                for n in cause.calls:
                    found[crossing.sender, n].append(crossing.n)
        return found

    @cached_property
    def connections(self) -> dict[int, int]:
        """The number of each flow, from 1 in the order of their first packets."""
        order = dict.fromkeys(each.flow for each in self.crossings if each.flow is not None)
        return {flow: number for number, flow in enumerate(order, 1)}

    def number_of(self, packet: Crossing) -> int | None:
        """Return the number of a packet's connection, None for a packet of none."""
        return None if packet.flow is None else self.connections[packet.flow]

    @cached_property
    def scales(self) -> dict[tuple[int, Host], int]:
        """The shift of a host's windows on a flow, where both SYNs allow one (RFC 7323 section 2.2)."""
        offered = {
            (each.flow, each.sender): each.options.get("wscale")
            for each in self.crossings
            if "S" in each.flags and each.flow is not None
        }
        return {
            (flow, host): shift
            for (flow, host), shift in offered.items()
            if shift is not None and offered.get((flow, peer_of(host))) is not None
        }

    @cached_property
    def labels(self) -> dict[Host, dict[int, tuple[str, ...]]]:
        """Wireshark's labels in each host's capture, by crossing; those that have none are left out."""
        found: dict[Host, dict[int, tuple[str, ...]]] = {host: {} for host in HOSTS}
        for crossing in self.crossings:
            for host, names in labels_of(crossing, self.inputs.labels).items():
                found[host][crossing.n] = names
        return found

    def calls(self, name: str, host: Host, *, connection: int | None = None, socket: int | None = None) -> list[Call]:
        """Return a host's calls of a name in order; of one connection or socket only, where that is given."""
        calls = [call for call in self.inputs.calls.get(host, ()) if call.name == name]
        if connection is not None:
            calls = [call for call in calls if self._connection_of(call) == connection]
        if socket is not None:
            calls = [call for call in calls if call.socket and self.sockets[host].get(call.socket.cookie) == socket]
        return sorted(calls, key=lambda call: (call.start, call.n))

    def _connection_of(self, call: Call) -> int | None:
        flow = self.streams.flow_of.get((call.host, call.n))
        return None if flow is None else self.connections.get(flow)

    @cached_property
    def sockets(self) -> dict[Host, dict[int, int]]:
        """The number of each socket of a host by its cookie, from 1 in the order of the first calls on them."""
        found: dict[Host, dict[int, int]] = {}
        for host in HOSTS:
            calls = sorted(self.inputs.calls.get(host, ()), key=lambda call: (call.start, call.n))
            known = (call.socket.cookie for call in calls if call.socket and call.socket.protocol != "other")
            found[host] = {cookie: number for number, cookie in enumerate(dict.fromkeys(known), 1)}
        return found

    @cached_property
    def by_rule(self) -> dict[CauseName, list[int]]:
        """The crossings that each rule explains, in time order."""
        found: dict[CauseName, list[int]] = defaultdict(list)
        for crossing, cause in zip(self.crossings, self.causes, strict=True):
            found[cause.rule].append(crossing.n)
        return found


def packets_of(call: Call, facts: RunFacts) -> list[Crossing]:
    """Return the packets of a call in time order: those that it caused and the answers to them, and to these in turn.

    Repeats, repeated ACKs and timers' packets are left out, since TCP may send them at any time, and so are packets
    that a call of the other host caused.
    """
    chain = set(facts.caused.get((call.host, call.n), ()))
    todo = list(chain)
    while todo:
        for n in facts.answers.get(todo.pop(), ()):
            if n not in chain:
                chain.add(n)
                todo.append(n)
    return [facts.crossings[n] for n in sorted(chain)]


def time_at(packet: Crossing, host: Host) -> int | None:
    """Return when a host's capture shows a packet, None where it does not."""
    return packet.sent if host == packet.sender else packet.arrived


def every(results: Iterable[bool | None]) -> bool | None:
    """Put results together: one that is false decides, else one that is unknown."""
    found = list(results)
    if False in found:
        return False
    return None if None in found else True


def listed(texts: Sequence[str], *, empty: str = "none") -> str:
    """Return texts with commas between; the middle of long lists is cut."""
    if len(texts) > 12:
        texts = [*texts[:8], f"... {len(texts) - 9} more ...", texts[-1]]
    return ", ".join(texts) or empty
