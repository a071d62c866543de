"""The order of packets from both captures where time stamps do not tell it."""

import numpy as np

from testbed.crossings.packet_sequence import PacketSequence, sequence


def ordered(one: list[int], two: list[int], *packets: tuple[int, int, int]) -> PacketSequence:
    """Times at both ends, and of each packet its sender and its positions there and at the other end."""
    sender, near, far = np.array(packets, np.int64).reshape(-1, 3).T
    return sequence((np.array(one, np.int64), np.array(two, np.int64)), sender, near, far)


def places(found: PacketSequence) -> list[list[int]]:
    return [each.tolist() for each in found.places]


def test_a_request_arrives_before_it_is_answered_at_one_time_stamp() -> None:
    # client: request, answer; server: request, answer
    found = ordered([7, 7], [7, 7], (0, 0, 0), (1, 1, 1))
    assert places(found) == [[0, 3], [1, 2]]
    assert found.times[0][0] < found.times[1][0] < found.times[1][1] < found.times[0][1]
    assert found.times[0][1] - found.times[0][0] == 0


def test_each_capture_keeps_its_own_order() -> None:
    # two requests left before the first answer came, as the client's capture shows
    found = ordered([7, 7, 7], [7, 7, 7], (0, 0, 0), (0, 1, 2), (1, 1, 2))
    assert places(found)[0] == sorted(places(found)[0])
    assert places(found)[1] == sorted(places(found)[1])
    assert found.times[0][1] < found.times[1][2]


def test_times_that_differ_decide_and_stay_plain_numbers() -> None:
    found = ordered([10, 40], [20, 30], (0, 0, 0), (1, 1, 1))
    assert places(found) == [[0, 3], [1, 2]]
    assert [type(time) for each in found.times for time in each] == [int] * 4


def test_an_arrival_stamped_before_its_departure_comes_after_it() -> None:
    found = ordered([10, 50], [9, 30], (0, 0, 0), (1, 1, 1))
    assert places(found) == [[0, 3], [1, 2]]
    assert found.times[1][0] > found.times[0][0]
    assert int(found.times[1][0]) == 9


def test_what_only_one_end_has_is_in_its_captures_order() -> None:
    # the second of three was lost; the server's last appeared
    found = ordered([7, 7, 7], [7, 7, 7], (0, 0, 0), (0, 1, -1), (0, 2, 1), (0, -1, 2))
    assert places(found)[0] == sorted(places(found)[0])
    assert places(found)[1] == sorted(places(found)[1])
    assert found.places[0][2] < found.places[1][1]


def test_captures_that_contradict_each_other_are_ordered_all_the_same() -> None:
    # each end's arrival is before what the other end answered with: no order fits
    found = ordered([7, 7], [7, 7], (1, 1, 0), (0, 1, 0))
    assert sorted(place for end in places(found) for place in end) == [0, 1, 2, 3]
