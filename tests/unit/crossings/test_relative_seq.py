"""Relative numbers of streams that wrap."""

from __future__ import annotations

import numpy as np
import pytest

from testbed.crossings.relative_seq import RawNumbers, relative_numbers
from testbed.model import Endpoint, Flow
from testbed.model.tcp import ACK

STEP = 500_000_000
ENDS = Endpoint("10.0.0.1", 1025), Endpoint("10.0.0.2", 80)


def relative(seq: list[int], isn: int | None) -> list[int]:
    """Return what becomes of the sequence numbers of a client that acknowledges nothing."""
    flow = Flow(0, "tcp", *ENDS, isn, 4)
    numbers = relative_numbers([flow], {"client": sent(seq), "server": sent([])})["client"]
    assert numbers[1].tolist() == [1] * len(seq)
    return [int(number) for number in numbers[0]]


def sent(seq: list[int]) -> RawNumbers:
    return RawNumbers(
        tcp=np.ones(len(seq), np.bool_),
        flags=np.full(len(seq), ACK, np.uint16),
        seq=np.array(seq, np.int64),
        ack=np.full(len(seq), 5, np.int64),
        sender=np.zeros(len(seq), np.int64),
        flow=np.zeros(len(seq), np.int64),
    )


@pytest.mark.parametrize("stray", [False, True])
def test_a_stream_longer_than_all_numbers_goes_on(stray: bool) -> None:
    """A stray number far away moves nothing behind it."""
    isn = 4_000_000_000
    places = [1 + STEP * k for k in range(20)]
    seq = [(isn + place) % 2**32 for place in places]
    if stray:
        seq.insert(12, (seq[11] + 2**31) % 2**32)
    found = relative(seq, isn)
    if stray:
        assert found.pop(12) in (places[11] + 2**31, places[11] - 2**31)
    assert found == places


def test_without_a_syn_the_lowest_number_near_the_first_segment_is_1() -> None:
    assert relative([7_000, 6_000, 8_000], None) == [1_001, 1, 2_001]
