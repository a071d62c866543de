"""What is found to be wrong, each beside a twin in which it must not be found."""

from __future__ import annotations

from testbed.model import CallRef, ProgramEnd, SocketInfo
from testbed.model.findings import Certainty, Culprit, FindingName, Severity, Unknown
from testbed.model.programs import Program
from tests.builders.diagnosed import diagnosed, names, only, said
from tests.builders.exchange import MS, START, Exchange, Tcp

F = FindingName


def healthy() -> Exchange:
    """A request and its reply, each read, and an orderly close."""
    run = Exchange()
    tcp = run.tcp().opened()
    with tcp.client("send", b"ask"):
        tcp("client P.", b"ask")
    tcp("server .")
    tcp.server("recv", b"ask")
    with tcp.server("send", b"told"):
        tcp("server P.", b"told")
    tcp("client .")
    tcp.client("recv", b"told")
    close(tcp)
    return run


def close(tcp: Tcp) -> None:
    with tcp.client("close"):
        tcp("client F.")
    with tcp.server("close"):
        tcp("server F.")
    tcp("client .")


def test_nothing_is_found_in_a_healthy_run() -> None:
    found = diagnosed(healthy())
    assert not any((found.findings, found.undecided, found.doubts))
    assert set(found.looked_for) == set(F)


def writes(*, ack_after: float = 40, nodelay: bool = False, seen: bool = True) -> Exchange:
    """Three requests of two writes each, whose second waits until the first is acknowledged."""
    run = Exchange() if seen else Exchange(client="none", server="none")
    tcp = run.tcp().opened()
    if nodelay:
        tcp.client("setsockopt", args={"name": "TCP_NODELAY", "value": 1})
    for _ in range(3):
        with tcp.client("send", b"head"):
            tcp("client P.", b"head")
        tcp.client("send", b"body")
        run.pause(ack_after)
        tcp("server .")
        tcp("client P.", b"body")
        with tcp.server("send", b"reply"):
            tcp("server P.", b"reply")
        tcp("client .")
    return run


def test_write_write_read_waits_for_the_delayed_ack() -> None:
    finding = only(writes(), F.NAGLE_DELAYED_ACK)
    assert (finding.severity, finding.who, finding.certainty) == (
        Severity.WARNING,
        Culprit.CLIENT_PROGRAM,
        Certainty.PROVEN,
    )
    assert finding.cost.wait > 110 * MS
    assert said(writes(), F.NAGLE_DELAYED_ACK).startswith(
        "3 of 3 messages of the client program waited up to 40 ms: Nagle's algorithm held send #"
    )


def test_it_is_inferred_without_calls_and_not_found_with_nodelay_or_a_quick_ack() -> None:
    assert only(writes(seen=False), F.NAGLE_DELAYED_ACK).certainty is Certainty.INFERRED
    assert F.NAGLE_DELAYED_ACK not in names(writes(nodelay=True))
    assert F.NAGLE_DELAYED_ACK not in names(writes(ack_after=5))


def closes_early(*, read: bool, seen: bool = True) -> Exchange:
    """The server replies and closes, with the request unread or not; of the reply the client gets a part."""
    run = Exchange() if seen else Exchange(client="none", server="none")
    tcp = run.tcp().opened()
    with tcp.client("send", b"question"):
        tcp("client P.", b"question")
    tcp.server("recv", b"question" if read else b"q")
    with tcp.server("send", b"0123456789"):
        tcp("server P.", b"01234", lost=True)
    with tcp.server("close"):
        tcp("server F." if read else "server R.")
    return run


def test_a_close_with_unread_data_destroys_the_reply() -> None:
    finding = only(closes_early(read=False), F.UNREAD_DATA_RESET)
    assert (finding.severity, finding.who, finding.cost.bytes) == (Severity.ERROR, Culprit.SERVER_PROGRAM, 10)
    sentence = said(closes_early(read=False), F.UNREAD_DATA_RESET)
    assert "the server program left 7 bytes unread at close #4, so its kernel sent a RST" in sentence
    assert F.UNREAD_DATA_RESET not in names(closes_early(read=True))


def test_without_calls_a_reset_may_be_several_things() -> None:
    found = diagnosed(closes_early(read=False, seen=False))
    assert F.UNREAD_DATA_RESET in found.not_visible
    (undecided,) = found.undecided
    assert F.UNREAD_DATA_RESET in undecided.names
    assert undecided.why is Unknown.NO_CALLS


