"""What was sent again of a connection is found as by looking at all of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from testbed.diagnosis.sent_segments import SentSegments
from testbed.model import Crossing

SEGMENTS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5)), min_size=1, max_size=40)


def segment(n: int, seq: int, length: int) -> Crossing:
    return Crossing(2 * n, 0, "client", "tcp", "P.", seq, 1, seq, 1, seq, length, b"", n, None, n, None)


@given(SEGMENTS, st.integers(0, 39), st.integers(0, 50))
def test_it_is_as_if_all_were_looked_at(rows: list[tuple[int, int]], place: int, number: int) -> None:
    packets = [segment(n, *row) for n, row in enumerate(rows)]
    packet, order = packets[place % len(packets)], SentSegments(packets)
    carry = [each for each in packets if each.length]
    assert list(order.after(packet)) == [each for each in carry if each.n > packet.n]
    assert list(order.from_before(packet, number)) == [
        each for each in carry if each.n > packet.n and each.seq <= number
    ]
    before = {each.n for each in carry if each.n < packet.n and each.seq + each.length >= number}
    if packet.length:
        assert before <= {each.n for each in order.beyond(packet, number)}
