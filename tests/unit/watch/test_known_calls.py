"""Of a connection that was open before, calls are kept only where they and its packets are counted from one byte."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.capture.read_file import read
from testbed.model import Call, Endpoint, SocketInfo
from testbed.model.tcp import ACK, FIN, PSH, SYN
from testbed.watch.known_calls import CapturedConnections, both_quiet, known_calls
from tests.builders.frames import CLIENT, SERVER, ethernet, pcap, tcp

OWN, PEER = Endpoint(CLIENT, 4711), Endpoint(SERVER, 10011)
BACK: dict[str, Any] = {"src": SERVER, "dst": CLIENT, "sport": 10011, "dport": 4711}
SINCE, BEGUN, ENDED = 5_000, 10_000, 90_000


def connections(packets: list[tuple[int, bytes]]) -> CapturedConnections:
    return CapturedConnections(read(pcap([(time, ethernet(packet)) for time, packet in packets])))


def countable(*packets: tuple[int, bytes]) -> bool:
    found = connections(list(packets)).countable({(OWN, PEER), (PEER, OWN)}, SINCE, BEGUN)
    assert found in (frozenset(), {(OWN, PEER), (PEER, OWN)})
    return bool(found)


def call(name: str, start: int, end: int | None, direction: Any = None, socket: SocketInfo | None = None) -> Call:
    info = socket or SocketInfo(1, "tcp", OWN, PEER)
    return Call(0, "client", 1, 1, "p", name, 3, {}, start, end, 1, None, info, direction, 1)


def test_a_connection_whose_first_packet_is_no_syn_was_open_before() -> None:
    other = tcp(flags=SYN, sport=5000, dport=10011)
    found = connections([(20_000, tcp(b"a", seq=5)), (30_000, other), (40_000, tcp(flags=SYN | ACK, **BACK))])
    assert found.opened_before(BEGUN) == {(OWN, PEER), (PEER, OWN)}
    assert not found.opened_before(35_000)


def test_it_is_countable_where_nothing_moved_before_and_no_probe_came_first() -> None:
    assert countable((20_000, tcp(b"ab", seq=5)), (30_000, tcp(seq=9, ack=7, **BACK)), (40_000, tcp(b"c", seq=7)))
    assert countable((2_000, tcp(b"x", seq=4)), (20_000, tcp(b"ab", seq=5)))
    assert not countable((7_000, tcp(b"x", seq=4)), (20_000, tcp(b"ab", seq=5)))
    assert not countable((7_000, tcp(flags=FIN | ACK, seq=4, **BACK)), (20_000, tcp(b"ab", seq=5)))
    assert not countable((20_000, tcp(seq=4)), (30_000, tcp(b"ab", seq=5, flags=PSH | ACK)))
    assert countable((20_000, tcp(seq=2**32 - 1)), (30_000, tcp(b"ab", seq=2**32 - 1)), (40_000, tcp(b"c", seq=1)))


def test_both_ends_must_be_quiet() -> None:
    assert both_quiet({"client": {(OWN, PEER)}, "server": {(PEER, OWN)}}) == {(OWN, PEER), (PEER, OWN)}
    assert both_quiet({"client": {(OWN, PEER)}, "server": set()}) == frozenset()
    assert both_quiet({"client": {(OWN, PEER)}}) == {(OWN, PEER), (PEER, OWN)}
    assert both_quiet({}) == frozenset()


@pytest.mark.parametrize(
    ("done", "kept"),
    [
        (call("recv", 1_000, 20_000, "in"), True),
        (call("send", 20_000, None, "out"), True),
        (call("recv", 1_000, 2_000, "in"), None),
        (call("recv", 91_000, None, "in"), None),
        (call("send", 1_000, 20_000, "out"), False),
        (call("unknown_recv", 20_000, 20_000, "in", SocketInfo(2, "tcp", None, None)), False),
    ],
)
def test_calls_within_the_time_are_kept_and_one_that_splits_bytes_takes_its_connection_along(
    done: Call, kept: bool | None
) -> None:
    """None: it is left out by itself."""
    also = call("close", 30_000, 31_000)
    old = {(OWN, PEER)}
    known = known_calls([done, also], old, old, (BEGUN, ENDED))
    names = [each.name for each in known.calls]
    assert names == {True: [done.name, "close"], None: ["close"], False: names}[kept]
    assert ("close" in names) == (kept is not False)
    assert known.left_out == (old if kept is False else frozenset())
    assert [each.n for each in known.calls] == list(range(len(known.calls)))


def test_of_a_connection_that_was_not_quiet_no_call_is_kept_and_of_a_new_one_all() -> None:
    new = call("send", 20_000, 21_000, "out", SocketInfo(2, "tcp", Endpoint(CLIENT, 9), PEER))
    known = known_calls([call("recv", 20_000, 21_000, "in"), new], {(OWN, PEER)}, (), (BEGUN, ENDED))
    assert [each.name for each in known.calls] == ["send"]
    assert known.left_out == {(OWN, PEER)}


def test_a_call_that_returned_after_the_end_has_moved_nothing_by_then() -> None:
    known = known_calls([call("recv", 80_000, 95_000, "in")], (), (), (BEGUN, ENDED))
    assert [(each.end, each.length) for each in known.calls] == [(None, 0)]
