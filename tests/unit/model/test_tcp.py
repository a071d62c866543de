"""TCP in numbers: sequence arithmetic obeys its laws, arrays agree with ints, both decoders of options agree."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from testbed.capture.read_file import read
from testbed.model.header_fields import tcp_options
from testbed.model.tcp import (
    ACK,
    FIN,
    SYN,
    flag_letters,
    seq_add,
    seq_after,
    seq_diff,
    seq_diff_uint32,
    seq_offset,
)
from tests.builders.frames import ethernet, pcap, tcp

NUMBER = st.integers(0, 2**32 - 1)
NEAR = st.integers(-(2**31), 2**31 - 1)


@given(NUMBER, NEAR)
def test_the_difference_of_a_number_and_one_that_many_bytes_on_is_that_many(base: int, count: int) -> None:
    seq = seq_add(base, count)
    assert 0 <= seq < 2**32
    assert seq_diff(seq, base) == count
    assert seq_offset(seq, base) == count % 2**32
    assert seq_after(seq, base) == (count > 0)


@given(NUMBER, NUMBER, NUMBER)
def test_only_distance_counts_not_where_the_numbers_lie(one: int, two: int, moved: int) -> None:
    assert seq_diff(seq_add(one, moved), seq_add(two, moved)) == seq_diff(one, two)
    assert seq_after(seq_add(one, moved), seq_add(two, moved)) == seq_after(one, two)


@given(st.lists(st.tuples(NUMBER, NUMBER), min_size=1))
def test_arrays_give_item_by_item_what_ints_give(pairs: list[tuple[int, int]]) -> None:
    seq, base = (np.array(column, np.int64) for column in zip(*pairs, strict=True))
    assert seq_add(seq, -base).tolist() == [seq_add(one, -two) for one, two in pairs]
    assert seq_offset(seq, base).tolist() == [seq_offset(one, two) for one, two in pairs]
    difference = [seq_diff(one, two) for one, two in pairs]
    assert seq_diff(seq, base).tolist() == difference
    assert seq_diff_uint32(seq.astype(np.uint32), base.astype(np.uint32)).tolist() == difference


def test_letters_are_tcpdumps() -> None:
    assert [flag_letters(flags) for flags in (SYN, SYN | ACK, FIN | ACK, 0)] == ["S", "S.", "F.", "none"]


def option(kind: int, value: bytes) -> bytes:
    return bytes([kind, len(value) + 2]) + value


KNOWN = st.one_of(
    st.just(b"\x01"),
    st.builds(option, st.sampled_from([2, 3, 4, 8, 34, 99]), st.binary(max_size=12)),
    st.builds(option, st.just(2), st.binary(min_size=2, max_size=2)),
    st.builds(option, st.just(8), st.binary(min_size=8, max_size=8)),
    st.builds(lambda edges: option(5, edges), st.binary(min_size=8, max_size=8)),
    st.builds(lambda cookie: option(254, b"\xf9\x89" + cookie), st.binary(max_size=8)),
)
"""Options that are known, of lengths right and wrong, and one that is not."""


TWO_SACKS = b"\1\1" + option(5, bytes(8)) + b"\1\1" + option(5, b"\1" * 8)


@example(TWO_SACKS)
@given(
    st.lists(KNOWN, max_size=8).map(b"".join).map(lambda raw: raw[: min(len(raw), 40) // 4 * 4])
    | st.binary(max_size=10).map(lambda raw: raw[: len(raw) // 4 * 4])
)
def test_one_segment_and_many_at_once_decode_to_the_same_options(raw: bytes) -> None:
    capture = read(pcap([ethernet(tcp(flags=ACK, options=raw))]))
    columns = {
        "mss": int(capture.mss[0]),
        "wscale": int(capture.wscale[0]),
        "fast_open": int(capture.fast_open[0]),
    }
    found = {name: value for name, value in columns.items() if value >= 0}
    if capture.sack_permitted[0]:
        found["sack_permitted"] = True
    if capture.has_timestamps[0]:
        found |= {"tsval": int(capture.tsval[0]), "tsecr": int(capture.tsecr[0])}
    single = tcp_options(capture.options(0), 0, 0)
    blocks = [[edge % 2**32 for edge in block] for block in single.pop("sack", [])]
    assert single == found
    assert capture.sack(0) == tuple(map(tuple, blocks))
