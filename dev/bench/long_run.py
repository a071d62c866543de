"""A long transfer as values, made up: captures of both ends and calls, of any number of packets, with losses."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass, field, replace

import xxhash

from testbed.analysis.analyse import analyse
from testbed.analysis.join.join import join
from testbed.capture.columns import Capture
from testbed.capture.read_file import read
from testbed.model import HOSTS, Analysis, Call, Endpoint, Host, Inputs, SocketInfo
from testbed.model.kernel_log import (
    Agreement,
    Assessment,
    KernelEvent,
    KernelEvidence,
    KernelLog,
    Matched,
    SendState,
)

CLIENT, SERVER = Endpoint("198.18.0.2", 40000), Endpoint("198.18.0.3", 10011)
START = 1_700_000_000_000_000_000

_SIZE = 200  # payload bytes of a segment
_STEP = 20_000  # ns between segments
_DELAY = 5_000_000
_LATER = 15_000_000  # a lost segment is sent again so much later
_LOSS = 0.01
_PER_CALL = 40  # segments that one send fills


@dataclass(slots=True)
class _Wire:
    """Packets as they pass the two taps: (time, order, frame)."""

    client: list[tuple[int, int, bytes]] = field(default_factory=list)
    server: list[tuple[int, int, bytes]] = field(default_factory=list)
    count: int = 0

    def put(self, sender: Host, time: int, frame: bytes, *, lost: bool = False) -> None:
        here, there = (self.client, self.server) if sender == "client" else (self.server, self.client)
        here.append((time, self.count, frame))
        if not lost:
            there.append((time + _DELAY, self.count, frame))
        self.count += 1


def long_run(packets: int) -> tuple[Analysis, dict[Host, Capture]]:
    """Return the analysis and the captures of a transfer of about that many packets (5 at least)."""
    chance = random.Random(packets)
    wire = _Wire()
    wire.put("client", START, _frame("client", 0, 0, 0x02))
    wire.put("server", START + _DELAY, _frame("server", 0, 1, 0x12))
    wire.put("client", START + 2 * _DELAY, _frame("client", 1, 1, 0x10))
    now, sequence = START + 2 * _DELAY + 1000, 1
    calls: list[Call] = []
    again: list[tuple[int, bytes]] = []
    while wire.count < packets - 2:
        if (sequence - 1) // _SIZE % _PER_CALL == 0:
            calls.append(_send(len(calls) + 1, now - 500))
        frame = _frame("client", sequence, 1, 0x18, chance.randbytes(_SIZE))
        lost = chance.random() < _LOSS
        wire.put("client", now, frame, lost=lost)
        if lost:
            again.append((now + _LATER, frame))
        while again and again[0][0] <= now:
            wire.put("client", *again.pop(0))
        sequence += _SIZE
        if (sequence - 1) // _SIZE % 2 == 0:
            wire.put("server", now + _DELAY + 3000, _frame("server", 1, sequence, 0x10))
        now += _STEP
    captures: dict[Host, Capture] = {"client": read(_pcap(wire.client)), "server": read(_pcap(wire.server))}
    joined = join(captures["client"], captures["server"], {"client": [CLIENT.address], "server": [SERVER.address]})
    connect = _call(0, "connect", START - 1000, START + 2 * _DELAY, args={"address": str(SERVER)})
    inputs = Inputs(
        joined=joined,
        calls={"client": (connect, *calls), "server": ()},
        observed={"client": "probe", "server": "none"},
        programs=(),
        output=dict.fromkeys(HOSTS, ""),
    )
    return analyse(inputs, ()), captures


def witnessed(analysis: Analysis) -> Analysis:
    """Return a long run with a made-up kernel trace; losses halve its window."""
    chance = random.Random(len(analysis.causes))
    cwnd, threshold, srtt = 10, None, 10_000
    assessments, states, again = [], {}, []
    for packet, cause in zip(analysis.inputs.joined.crossings, analysis.causes, strict=True):
        repeated = bool(cause.traits.sent_again)
        if repeated:
            event = KernelEvent(packet.time, "tcp_retransmit_skb", 0, True, packet.sender, CLIENT, SERVER, 1)
            again.append(Matched(event, packet.flow, (packet.n,)))
            cwnd = threshold = max(cwnd // 2, 2)
        elif chance.random() < 1 / cwnd:
            cwnd += 1
        srtt += chance.randrange(-200, 201)
        states[packet.n] = SendState(cwnd, threshold, abs(srtt), 64_240)
        assessments.append(
            Assessment(Agreement.CONFIRMED, ("tcp_retransmit_skb in the Open state",))
            if repeated
            else Assessment(Agreement.NOT_COVERED)
        )
    kernel = KernelEvidence(KernelLog((), ()), tuple(assessments), tuple(again), send_states=states)
    return replace(analysis, kernel=kernel)


def _send(n: int, time: int) -> Call:
    size = _SIZE * _PER_CALL
    return _call(n, "send", time, time + 400, result=size, length=size, direction="out", data=bytes(64))


def _call(n: int, name: str, start: int, end: int, **more: object) -> Call:
    values: dict[str, object] = {"args": {}, "result": 0, "socket": SocketInfo(7, "tcp", CLIENT, SERVER), **more}
    if values.get("length"):
        values["digest"] = xxhash.xxh3_64_hexdigest(b"")
    return Call(n, "client", 7, 7, "/usr/bin/sender", name, 3, start=start, end=end, **values)  # type: ignore[arg-type]


def _frame(sender: Host, sequence: int, ack: int, flags: int, payload: bytes = b"") -> bytes:
    """Return an Ethernet frame; checksums are left 0, as a card would fill them in."""
    own, peer = (CLIENT, SERVER) if sender == "client" else (SERVER, CLIENT)
    addresses = b"".join(bytes(int(part) for part in end.address.split(".")) for end in (own, peer))
    isn, peer_isn = (1000, 900_000) if sender == "client" else (900_000, 1000)
    raw = ((isn + sequence) & 0xFFFFFFFF, (peer_isn + ack) & 0xFFFFFFFF if flags & 0x10 else 0)
    tcp = struct.pack(">HHIIBBHHH", own.port, peer.port, *raw, 5 << 4, flags, 64240, 0, 0) + payload
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), sequence & 0xFFFF, 0x4000, 64, 6, 0) + addresses
    return bytes(12) + b"\x08\x00" + ip + tcp


def _pcap(records: list[tuple[int, int, bytes]]) -> bytes:
    parts = [struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1)]
    for time, _, frame in sorted(records):
        parts.append(struct.pack("<IIII", *divmod(time, 10**9), len(frame), len(frame)) + frame)
    return b"".join(parts)
