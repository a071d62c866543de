"""A large file is walked at many places at once: the result is that of a walk record by record, broken or not."""

from __future__ import annotations

import random

import numpy as np
import pytest

from testbed.capture.containers import pcap, pcapng, record_chain
from testbed.capture.read_file import load, pieces
from testbed.model.arrays import Int64
from testbed.model.errors import CaptureError
from tests.builders import frames

Read = tuple[list[Int64], str | None, int] | str


def made(seed: int, *, ng: bool) -> bytes:
    chance = random.Random(seed)
    sizes = [60, 90, 1500, 3000 if seed % 3 == 0 else 64, 40_000 if seed % 4 == 0 else 70]
    packets = [(10**18 + k * 1000, chance.randbytes(chance.choice(sizes))) for k in range(1500)]
    if not ng:
        raw = frames.pcap(packets)
    else:
        blocks = [frames.section(), frames.interface()]
        for time, data in packets:
            blocks.append(frames.enhanced(data, time // 1000))
            if chance.random() < 0.01:
                blocks.append(frames.interface())
        raw = b"".join(blocks)
    if seed % 2:  # damage in a header: what looks like one in the packets' bytes is not found by chance
        where = raw.index(packets[1000][1]) - 8
        raw = raw[:where] + b"\xff\xff\xff\x7f" * 2 + raw[where + 8 :]
    return raw


def read_all(raw: bytes) -> Read:
    try:
        parts = list(pieces(load(raw)))
    except CaptureError as problem:
        return str(problem)
    columns = ("offset", "captured", "wire", "time_ns", "interface")
    joined = [np.concatenate([getattr(part, name) for part in parts]) for name in columns]
    return joined, parts[-1].partial, len(parts[-1].interfaces)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("ng", [False, True], ids=["pcap", "pcapng"])
def test_many_walkers_find_what_one_finds(seed: int, ng: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = made(seed, ng=ng)
    alone = read_all(raw)  # smaller than what is worth several
    for module in (record_chain, pcap, pcapng):
        monkeypatch.setattr(module, "WINDOW", 1 << 18)
    monkeypatch.setattr(record_chain, "_WORTH", 1 << 16)
    monkeypatch.setattr(record_chain, "_LANE", 1 << 14)
    monkeypatch.setattr(record_chain, "_FARTHER", 1 << 13)
    together = read_all(raw)
    assert isinstance(alone, tuple)
    assert isinstance(together, tuple)
    for one, two in zip(alone[0], together[0], strict=True):
        assert np.array_equal(one, two)
    assert alone[1] == together[1]
    assert alone[1] or alone[2] == together[2]  # behind damage, more interfaces may be seen or not
    assert (alone[1] is not None) == bool(seed % 2)
