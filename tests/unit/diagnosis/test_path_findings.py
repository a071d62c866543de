"""What is found to be wrong with the path, each beside a twin in which it must not be found."""

from __future__ import annotations

import pytest

from testbed.model.findings import Certainty, Culprit, FindingName, Severity
from tests.builders.diagnosed import diagnosed, names, only, said
from tests.builders.exchange import MS, Exchange

F = FindingName


def large(*, size: int = 1448, small_passes: bool = True) -> Exchange:
    """Large segments are lost each time; a small one passes, or is lost as well."""
    run = Exchange()
    tcp = run.tcp().opened()
    with tcp.client("send", b"a" * (size + 10)):
        tcp("client .", b"a" * size, lost=True)
        tcp("client P.", b"a" * 10, lost=not small_passes)
    for pause in (200, 400):
        run.pause(pause)
        tcp("client .", b"a" * size, seq=1, lost=True)
    return run


def test_a_black_hole_takes_large_packets_only() -> None:
    finding = only(large(), F.MTU_BLACK_HOLE)
    assert (finding.who, finding.certainty, finding.severity) == (Culprit.PATH, Certainty.INFERRED, Severity.ERROR)
    assert "1,488 bytes or more" in said(large(), F.MTU_BLACK_HOLE)
    assert F.MTU_BLACK_HOLE not in names(large(small_passes=False))
    assert F.MTU_BLACK_HOLE not in names(large(size=20))


def silent(*, pause: float = 5000, answers: bool = True) -> Exchange:
    """After a pause nothing of the client's passes any more."""
    run = Exchange()
    tcp = run.tcp().opened()
    with tcp.client("send", b"ping"):
        tcp("client P.", b"ping")
    tcp("server .")
    tcp.server("recv", b"ping")
    run.pause(pause)
    with tcp.client("send", b"pong"):
        tcp("client P.", b"pong", lost=True)
    for wait in (200, 400, 800):
        run.pause(wait)
        tcp("client P.", b"pong", seq=5, lost=answers)
    return run


def test_an_idle_connection_that_the_path_forgets() -> None:
    assert only(silent(), F.IDLE_FORGOTTEN).who is Culprit.PATH
    assert said(silent(), F.IDLE_FORGOTTEN).startswith("after 5.00 s of silence all that the client sent was lost (4 ")
    assert F.IDLE_FORGOTTEN not in names(silent(pause=100))
    assert F.IDLE_FORGOTTEN not in names(silent(answers=False))


def test_a_reset_that_nobody_sent() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    with tcp.client("send", b"ask"):
        tcp("client P.", b"ask")
    tcp("client R.", appeared=True)
    assert F.FORGED_RESET in names(run)
    assert only(run, F.FORGED_RESET).who is Culprit.PATH


def test_what_the_path_changes_doubles_and_reorders() -> None:
    def run_of(**given: object) -> set[FindingName]:
        run = Exchange()
        tcp = run.tcp().opened()
        with tcp.client("send", b"abcdef"):
            tcp("client P.", b"abc", **given)
            tcp("client P.", b"def")
        if given == {}:
            tcp("client P.", b"def", seq=4, appeared=True, raw_seq=run.packets[-1]["raw_seq"])
        return names(run)

    assert F.PAYLOAD_ALTERED in run_of(altered=b"axc")
    assert F.CHECKSUM_ERROR in run_of(bad_checksum=True)
    assert F.REORDERING in run_of(delay=5 * MS)
    assert F.DUPLICATED in run_of()


@pytest.mark.parametrize(("arrives", "count"), [(b"axc", 1), (b"a", 2), (b"", 3)])
def test_bytes_that_were_cut_off_are_counted_as_changed(arrives: bytes, count: int) -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    with tcp.client("send", b"abc"):
        tcp("client P.", b"abc", altered=arrives)
    cost = only(run, F.PAYLOAD_ALTERED).cost
    assert cost is not None
    assert cost.bytes == count


