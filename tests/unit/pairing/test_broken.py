"""Broken and odd files: a comparison ends with a result or with one line of error, whatever is in them."""

from __future__ import annotations

import io
import os
import random
import struct

import pytest
from rich.console import Console

from testbed.capture.read_file import load
from testbed.model.errors import CaptureError
from testbed.pairing.compare_captures import Comparison, compare
from testbed.report.json.comparison_json import to_json
from testbed.report.text.comparison_csv import write_csv
from testbed.report.text.comparison_text import render
from testbed.run.read_captures import read_one
from tests.builders.frames import enhanced, ethernet, interface, ip, option, pcap, section, tcp, udp
from tests.builders.transfers import file_of, transfer

MADE = transfer({3: "lost", 5: "late", 7: "payload", 9: "split"}, segments=12)
GOOD = file_of(MADE.client), file_of(MADE.server)
NG = section() + interface() + b"".join(enhanced(each.frame(), each.time // 1000) for each in MADE.server)
FRAGMENTS = pcap([
    ethernet(ip(tcp(bytes(64))[20:60], 6, fragment=0x2000)), ethernet(ip(tcp(bytes(64))[60:], 6, fragment=5)),
    ethernet(udp(b"x" * 9)), ethernet(ip(b"1234567890", 47)),
])  # fmt: skip
EACH = int(os.environ.get("BOTHENDS_FUZZ", "100"))


def survive(client: bytes, server: bytes) -> None:
    try:
        compared = compare(*read_one(load(client)), *read_one(load(server)))
    except CaptureError as problem:
        told_once = "\n" not in problem.what
    else:
        told_once = True
        consistent(compared)
    assert told_once


def consistent(compared: Comparison) -> None:
    told = to_json(compared, ("a", "b"), ())
    write_csv(compared, io.BytesIO())
    render(compared, ("a", "b"), (), Console(file=io.StringIO()))
    assert bool(told["clock"]["negative"]) == bool((compared.table.timed & (compared.table.delay < 0)).any())
    assert told["captures"]["client"]["packets"] == len(compared.packets[0])
    seen = compared.table.one[compared.table.one >= 0]
    assert len(seen) <= len(compared.table)


@pytest.mark.parametrize(
    "raw", [b"", pcap([]), pcap([ethernet(bytes(40), ethertype=0x0806)]), section(), FRAGMENTS, pcap([bytes(60)] * 3)]
)
def test_odd_files_against_good_ones_and_themselves(raw: bytes) -> None:
    survive(raw, GOOD[1])
    survive(GOOD[0], raw)
    survive(raw, raw)


def test_time_stamps_at_both_ends_of_time() -> None:
    """In seconds, as a damaged pcapng file may have them: their difference is more than 64 bits hold."""
    frames = [each.frame() for each in MADE.server[:4]]
    ends = [
        interface(options=option("<", 9, b"\0") + option("<", 14, struct.pack("<q", far))) for far in (-(2**33), 2**33)
    ]
    raw = section() + b"".join(ends) + b"".join(enhanced(each, 0, index=k & 1) for k, each in enumerate(frames))
    packets, _ = read_one(load(raw))
    assert packets.span == (-(2**62) + 1, 2**62 - 1)
    survive(raw, raw)
    survive(GOOD[0], raw)


@pytest.mark.parametrize("seed", [*range(4), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(4, 60))])
def test_files_with_random_damage(seed: int) -> None:
    """Bytes changed, cut out, repeated, or the end cut off; BOTHENDS_FUZZ sets how many for each seed."""
    chance = random.Random(seed)
    for _ in range(EACH):
        raw = bytearray(chance.choice([GOOD[1], NG, FRAGMENTS]))
        for _ in range(chance.randint(1, 8)):
            at = chance.randrange(len(raw))
            kind = chance.randrange(4)
            if kind == 0:
                raw[at] = chance.randrange(256)
            elif kind == 1:
                raw[at : at + 4] = chance.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\1\0\0\0"])
            elif kind == 2:
                del raw[at : at + chance.randint(1, 60)]
            else:
                raw[at:at] = raw[at : at + chance.randint(1, 200)]
        if chance.random() < 0.3:
            del raw[chance.randrange(len(raw)) :]
        survive(GOOD[0], bytes(raw))
