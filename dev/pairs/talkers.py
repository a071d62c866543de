"""Made-up hosts that talk TCP, UDP and ICMP: the packets that they send, before any network touches them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from random import Random

from dev.pairs.made_packets import ACK, FIN, ICMP, ICMPV6, PSH, RST, SYN, TCP, UDP, Packet

MS, US = 10**6, 10**3
START = 1_700_000_000 * 10**9
numbers = count(1)
"""The next number of a packet: no two of one process have the same."""


@dataclass(slots=True)
class Host:
    """A host's habits: how it numbers packets, whether it stamps them, what window and TTL it sends with."""

    chance: Random
    address: str
    ttl: int = 64
    stamps: bool = True
    ids: str = "counted"  # counted, zero, random
    isn: Callable[[], int] | None = None
    windows: str = "constant"  # constant, moving
    tick: int = field(init=False)
    ident: int = field(init=False)

    def __post_init__(self) -> None:
        self.tick = self.chance.getrandbits(32)
        self.ident = self.chance.getrandbits(16)

    def next_id(self) -> int:
        """Return the IP identification of the next packet."""
        if self.ids == "zero":
            return 0
        if self.ids == "random":
            return self.chance.getrandbits(16)
        self.ident = (self.ident + 1) % 65536
        return self.ident

    def next_isn(self) -> int:
        """Return an initial sequence number."""
        return self.isn() if self.isn else self.chance.getrandbits(32)


def a_host(chance: Random, address: str) -> Host:
    """Return a host with habits by chance."""
    made = Host(
        chance,
        address,
        ttl=chance.choice((64, 64, 128)),
        stamps=chance.random() < 0.7,
        ids=chance.choice(("counted", "counted", "zero", "random")),
        windows=chance.choice(("constant", "moving")),
    )
    if chance.random() < 0.1:
        made.isn = lambda: chance.choice((0, 1, 1000))
    return made


@dataclass(frozen=True, slots=True)
class Sent:
    """A packet as its sender's card sends it, by true time (ns); ``there`` says from the client's side of the path."""

    time: int
    there: bool
    packet: Packet


@dataclass(slots=True)
class Exchange:
    """What TCP hosts say: bytes of each turn (whose, how many), and how it ends: FIN, RST or not at all."""

    turns: list[tuple[bool, int]]
    close: str = "fin"
    size: int = 1000
    content: Random | None = None  # the same seed gives the same bytes
    pace: Random | None = None  # ... and the same pauses
    handshake: bool = True


def an_exchange(chance: Random, *, most: int = 4) -> Exchange:
    """Return requests and answers of some sizes."""
    turns: list[tuple[bool, int]] = []
    for _ in range(chance.randint(1, most)):
        turns += [(True, chance.choice((1, 80, 300, 1500))), (False, chance.choice((10, 200, 4000, 9000)))]
    return Exchange(turns, chance.choice(("fin", "fin", "rst", "none")), chance.choice((536, 1000, 1448)))


def tcp(client: Host, server: Host, ports: tuple[int, int], says: Exchange, start: int, trip: int) -> list[Sent]:
    """Return the packets of a connection; an answer is sent ``trip`` ns after what it answers was."""
    made: list[Sent] = []
    ends = (client, server)
    isn = [client.next_isn(), server.next_isn()]
    at = [isn[0], isn[1]]
    echo = [0, 0]
    window = [502, 501]
    chance = client.chance

    def send(time: int, side: int, flags: int, payload: bytes = b"", options: bytes = b"") -> None:
        me = ends[side]
        stamp = (me.tick + (time - START) // MS) % 2**32
        if me.stamps and ends[1 - side].stamps:
            options += struct.pack(">BBBBII", 1, 1, 8, 10, stamp, echo[side] if flags & ACK else 0)
            echo[1 - side] = stamp
        if me.windows == "moving":
            window[side] = max(window[side] + chance.randint(-20, 20), 10)
        made.append(
            Sent(
                time,
                side == 0,
                Packet(
                    me.address, ends[1 - side].address, TCP, (next(numbers),), ports[side], ports[1 - side],
                    at[side] % 2**32, at[1 - side] % 2**32 if flags & ACK else 0, flags,
                    64240 if flags & SYN else window[side], options, me.ttl, 0, me.next_id(), payload=payload,
                ),
            )
        )  # fmt: skip
        at[side] += len(payload) + bool(flags & SYN) + bool(flags & FIN)

    time = start
    first = struct.pack(">BBHBBBBBBBB", 2, 4, 1460, 1, 3, 3, 7, 4, 2, 1, 1)
    if says.handshake:
        send(time, 0, SYN, options=first)
        time += trip
        send(time, 1, SYN | ACK, options=first)
        time += trip
        send(time, 0, ACK)
    else:
        at = [each + 1 for each in at]
    content, pace = says.content or chance, says.pace or chance
    for there, size in says.turns:
        side = 0 if there else 1
        data = content.randbytes(size)
        time += pace.randint(20 * US, 3 * MS)
        for begin in range(0, size, says.size):
            part = data[begin : begin + says.size]
            send(time, side, ACK | (PSH if begin + says.size >= size else 0), part)
            time += pace.randint(5 * US, 60 * US)
            if begin // says.size % 2:
                send(time + trip, 1 - side, ACK)
        time += trip
        if (size + says.size - 1) // says.size % 2:
            send(time, 1 - side, ACK)
        time += trip
    closer = chance.randint(0, 1)
    if says.close == "fin":
        send(time, closer, FIN | ACK)
        send(time + trip, 1 - closer, FIN | ACK)
        send(time + 2 * trip, closer, ACK)
    elif says.close == "rst":
        send(time, closer, RST | ACK)
    return made


def udp(client: Host, server: Host, ports: tuple[int, int], payloads: list[tuple[int, bool, bytes]]) -> list[Sent]:
    """Return datagrams: when, from the client or not, what."""
    ends = (client, server)
    return [
        Sent(
            time,
            there,
            Packet(
                ends[1 - there].address, ends[there].address, UDP, (next(numbers),), ports[1 - there], ports[there],
                ttl=ends[1 - there].ttl, ident=ends[1 - there].next_id(), payload=payload,
            ),
        )
        for time, there, payload in payloads
    ]  # fmt: skip


def pings(client: Host, server: Host, echo: int, times: list[int], trip: int) -> list[Sent]:
    """Return echo requests and their replies."""
    six = ":" in client.address
    protocol, kinds = (ICMPV6, (128, 129)) if six else (ICMP, (8, 0))
    made = []
    for sequence, time in enumerate(times):
        for there, moment in ((True, time), (False, time + trip)):
            me, other = (client, server) if there else (server, client)
            made.append(
                Sent(
                    moment,
                    there,
                    Packet(
                        me.address, other.address, protocol, (next(numbers),), ttl=me.ttl, ident=me.next_id(),
                        kind=(kinds[0 if there else 1], 0), rest=echo << 16 | sequence, payload=bytes(range(48)),
                    ),
                )
            )  # fmt: skip
    return made
