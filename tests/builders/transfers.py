"""One transfer as both ends would capture it, with exactly the faults that a test asks for.

The client sends segments at a steady pace; the server acknowledges what has arrived. The network in between does to
each segment what its number in ``faults`` says. What was lost is sent again at the end.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from testbed.capture.read_file import load
from testbed.pairing.compare_captures import Comparison, compare
from testbed.run.read_captures import read_one
from tests.builders.frames import ACK, CLIENT, FIN, PSH, SERVER, SYN, ethernet, pcap, tcp, timestamps

MS, US = 10**6, 10**3
DELAY = 5 * MS
PACE = MS
START = 1_700_000_000 * 10**9
SIZE = 100
FAULTS = ("lost", "duplicated", "late", "window", "ttl", "dscp", "payload", "urgent", "split")


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet at one place: when, and what :func:`tests.builders.frames.tcp` makes it from."""

    time: int
    from_client: bool
    fields: Mapping[str, Any]
    payload: bytes = b""
    number: int = -1  # of the data segment

    def frame(self) -> bytes:
        return ethernet(tcp(self.payload, **self.fields))


@dataclass(slots=True)
class Transfer:
    """What each end's capture holds, in order of time."""

    client: list[Packet] = field(default_factory=list)
    server: list[Packet] = field(default_factory=list)

    def bytes(self, **options: Any) -> tuple[bytes, bytes]:
        return file_of(self.client, **options), file_of(self.server, **options)

    def compare(self, **options: Any) -> Comparison:
        return compare_bytes(*self.bytes(), **options)


def file_of(packets: list[Packet], **options: Any) -> bytes:
    return pcap([(each.time, each.frame()) for each in sorted(packets, key=lambda each: each.time)], **options)


def compare_bytes(client: bytes, server: bytes, **options: Any) -> Comparison:
    return compare(*read_one(load(client)), *read_one(load(server)), **options)


class _Network:
    def __init__(self, seed: int, isns: tuple[int, int]) -> None:
        self.chance = random.Random(seed)
        self.isns = isns
        self.ids = [100, 40000]
        self.last = [0, 0]
        self.transfer = Transfer()

    def send(self, time: int, *, client: bool, flags: int, seq: int, ack: int, payload: bytes = b"",
             number: int = -1, fault: str = "") -> int | None:  # fmt: skip
        """Put a packet on its sender's wire and, as the fault says, on the receiver's; return when it arrived."""
        side = 0 if client else 1
        self.ids[side] += 1
        fields: dict[str, Any] = {
            "src": CLIENT if client else SERVER,
            "dst": SERVER if client else CLIENT,
            "sport": 4711 if client else 10011,
            "dport": 10011 if client else 4711,
            "seq": self.isns[side] + seq,
            "ack": self.isns[1 - side] + ack if flags & ACK else 0,
            "flags": flags,
            "ident": self.ids[side],
            "options": timestamps(time // MS & 0xFFFFFFFF, 7),
        }
        packet = Packet(time, client, fields, payload, number)
        near, far = (self.transfer.client, self.transfer.server)[:: 1 if client else -1]
        near.append(packet)
        if fault == "lost":
            return None
        arrives = time + DELAY + self.chance.randrange(50) * US
        if fault == "late":
            arrives += 5 * PACE + PACE // 2
        else:  # nothing overtakes but what is late
            arrives = self.last[side] = max(arrives, self.last[side] + 30 * US)
        arrived = replace(packet, time=arrives, fields={"ttl": 61, **altered(fields, fault)})
        if fault == "payload":
            arrived = replace(arrived, payload=bytes([payload[0] ^ 1]) + payload[1:])
        if fault == "split":
            half = len(payload) // 2
            far.append(replace(arrived, payload=payload[:half]))
            second = {**arrived.fields, "seq": fields["seq"] + half, "ident": self.ids[side] + 5000}
            far.append(replace(arrived, time=arrives + US, payload=payload[half:], fields=second))
            return arrives + US
        far.append(arrived)
        if fault == "duplicated":
            far.append(replace(arrived, time=arrives + 20 * US))
        return arrives


def altered(fields: dict[str, Any], fault: str) -> dict[str, Any]:
    changes = {"window": {"window": 77}, "ttl": {"ttl": 33}, "dscp": {"tos": 0xB8}, "urgent": {"urgent": 3}}
    return {**fields, **changes.get(fault, {})}


def transfer(faults: Mapping[int, str] | None = None, *, segments: int = 20, seed: int = 1,
             isns: tuple[int, int] = (1000, 90_000)) -> Transfer:  # fmt: skip
    """Make a transfer of ``segments`` data segments, with faults by number."""
    faults = faults or {}
    net = _Network(seed, isns)
    net.send(START, client=True, flags=SYN, seq=0, ack=0)
    net.send(START + DELAY + 100 * US, client=False, flags=SYN | ACK, seq=0, ack=1)
    net.send(START + 2 * DELAY + 200 * US, client=True, flags=ACK, seq=1, ack=1)
    data = [net.chance.randbytes(SIZE) for _ in range(segments)]
    begin = START + 20 * MS
    arrivals = []
    for number, payload in enumerate(data):
        time = begin + number * PACE
        arrived = net.send(time, client=True, flags=PSH | ACK, seq=1 + number * SIZE, ack=1, payload=payload,
                           number=number, fault=faults.get(number, ""))  # fmt: skip
        if arrived is not None:
            arrivals.append((arrived, number))
    again = begin + (segments + 200) * PACE
    for number in sorted(number for number, fault in faults.items() if fault == "lost"):
        arrived = net.send(again, client=True, flags=PSH | ACK, seq=1 + number * SIZE, ack=1, payload=data[number])
        assert arrived is not None
        arrivals.append((arrived, number))
        again += PACE
    have: set[int] = set()
    for arrived, number in sorted(arrivals):
        have.add(number)
        edge = next(k for k in range(segments + 1) if k not in have)
        net.send(arrived + 100 * US, client=False, flags=ACK, seq=1, ack=1 + edge * SIZE)
    end = again + 50 * MS
    last = 1 + segments * SIZE
    net.send(end, client=True, flags=FIN | ACK, seq=last, ack=1)
    net.send(end + DELAY + 100 * US, client=False, flags=FIN | ACK, seq=1, ack=last + 1)
    net.send(end + 2 * DELAY + 200 * US, client=True, flags=ACK, seq=last + 1, ack=2)
    return net.transfer


def moved(packets: list[Packet], *, offset: int = 0, ppm: float = 0.0, step: tuple[int, int] = (0, 0)) -> list[Packet]:
    """Stamp packets with another clock: ahead by ``offset``, drifting, stepped by step[1] from the time step[0] on."""
    return [
        replace(
            each,
            time=each.time
            + offset
            + round((each.time - START) * ppm / 1e6)
            + (step[1] if step[0] and each.time >= step[0] else 0),
        )
        for each in packets
    ]


def rewritten(packets: list[Packet], **fields: Any) -> list[Packet]:
    """Rewrite all packets: values, or functions of (packet) that give them."""
    return [
        replace(
            each,
            fields={
                **each.fields,
                **{name: value(each) if callable(value) else value for name, value in fields.items()},
            },
        )
        for each in packets
    ]