def kept_alive(*, late: bool = False, pipelined: bool = False, one_request: bool = False) -> Exchange:
    """A second request meets the close of the server; or the rest of the first, whose answer nobody has read yet."""
    run = Exchange()
    tcp = run.tcp().opened()
    with tcp.client("send", b"one"):
        tcp("client P.", b"one")
    tcp("server .")
    tcp.server("recv", b"one")
    if not pipelined:
        with tcp.server("send", b"reply"):
            tcp("server P.", b"reply")
        tcp("client .")
        if not one_request:
            tcp.client("recv", b"reply")
    with tcp.server("close"):
        tcp("server F.", delay=20 * MS)
    if late:
        run.pause(100)
        tcp("client .")
    with tcp.client("send", b"two"):
        request = tcp("client P.", b"two", ack=6)
    tcp("server R", seq=run.packets[request]["ack"])
    return run


def test_a_request_that_crosses_the_close_is_nobodys_fault() -> None:
    finding = only(kept_alive(), F.KEEP_ALIVE_RACE)
    assert (finding.who, finding.unknown) == (Culprit.UNDECIDED, Unknown.RACE)
    assert said(kept_alive(), F.KEEP_ALIVE_RACE).startswith("request 2 left ")
    assert "is safe to repeat" in said(kept_alive(), F.KEEP_ALIVE_RACE)


def test_one_that_left_after_the_fin_had_come_is_the_clients() -> None:
    assert only(kept_alive(late=True), F.KEEP_ALIVE_RACE).who is Culprit.CLIENT_PROGRAM
    assert F.KEEP_ALIVE_RACE not in names(kept_alive(pipelined=True))


def test_the_rest_of_a_request_is_no_other_one() -> None:
    """The server had answered its beginning: nobody may send it again as if nothing of it had been processed."""
    assert F.KEEP_ALIVE_RACE not in names(kept_alive(one_request=True))


def closed_first(*, half: bool = False) -> Exchange:
    """The server closes, or ends its direction only, and bytes of the client's come after it."""
    run = Exchange()
    tcp = run.tcp().opened()
    with tcp.client("send", b"one"):
        tcp("client P.", b"one")
    tcp("server .")
    tcp.server("recv", b"one")
    with tcp.server("shutdown", args={"how": "SHUT_WR"}) if half else tcp.server("close"):
        tcp("server F.")
    tcp("client .")
    with tcp.client("send", b"two more"):
        more = tcp("client P.", b"two more")
    if half:
        tcp("server .")
        tcp.server("recv", b"two more")
    else:
        tcp("server R", seq=run.packets[more]["ack"])
    return run


def test_bytes_that_came_after_the_close_are_told() -> None:
    finding = only(closed_first(), F.SENT_AFTER_CLOSE)
    assert finding.who is Culprit.SERVER_PROGRAM
    assert (finding.cost.bytes, finding.cost.of_bytes) == (8, 11)
    assert said(closed_first(), F.SENT_AFTER_CLOSE).startswith(
        "8 bytes of the client came when the server program had closed the socket (close #"
    )
    assert F.SENT_AFTER_CLOSE not in names(closed_first(half=True))
    assert F.SENT_AFTER_CLOSE not in names(kept_alive())


def not_reading(*, reopened: bool, probed: bool = True, pause: float = 3000) -> Exchange:
    """The server's window closes, and opens again or not; the client's send waits."""
    run = Exchange()
    tcp = run.tcp().opened()
    send = tcp.client("send", b"a" * 2000, end=None)
    tcp("client P.", b"a" * 1000)
    tcp("server .", window=0)
    run.pause(pause)
    if probed:
        tcp("client .", seq=1000)
        tcp("server .", window=0)
    if reopened:
        with tcp.server("recv", b"a" * 1000):
            tcp("server .")
        tcp("client P.", b"a" * 1000)
        tcp("server .")
        tcp.server("recv", b"a" * 1000)
    send.returns()
    return run


def test_who_does_not_read_is_named() -> None:
    finding = only(not_reading(reopened=True), F.ZERO_WINDOW)
    assert (finding.severity, finding.who) == (Severity.WARNING, Culprit.SERVER_PROGRAM)
    assert "the client's send #1 waited 3.00 s" in said(not_reading(reopened=True), F.ZERO_WINDOW)
    assert only(not_reading(reopened=False), F.ZERO_WINDOW).severity is Severity.ERROR
    assert F.ZERO_WINDOW not in names(not_reading(reopened=True, pause=50))


def test_both_in_a_write_is_a_dead_lock_and_no_zero_window() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"a" * 900, end=None, length=0)
    tcp("client P.", b"a" * 900)
    tcp.server("send", b"b" * 900, end=None, length=0)
    tcp("server P.", b"b" * 900)
    tcp("server .", window=0)
    tcp("client .", window=0)
    run.pause(3000)
    assert names(run) == {F.WRITE_DEADLOCK}
    assert said(run, F.WRITE_DEADLOCK).startswith("dead-lock: both programs are in a write (client send #1, server")