def swallowed(*, pause: float, both: bool = False, reset: bool = False, keep_alive: bool = False) -> Exchange:
    """After a pause what the client sends is lost; what the server sends passes, is lost, or is a RST of the path's."""
    run = Exchange()
    tcp = run.tcp().opened()
    if keep_alive:
        tcp.client("setsockopt", args={"name": "SO_KEEPALIVE", "value": 1})
    with tcp.client("send", b"ping"):
        tcp("client P.", b"ping")
    tcp("server .")
    tcp.server("recv", b"ping")
    run.pause(pause)
    tcp.client("send", b"pong")
    first = tcp("client P.", b"pong", lost=True)
    if reset:
        tcp("server R", appeared=True)
        return run
    with tcp.server("send", b"news"):
        tcp("server P.", b"news", lost=both)
    for wait in (200, 400):
        run.pause(wait)
        tcp("client P.", b"pong", seq=run.packets[first]["seq"], lost=True)
    return run


def test_a_path_on_which_nothing_passes_any_more_is_down() -> None:
    assert names(swallowed(pause=100, both=True)) == {F.PATH_DOWN}
    assert only(swallowed(pause=100, both=True), F.PATH_DOWN).cost.bytes == 8
    assert said(swallowed(pause=100, both=True), F.PATH_DOWN).startswith(
        "from #5 on nothing passed any more: 3 packets of the client and 1 packet of the server were lost."
    )
    assert F.PATH_DOWN not in names(swallowed(pause=100))


def unanswered(*, tries: int, back: bool = False) -> Exchange:
    """The client's bytes are lost so often, one try after the other; or the last one arrives."""
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"hello")
    first = tcp("client P.", b"hello", lost=True)
    for n in range(1, tries):
        run.pause(200 * 2**n)
        tcp("client P.", b"hello", seq=run.packets[first]["seq"], lost=True)
    if back:
        run.pause(200 * 2**tries)
        tcp("client P.", b"hello", seq=run.packets[first]["seq"])
        tcp("server .")
    return run


def test_the_same_bytes_lost_again_and_again_are_a_path_that_is_down() -> None:
    assert names(unanswered(tries=6)) == {F.PATH_DOWN}
    finding = only(unanswered(tries=6), F.PATH_DOWN)
    assert (finding.variant, finding.severity, finding.cost.bytes) == ("one-way", Severity.ERROR, 5)
    assert F.PATH_DOWN not in names(unanswered(tries=3, back=True))


def test_a_path_that_was_down_for_a_time_is_told_with_the_last_pause() -> None:
    finding = only(unanswered(tries=6, back=True), F.PATH_DOWN)
    assert (finding.variant, finding.severity, finding.cost.bytes) == ("back", Severity.WARNING, 0)
    assert "the last of 12.80 s, so that the path may have been back long before" in said(
        unanswered(tries=6, back=True), F.PATH_DOWN
    )


def test_a_reset_in_the_peers_name_after_a_silence_is_a_path_that_forgot() -> None:
    assert names(swallowed(pause=700, reset=True)) == {F.IDLE_FORGOTTEN}
    assert F.IDLE_FORGOTTEN not in names(swallowed(pause=10, reset=True))


def test_keep_alive_that_came_too_late_is_said_once() -> None:
    found = [each.name for each in diagnosed(swallowed(pause=1200, keep_alive=True)).findings]
    assert found.count(F.KEEP_ALIVE_TOO_LATE) == 1


def bunched(*, still: bool) -> Exchange:
    """Delays that grow with what is on its way: a queue hands the packets out one by one, or all arrive at once."""
    run = Exchange()
    tcp = run.tcp().opened()
    size = 1000
    with tcp.client("send", 80 * size):
        begin = run.now
        for n in range(80):
            at = run.now + 100_000 - begin
            due = (250 if n < 40 else 500) * MS + n * 100_000 if still else (n + 1) * 5 * MS
            tcp("client .", bytes(size), delay=max(due - at, 50_000) if n > 3 else 50_000)
    run.pause(500)
    for n in range(80):
        tcp("server .", ack=1 + (n + 1) * size)
    return run


def test_a_queue_hands_packets_out_one_by_one_and_what_stood_still_all_at_once() -> None:
    assert F.BUFFERBLOAT in names(bunched(still=False))
    assert F.BUFFERBLOAT not in names(bunched(still=True))
