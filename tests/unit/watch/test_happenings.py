"""Events in a capture as it is made."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.model.errors import UsageError
from testbed.model.tcp import ACK, FIN, PSH, RST, SYN
from testbed.watch.happenings import MEANINGS, HappeningWatch, parse_wanted
from tests.builders.frames import CLIENT, SERVER, ethernet, pcap, tcp

TO_CLIENT: dict[str, Any] = {"src": SERVER, "dst": CLIENT, "sport": 10011, "dport": 4711}
ALL = ",".join(MEANINGS)


def seen(packets: list[bytes], wanted: str = ALL) -> list[tuple[str, int]]:
    """Each event's name and the number of its packet, from 1; the capture comes byte by byte."""
    data, watch = pcap([ethernet(packet) for packet in packets]), HappeningWatch(parse_wanted(wanted))
    found = [happening for byte in data for happening in watch.feed(bytes([byte]))]
    return [(happening.name, happening.time // 10**9) for happening in found]


OPENED = [tcp(flags=SYN, seq=2**32 - 1), tcp(flags=SYN | ACK, seq=9, ack=0, **TO_CLIENT), tcp(seq=0, ack=10)]


def test_a_connection_without_trouble_has_its_close_only() -> None:
    quiet = [tcp(b"ab", flags=PSH | ACK, seq=0), tcp(b"cd", seq=2), tcp(flags=FIN | ACK, seq=4)]
    assert seen([*OPENED, *quiet]) == [("close", 6)]
    assert seen([*OPENED, *quiet], "reset") == []


def test_bytes_sent_again_are_a_retransmission_and_more_of_them_are_not() -> None:
    again = [tcp(b"ab", seq=2**32 - 2), tcp(b"abcd", seq=2**32 - 2), tcp(b"ab", seq=2**32 - 2), tcp(b"d", seq=1)]
    assert seen(again) == [("retransmission", 3), ("retransmission", 4)]


def test_a_syn_again_is_one_and_another_connection_from_the_same_port_is_not() -> None:
    assert seen([tcp(flags=SYN, seq=5), tcp(flags=SYN, seq=5), tcp(flags=SYN, seq=3)]) == [("retransmission", 2)]


def test_resets_refusals_and_closed_windows() -> None:
    refused = tcp(flags=RST | ACK, seq=0, ack=6, window=0, **TO_CLIENT)
    assert seen([tcp(flags=SYN, seq=5), refused]) == [("reset", 2), ("refused", 2)]
    assert seen([tcp(flags=RST, seq=77, window=0)]) == [("reset", 1)]
    assert seen([tcp(window=0), tcp(window=1), tcp(window=0, flags=SYN)]) == [("zero-window", 1)]


def test_a_payload_is_searched_for_expressions_with_commas_and_slashes() -> None:
    wanted = r"close,payload:/5\d{2,3} /,payload:/a\/b/"
    packets = [tcp(b"HTTP/1.1 200 OK"), tcp(b"HTTP/1.1 503 No", seq=15), tcp(b"GET a/b", seq=30)]
    assert seen(packets, wanted) == [(r"payload:/5\d{2,3} /", 2), (r"payload:/a\/b/", 3)]


@pytest.mark.parametrize("text", ["nonesuch", "reset,,close", "payload:abc", "payload:/(/"])
def test_what_is_no_event_is_told(text: str) -> None:
    with pytest.raises(UsageError, match="--until"):
        parse_wanted(text)