def refused(*, listens: bool = False) -> Exchange:
    run = Exchange()
    tcp = run.tcp()
    if listens:
        tcp.opened()
        return run
    with tcp.client("connect", errno="ECONNREFUSED"):
        tcp("client S")
        tcp("server R.", seq=0, raw_seq=0)
    return run


def test_refused_is_told_from_not_answered() -> None:
    assert names(refused()) == {F.CONNECTION_REFUSED}
    assert only(refused(), F.CONNECTION_REFUSED).calls == (CallRef("client", 0, "connect"),)
    assert names(refused(listens=True)) == set()
    run = Exchange()
    tcp = run.tcp()
    with tcp.client("connect", errno="ETIMEDOUT"):
        tcp("client S", lost=True)
        run.pause(1000)
        tcp("client S", seq=0, lost=True)
    assert names(run) == {F.FILTERED}
    assert "2 SYNs left, none reached the server" in said(run, F.FILTERED)


def busy(*, accepted: bool, backlog: int = 0) -> Exchange:
    """A second connect while the first connection waits to be accepted."""
    run = Exchange()
    first = run.tcp()
    first.server("listen", args={"backlog": backlog})
    with first.client("connect"):
        first("client S")
        first("server S.")
    first("client .")
    if accepted:
        first.server("accept")
    second = run.tcp(40001)
    with second.client("connect"):
        second("client S")
        run.pause(1000)
        second("client S", seq=0)
        second("server S.")
    second("client .")
    return run


def test_a_full_accept_queue_is_found_by_the_calls_or_by_the_counter() -> None:
    finding = only(busy(accepted=False), F.ACCEPT_QUEUE_FULL)
    assert (finding.who, finding.certainty) == (Culprit.SERVER_PROGRAM, Certainty.PROVEN)
    assert F.ACCEPT_QUEUE_FULL not in names(busy(accepted=True))
    counted = {"counters": {"server": {"TcpExtListenOverflows": 4}}}
    assert only(busy(accepted=True), F.ACCEPT_QUEUE_FULL, **counted).counters == {"TcpExtListenOverflows": 4}


def test_a_lost_syn_makes_connect_slow() -> None:
    run = Exchange()
    tcp = run.tcp()
    tcp.server("listen")
    with tcp.client("connect"):
        tcp("client S", lost=True)
        run.pause(1000)
        tcp("client S", seq=0)
        tcp("server S.")
    tcp("client .")
    tcp.server("accept")
    close(tcp)
    assert names(run) == {F.SLOW_CONNECT}


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


def test_a_program_that_a_signal_ended() -> None:
    def run_of(end: ProgramEnd) -> set[FindingName]:
        run = Exchange()
        tcp = run.tcp().opened()
        tcp.client("exit", fd=-1, socket=None)
        tcp("client F.")
        with tcp.server("close"):
            tcp("server F.")
        tcp("client .")
        programs = tuple(Program(host, ("actor",), "base", end, START, run.now) for host in ("client",))
        return names(run, programs=programs)

    assert run_of(ProgramEnd(None, "SIGKILL")) == {F.PROCESS_DIED}
    assert run_of(ProgramEnd(0)) == set()


def test_a_reset_that_nobody_sent() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    with tcp.client("send", b"ask"):
        tcp("client P.", b"ask")
    tcp("client R.", appeared=True)
    assert F.FORGED_RESET in names(run)
    assert only(run, F.FORGED_RESET).who is Culprit.PATH


def out_of_ports(*, server_closes: bool) -> Exchange:
    """Two connections from the two ports that there are, closed by one end, and a third connect that gets none."""
    run = Exchange()
    for port in (40000, 40001):
        tcp = run.tcp(port).opened()
        if server_closes:
            with tcp.server("close"):
                tcp("server F.")
            with tcp.client("close"):
                tcp("client F.")
            tcp("server .")
        else:
            close(tcp)
    address = str(tcp.ends["server"])
    run.call("client", "connect", errno="EADDRNOTAVAIL", args={"address": address}, socket=SocketInfo(99, "tcp"))
    return run


