"""Unacknowledged segments are what Wireshark's list of them would be, without going through all of it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.model.tcp import seq_after
from testbed.wireshark.unacknowledged import Unacknowledged

WRAP = 2**32


class Listed:
    """The list that Wireshark goes through at every segment."""

    def __init__(self) -> None:
        self.segments: list[list[int]] = []

    def acknowledge(self, ack: int) -> None:
        self.segments = [
            [ack if seq_after(ack, first) else first, end] for first, end in self.segments if seq_after(end, ack)
        ]

    def holds(self, seq: int, end: int) -> bool:
        return any(not seq_after(first, seq) and not seq_after(end, last) for first, last in self.segments)

    def edge_behind(self, ack: int) -> int:
        left = right = 0
        for first, end in reversed(self.segments):
            if left == right:
                left, right = first, end
            if not seq_after(ack, first):
                left, right = (first, right) if end == left else (first, end)
        return right if ack == left and seq_after(right, ack) else ack


@given(
    st.sampled_from([1000, 2**31 - 500, WRAP - 500]),
    st.lists(
        st.tuples(
            st.sampled_from(["add", "add", "acknowledge", "holds", "edge"]),
            st.one_of(st.integers(-3, 30).map(lambda k: k * 100), st.integers(0, WRAP - 1)),
            st.sampled_from([1, 100, 200, 65535]),
        ),
        max_size=60,
    ),
)
@settings(max_examples=400)
def test_they_are_those_of_the_list(base: int, steps: list[tuple[str, int, int]]) -> None:
    ours, listed = Unacknowledged(), Listed()
    found: list[tuple[int, int]] = []
    for what, distance, length in steps:
        seq = (base + distance) % WRAP
        end = (seq + length) % WRAP
        if what == "add":
            ours.add(seq, end)
            listed.segments.append([seq, end])
        elif what == "acknowledge":
            ours.acknowledge(seq)
            listed.acknowledge(seq)
        elif what == "holds":
            found.append((ours.holds(seq, end), listed.holds(seq, end)))
        else:
            found.append((ours.edge_behind(seq), listed.edge_behind(seq)))
        found.append((len(ours), len(listed.segments)))
    assert [one for one, _ in found] == [other for _, other in found]
