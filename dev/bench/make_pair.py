"""Make two captures of one made-up transfer: what the benchmark of ``invoke compare`` reads.

Each flow sends segments at a steady pace; the receiver acknowledges every second one, and each one after a gap, as
Linux does (with SACK). Some segments are lost on the way and sent again a round trip later, some arrive late.
"""

from __future__ import annotations

import heapq
import random
import struct
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

_SEGMENT = 800  # with the ACKs, packets of 615 bytes on average, record headers counted
_DELAY = 5_000_000  # ns each way
_LATE = 300_000
_PACE = 20_000
_EPOCH = 1_700_000_000 * 10**9
_POOL = 1 << 20


@dataclass(slots=True)
class _Flow:
    """One connection while it is simulated; numbers are relative, the next to be sent and to be received."""

    client: bytes
    port: int
    isn: tuple[int, int]
    sent: int = 1
    expected: int = 1
    held: dict[int, int] = field(default_factory=dict)
    unacked: int = 0
    ids: list[int] = field(default_factory=lambda: [1, 1])


Event = tuple[int, int, int, str, int]  # time, order, flow, kind, seq
Record = tuple[int, int, bytes]  # time, order, frame


class _Pair:
    """The transfer: what goes on, and the packets that are not written yet."""

    def __init__(self, outs: tuple[BinaryIO, BinaryIO], packets: int, flows: int, loss: float, late: float) -> None:
        self.outs = outs
        self.chance = random.Random(1)
        self.loss, self.late = loss, late
        self.packets = packets
        self.pool = self.chance.randbytes(_POOL + _SEGMENT)
        self.flows = [
            _Flow(
                struct.pack(">BBBB", 10, 0, n >> 8 & 255, n & 255),
                1024 + n % 60000,
                (self.chance.getrandbits(32), self.chance.getrandbits(32)),
            )
            for n in range(flows)
        ]
        self.events: list[Event] = []
        self.count = 0
        self.waiting: tuple[list[Record], list[Record]] = ([], [])
        self.captured = [0, 0]

    def at(self, time: int, flow: int, kind: str, seq: int = 0) -> None:
        self.count += 1
        heapq.heappush(self.events, (time, self.count, flow, kind, seq))

    def run(self) -> None:
        gap = _PACE * len(self.flows)
        for n in range(len(self.flows)):
            self.at(_EPOCH + n * _PACE, n, "open")
        while self.events and self.captured[0] < self.packets:
            time, _, n, kind, seq = heapq.heappop(self.events)
            self.write(until=time)
            flow = self.flows[n]
            if kind == "open":
                self.cross(time, n, side=0, flags=0x02, seq=0, ack=0, then="")
                self.cross(time + _DELAY, n, side=1, flags=0x12, seq=0, ack=1, then="")
                self.cross(time + 2 * _DELAY, n, side=0, flags=0x10, seq=1, ack=1, then="")
                self.at(time + 2 * _DELAY + 1000, n, "send")
            elif kind == "send":
                self.data(time, n, flow.sent)
                flow.sent += _SEGMENT
                self.at(time + gap, n, "send")
            elif kind == "arrive":
                self.arrive(time, n, seq)
            elif kind == "again":
                self.data(time, n, seq)
        self.write(until=None)

    def capture(self, side: int, time: int, frame: bytes) -> None:
        heapq.heappush(self.waiting[side], (time, self.captured[side], frame))
        self.captured[side] += 1

    def write(self, until: int | None) -> None:
        """Write what was captured before ``until`` (None: all) in order of time; nothing earlier can follow."""
        for out, waiting in zip(self.outs, self.waiting, strict=True):
            while waiting and (until is None or waiting[0][0] < until):
                time, _, frame = heapq.heappop(waiting)
                out.write(struct.pack("<IIII", time // 10**9, time % 10**9, len(frame), len(frame)) + frame)

    def data(self, time: int, n: int, seq: int) -> None:
        self.cross(time, n, side=0, flags=0x18, seq=seq, ack=1, length=_SEGMENT, then="arrive")

    def arrive(self, time: int, n: int, seq: int) -> None:
        flow = self.flows[n]
        gap = seq != flow.expected or bool(flow.held)
        if seq >= flow.expected:
            flow.held[seq] = seq + _SEGMENT
        while flow.expected in flow.held:
            flow.expected = flow.held.pop(flow.expected)
        flow.unacked += 1
        if gap or flow.unacked == 2:
            flow.unacked = 0
            blocks = (seq, seq + _SEGMENT) if seq > flow.expected else None
            self.cross(time + 1000, n, side=1, flags=0x10, seq=1, ack=flow.expected, sack=blocks, then="")

    def cross(
        self, time: int, n: int, *, side: int, flags: int, seq: int, ack: int, then: str,
        length: int = 0, sack: tuple[int, int] | None = None,
    ) -> None:  # fmt: skip
        """Put a packet on the sender's wire and, unless it is lost, on the receiver's."""
        flow = self.flows[n]
        flow.ids[side] = flow.ids[side] % 65535 + 1
        isn, peer = flow.isn[side], flow.isn[1 - side]
        options = struct.pack(">BBBBII", 1, 1, 8, 10, time // 10**6 & 0xFFFFFFFF, (time - _DELAY) // 10**6 & 0xFFFFFFFF)
        if flags & 0x02:
            options = struct.pack(">BBHBBBB", 2, 4, 1460, 3, 3, 7, 1) + struct.pack(">BBBB", 4, 2, 1, 1) + options
        if sack:
            options += struct.pack(">BBBBII", 1, 1, 5, 10, *((edge + peer) % 2**32 for edge in sack))
        ends = (flow.client, bytes((10, 1, 0, 1)), flow.port, 80)
        source, target, sport, dport = ends if side == 0 else (ends[1], ends[0], ends[3], ends[2])
        at = seq * 7 % _POOL
        payload = self.pool[at : at + length]
        size = 40 + len(options) + length
        acknowledges = (ack + peer) % 2**32 if flags & 0x10 else 0
        bits = (5 + len(options) // 4) << 12 | flags
        tail = struct.pack(
            ">HHIIHHHH", sport, dport, (seq + isn) % 2**32, acknowledges, bits, 502, (seq ^ ack) & 0xFFFF, 0
        )
        rest = source + target + tail + options + payload
        frame = bytes(12) + struct.pack(">HBBHHHBBH", 0x0800, 0x45, 0, size, flow.ids[side], 0x4000, 64, 6, 0) + rest
        self.capture(side, time, frame)
        if flags & 0x02 or not self.chance.random() < self.loss:
            arrives = time + _DELAY + (_LATE if self.chance.random() < self.late and not flags & 0x02 else 0)
            other = (
                bytes(12) + struct.pack(">HBBHHHBBH", 0x0800, 0x45, 0, size, flow.ids[side], 0x4000, 61, 6, 0) + rest
            )
            self.capture(1 - side, arrives, other)
            if then:
                self.at(arrives, n, then, seq)
        elif then:  # selective acknowledgments tell the sender a round trip later
            self.at(time + 2 * _DELAY + 4 * _PACE, n, "again", seq)


def make_pair(folder: Path, *, packets: int, flows: int = 1, loss: float = 0.0, late: float = 0.0) -> tuple[Path, Path]:
    """Write ``client.pcap`` and ``server.pcap`` with about ``packets`` packets each; return their paths."""
    paths = folder / "client.pcap", folder / "server.pcap"
    with ExitStack() as files:
        outs = files.enter_context(paths[0].open("wb")), files.enter_context(paths[1].open("wb"))
        for out in outs:
            out.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1))
        _Pair(outs, packets, flows, loss, late).run()
    return paths