def test_no_port_is_left_as_all_are_in_time_wait() -> None:
    given = {"sysctls": {"client": {"net.ipv4.ip_local_port_range": "40000 40001"}, "server": {}}}
    finding = only(out_of_ports(server_closes=False), F.TIME_WAIT_EXHAUSTION, **given)
    assert (finding.who, finding.certainty) == (Culprit.CLIENT_PROGRAM, Certainty.PROVEN)
    assert only(out_of_ports(server_closes=False), F.TIME_WAIT_EXHAUSTION).certainty is Certainty.INFERRED
    assert names(out_of_ports(server_closes=True), **given) == set()


def test_a_receiver_whose_buffer_overflowed() -> None:
    def run_of(*, read: bool) -> Exchange:
        run = Exchange()
        udp = run.udp()
        for n in range(3):
            with udp.client("send", b"%d" % n):
                udp("client", b"%d" % n)
        for n in range(3):
            if read or n != 1:
                udp.server("recvfrom", b"%d" % n, args={"address": str(udp.ends["client"])})
        return run

    assert names(run_of(read=False)) == {F.UDP_RECEIVE_OVERRUN}
    assert names(run_of(read=True)) == set()


def test_a_connection_for_each_request() -> None:
    def run_of(requests: int, connections: int) -> Exchange:
        run = Exchange()
        for n in range(connections):
            tcp = run.tcp(40000 + n).opened()
            for _ in range(requests):
                with tcp.client("send", b"ask"):
                    tcp("client P.", b"ask")
                tcp.server("recv", b"ask")
                with tcp.server("send", b"told"):
                    tcp("server P.", b"told")
                tcp.client("recv", b"told")
            close(tcp)
        return run

    assert names(run_of(1, 6)) == {F.CONNECTION_PER_REQUEST}
    assert names(run_of(2, 6)) == set()
    assert names(run_of(1, 2)) == set()


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


def test_a_listener_that_closes_resets_what_nobody_accepted() -> None:
    def run_of(*, accepts: bool) -> Exchange:
        run = Exchange()
        tcp = run.tcp()
        listen = tcp.server("listen")
        with tcp.client("connect"):
            tcp("client S")
            tcp("server S.")
        with tcp.client("send", b"hello"):
            tcp("client P.", b"hello")
        tcp("server .")
        if accepts:
            tcp.server("accept")
            tcp.server("recv", b"hello")
            close(tcp)
        else:
            with tcp.server("close", socket=listen.fields["socket"], fd=3):
                tcp("server R.")
        return run

    finding = only(run_of(accepts=False), F.NEVER_ACCEPTED)
    assert (finding.severity, finding.who, finding.cost.bytes) == (Severity.ERROR, Culprit.SERVER_PROGRAM, 5)
    assert "had not accepted it when its listening socket was closed (close #1)" in said(
        run_of(accepts=False), F.NEVER_ACCEPTED
    )
    assert names(run_of(accepts=True)) == set()


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
    assert "the last one was 12.80 s, so that the path may have been back long before" in said(
        unanswered(tries=6, back=True), F.PATH_DOWN
    )


def test_a_reset_in_the_peers_name_after_a_silence_is_a_path_that_forgot() -> None:
    assert names(swallowed(pause=700, reset=True)) == {F.IDLE_FORGOTTEN}
    assert F.IDLE_FORGOTTEN not in names(swallowed(pause=10, reset=True))


def test_keep_alive_that_came_too_late_is_said_once() -> None:
    found = [each.name for each in diagnosed(swallowed(pause=1200, keep_alive=True)).findings]
    assert found.count(F.KEEP_ALIVE_TOO_LATE) == 1


def ended(*, told: bool = True, shut_before: bool = False, wait: float = 3000) -> Exchange:
    """The client ends its side; the server reads the end, or not yet, and closes late, or had ended its side before."""
    run = Exchange()
    tcp = run.tcp().opened()
    if shut_before:
        with tcp.server("shutdown", args={"how": 1}):
            tcp("server F.")
        tcp("client .")
    with tcp.client("close"):
        tcp("client F.")
    tcp("server .")
    if told:
        tcp.server("recv", b"")
    run.pause(wait)
    with tcp.server("close"):
        if not shut_before:
            tcp("server F.")
    if not shut_before:
        tcp("client .")
    return run


def test_a_socket_that_is_closed_long_after_the_end_was_read() -> None:
    assert names(ended()) == {F.CLOSE_WAIT_FORGOTTEN}
    assert names(ended(wait=100)) == set()


def test_a_program_that_has_not_read_the_end_yet_is_busy_and_one_that_had_ended_its_side_has_nothing_to_close() -> None:
    assert names(ended(told=False)) == set()
    assert names(ended(told=False, wait=20_000)) == {F.CLOSE_WAIT_FORGOTTEN}
    assert names(ended(shut_before=True)) == set()


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
