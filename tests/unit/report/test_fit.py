"""Which packets a page of many holds: what is wrong with its surroundings, of every kind, from all of the capture."""

from __future__ import annotations

import numpy as np

from testbed.model.arrays import Int64
from testbed.report.html.fit import kept

COUNT = 50_000


def one_flow(unusual: dict[int, int]) -> tuple[Int64, Int64]:
    kinds = np.zeros(COUNT, np.int64)
    kinds[list(unusual)] = list(unusual.values())
    return kinds, np.zeros(COUNT, np.int64)


def test_all_are_kept_where_there_is_room() -> None:
    assert kept(*one_flow({}), COUNT).tolist() == list(range(COUNT))


def test_the_first_the_last_and_what_is_around_an_unusual_packet_are_kept() -> None:
    found = kept(*one_flow({20_000: 1}), 800).tolist()
    assert found == [*range(395), *range(19_996, 20_005), *range(50_000 - 395, 50_000)]


def test_the_surroundings_are_those_of_the_same_flow() -> None:
    kinds, flows = one_flow({20_000: 1})
    flows += np.arange(COUNT) % 10
    found = set(kept(kinds, flows, 800).tolist()) & set(range(10_000, 30_000))
    assert found == {20_000 + 10 * step for step in range(-4, 5)}
    flows[20_000] = 99  # alone
    assert set(kept(kinds, flows, 800).tolist()) & set(range(10_000, 30_000)) == {20_000}


def test_a_rare_kind_is_kept_whole_and_a_frequent_one_comes_from_all_of_the_capture() -> None:
    rare = [25_000, 25_100, 25_200]
    found = kept(*one_flow(dict.fromkeys(range(1_000, 49_000, 2), 1) | dict.fromkeys(rare, 2)), 2_000)
    assert set(rare) <= set(found.tolist())
    assert len(found) <= 2_000
    between = found[(found > 250) & (found < 49_750)]
    assert np.histogram(between, 10, (0, COUNT))[0].min() > 50


def test_named_packets_come_before_unusual_ones() -> None:
    unusual = dict.fromkeys(range(1_000, 49_000, 2), 1)
    assert {30_001, 30_501} <= set(kept(*one_flow(unusual), 400, [30_001, 30_501]).tolist())


def test_a_page_with_hardly_any_room_has_the_ends() -> None:
    assert kept(*one_flow({7: 1}), 2).tolist() == [0, COUNT - 1]
