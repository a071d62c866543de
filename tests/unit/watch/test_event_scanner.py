"""Events are found while a capture is made, in order, and what waits to be looked at is bounded."""

from __future__ import annotations

import threading

from testbed.model.tcp import ACK, FIN, RST
from testbed.watch.event_scanner import EventScanner
from testbed.watch.happenings import Happening, parse_wanted
from tests.builders.frames import ethernet, pcap, tcp

CAPTURE = pcap([ethernet(tcp(flags=FIN | ACK, seq=4)), ethernet(tcp(flags=RST, seq=5))])


def test_all_that_it_was_given_is_looked_at() -> None:
    found: list[Happening] = []
    scanner = EventScanner(parse_wanted("reset,close"), found.append)
    for byte in CAPTURE:
        scanner.put(bytes([byte]))
    scanner.end()
    scanner.end()
    scanner.put(CAPTURE)  # what comes after the end is not
    assert [each.name for each in found] == ["close", "reset"]


def test_who_gives_it_more_than_may_wait_waits() -> None:
    found: list[Happening] = []
    goes_on, looks = threading.Event(), threading.Event()

    def take(happening: Happening) -> None:
        looks.set()
        goes_on.wait()
        found.append(happening)

    scanner = EventScanner(parse_wanted("reset,close"), take, most=1)
    scanner.put(CAPTURE)
    looks.wait()
    scanner.put(CAPTURE[24:])  # no more than may wait: nothing did
    more = threading.Thread(target=scanner.put, args=(CAPTURE[24:],))
    more.start()
    more.join(0.1)
    assert more.is_alive()
    goes_on.set()
    more.join()
    scanner.end()
    assert [each.name for each in found] == ["close", "reset"] * 3
