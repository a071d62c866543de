"""Which packets may have waited in the queue of a slowed interface, by what left it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from testbed.analysis.causes.interface_queue import InterfaceQueue
from tests.builders.exchange import Exchange

RATE = 1_000_000  # bits a second: a byte takes 8 us
US = 1_000


@pytest.mark.parametrize(
    ("frames", "waited"),
    [
        pytest.param([(0, 1400)], [False], id="the first: the bucket is full"),
        pytest.param([(0, 0), (10, 0), (20, 0)], [False, False, False], id="small ones, for which it suffices"),
        pytest.param(
            [(0, 1400), (12_000, 1400), (12_010, 0)], [False, True, True], id="by a timer, and what was behind"
        ),
        pytest.param([(0, 1400), (100_000, 1400)], [False, False], id="long after there was room"),
        pytest.param(
            [(0, 1400), (12_000, 1400), (30_000, 0)], [False, True, False], id="long after the queue was empty"
        ),
    ],
)
def test_a_frame_waits_for_tokens_or_behind_another(frames: list[tuple[int, int]], waited: list[bool]) -> None:
    """Frames are given by when they leave (us) and the bytes that they carry."""
    run = Exchange()
    tcp = run.tcp()
    tcp("client S")
    (packet, *_) = run.analysis().inputs.joined.crossings
    queue = InterfaceQueue(RATE)
    left = [replace(packet, sent=at * US, arrived=at * US, length=size) for at, size in frames]
    assert [queue.leaves(each) for each in left] == waited
