"""Both ends of a link: packets, what becomes of each on its way, and the captures that show it."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass, field, replace

from testbed.analysis.join.join import join
from testbed.capture.read_file import read
from testbed.model import Host, Joined
from testbed.model.ip import TCP
from tests.builders.frames import (
    ACK,
    CLIENT,
    CLIENT6,
    PSH,
    SERVER,
    SERVER6,
    SYN,
    checksum,
    ethernet,
    icmp,
    pcap,
    pseudo,
    tcp,
    timestamps,
    udp,
)

HOSTS: dict[Host, list[str]] = {"client": [CLIENT, CLIENT6], "server": [SERVER, SERVER6]}


DELAY = 5_000_000


MS = 1_000_000


@dataclass(frozen=True)
class Packet:
    """A TCP segment, UDP datagram or echo on its way: what is in it and who sends it when."""

    time: int
    to_server: bool = True
    kind: str = "tcp"
    seq: int = 0
    ack: int = 0
    flags: int = ACK
    window: int = 500
    ident: int = 0
    ttl: int = 64
    tos: int = 0
    urgent: int = 0
    stamp: int = 0
    payload: bytes = b""
    v6: bool = False
    checksum: int = 0  # flips bits of it
    port: int = 4711

    @property
    def checksum_is_partial(self) -> bool:
        """Whether the checksum of a TCP segment is, by chance, what a network card would still have to fill in."""
        segment = self.frame()[14 + (40 if self.v6 else 20) :]
        ends = (CLIENT6, SERVER6) if self.v6 else (CLIENT, SERVER)
        (field,) = struct.unpack_from(">H", segment, 16)
        return bool(field == 0xFFFF - checksum(pseudo(*ends, TCP, len(segment))))

    def frame(self) -> bytes:
        ends = (CLIENT6, SERVER6) if self.v6 else (CLIENT, SERVER)
        src, dst = ends if self.to_server else ends[::-1]
        network = {"ttl": self.ttl, "tos": self.tos, "ident": self.ident}
        ports = (self.port, 10011) if self.to_server else (10011, self.port)
        if self.kind == "icmp":
            packet = icmp(8, 0, self.seq, self.payload, src=src, dst=dst, **network)
        elif self.kind == "udp":
            packet = udp(self.payload, src=src, dst=dst, sport=ports[0], dport=ports[1], **network)
        else:
            packet = tcp(
                self.payload, src=src, dst=dst, sport=ports[0], dport=ports[1], seq=self.seq, ack=self.ack,
                flags=self.flags, window=self.window, urgent=self.urgent,
                options=timestamps(self.stamp, 7) if self.stamp else b"", **network,
            )  # fmt: skip
        if self.checksum:
            at = (40 if self.v6 else 20) + {"tcp": 16, "udp": 6, "icmp": 2}[self.kind]
            (value,) = struct.unpack_from(">H", packet, at)
            packet = packet[:at] + struct.pack(">H", value ^ self.checksum) + packet[at + 2 :]
        return ethernet(packet)


@dataclass
class Wire:
    """Both ends of a link: what each tap sees, and what a packet's fate was."""

    sent: list[tuple[int, Packet, Packet | None]] = field(default_factory=list)
    extra: list[tuple[int, Packet]] = field(default_factory=list)

    def cross(self, packet: Packet, *, delay: int = DELAY, becomes: Packet | None = None, lost: bool = False) -> None:
        self.sent.append((delay, packet, None if lost else becomes or packet))

    def appear(self, packet: Packet, delay: int = DELAY) -> None:
        self.extra.append((packet.time + delay, packet))

    def join(self) -> Joined:
        taps: dict[bool, list[tuple[int, Packet]]] = {True: [], False: []}  # True: the client's
        for delay, packet, arrived in self.sent:
            taps[packet.to_server].append((packet.time, packet))
            if arrived:
                taps[not packet.to_server].append((packet.time + delay, arrived))
        for time, packet in self.extra:
            taps[not packet.to_server].append((time, packet))
        files = [
            read(pcap([(time, packet.frame()) for time, packet in sorted(taps[end], key=lambda seen: seen[0])]))
            for end in (True, False)
        ]
        return join(files[0], files[1], HOSTS)


def conversation(rng: random.Random, count: int, *, v6: bool, kind: str = "tcp") -> list[Packet]:
    """A random exchange: data both ways, pure and repeated ACKs, retransmissions; times 1 ms apart."""
    seqs = {True: rng.randrange(2**32), False: rng.randrange(2**32)}
    base = dict(seqs)
    packets: list[Packet] = []
    for n in range(count):
        to_server = rng.random() < 0.6
        size = rng.choice([0, 0, 1, 5, 100])
        again = [one for one in packets if one.to_server == to_server and one.payload]
        packet = Packet(
            time=10**18 + n * MS,
            to_server=to_server,
            kind=kind,
            seq=seqs[to_server],
            ack=seqs[not to_server],
            flags=PSH | ACK if size else ACK,
            window=rng.choice([500, 500, 501]),
            ident=0 if v6 else n + 1,
            stamp=n + 1,
            payload=rng.randbytes(size),
            v6=v6,
        )
        if n < 2:
            packet = replace(packet, to_server=not n, seq=base[not n], ack=base[bool(n)] + 1 if n else 0)
            packet = replace(packet, flags=SYN | ACK if n else SYN, payload=b"")
            seqs[not n] = base[not n] + 1
        elif again and rng.random() < 0.2:
            old = rng.choice(again)
            packet = replace(packet, seq=old.seq, payload=old.payload, flags=old.flags)
        elif kind == "tcp":
            seqs[to_server] = (packet.seq + size) % 2**32
        packets.append(replace(packet, seq=packet.seq % 2**32, ack=packet.ack % 2**32))
    return packets
