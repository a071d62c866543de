"""Random TCP streams with everything that labels are about."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from testbed.wireshark.label_names import TcpSegments

ACK, SYN, FIN, RST = 0x10, 0x02, 0x01, 0x04
GAPS = (10, 1000, 100_000, 2_000_000, 4_000_000, 30_000_000)


def random_segments(seed: int, count: int, size: int = 100) -> TcpSegments:
    """Return segments of up to three streams: handshakes, loss, repeats, windows, probes, SACK, numbers that wrap.

    ``size`` is the length of the longer segments (bytes).
    """
    chance = random.Random(seed)
    flows: list[dict[str, Any]] = [
        {
            "next": [chance.choice([5, 1000, 2**32 - 3000, 2**31]), chance.choice([7, 2000, 2**32 - 50])],
            "scale": [chance.choice([-1, 0, 7]), chance.choice([-1, 2, 7])],
            "window": [500, 600],
            "begun": 0,
        }
        for _ in range(chance.randint(1, 3))
    ]
    time, step = chance.choice([(10**9, 1), (0, 1), (0, 10**6), (10**9, 10**7)])  # ns: the first time, the clock's step
    rows = []
    blocks: list[tuple[int, int, int]] = []
    for position in range(count):
        number = chance.randrange(len(flows))
        flow = flows[number]
        time += chance.choice(GAPS) * (position > 0)
        side, flags, length, scale = chance.randint(0, 1), ACK, chance.choice([0, 0, 0, 1, 10, size, size]), -1
        if flow["begun"] < 2 and chance.random() < 0.9:
            side = flow["begun"]
            flags, length, scale = (SYN, SYN | ACK)[side], 0, flow["scale"][side]
            flow["begun"] += 1
            seq = flow["next"][side]
            flow["next"][side] += 1
        else:
            seq = flow["next"][side]
            kind = chance.random()
            if kind < 0.1:
                seq += chance.choice([size, 10, -1, -size, -10, -2 * size, 1, -size - 10])
            elif kind < 0.13:
                flags = FIN | ACK
            elif kind < 0.14:
                flags = RST
            elif kind < 0.15:
                flags, length = SYN, 0
            elif kind < 0.3:
                seq, length = seq - size, size
            flow["next"][side] = max(flow["next"][side], seq + length)
        ack = flow["next"][1 - side] - chance.choice([0, 0, 0, 0, size, 2 * size, size // 2]) if flags & ACK else 0
        if flags & ACK and chance.random() < 0.02:
            ack += size
        if chance.random() < 0.15:
            flow["window"][side] = chance.choice([0, 100, 100, 500])
        if flags == ACK and chance.random() < 0.3:
            blocks.append((position, (ack + size) % 2**32, (ack + 2 * size) % 2**32))
        rows.append(
            (time // step * step, number, side, seq % 2**32, ack % 2**32, flags, flow["window"][side], length, scale)
        )
    options = sorted(chance.sample(range(count), chance.randint(0, min(count, 4)))) if chance.random() < 0.3 else []
    edges = np.zeros((len(blocks), 4, 2), np.uint32)
    for k, (_, left, right) in enumerate(blocks):
        edges[k, 0] = left, right
    times, numbers, sides, seqs, acks, all_flags, windows, lengths, scales = zip(*rows, strict=True)
    return TcpSegments(
        time=np.array(times, np.int64),
        conversation=np.array(numbers, np.int64),
        side=np.array(sides, np.uint8),
        seq=np.array(seqs, np.uint32),
        ack=np.array(acks, np.uint32),
        flags=np.array(all_flags, np.uint16),
        window=np.array(windows, np.uint16),
        length=np.array(lengths, np.int64),
        wscale=np.array(scales, np.int16),
        sack_at=np.array([position for position, _, _ in blocks], np.int64),
        sack_count=np.ones(len(blocks), np.uint8),
        sack=edges,
        mptcp_at=np.array(options, np.int64),
        mptcp=np.array([1 << chance.randrange(4) for _ in options], np.uint16),
    )
