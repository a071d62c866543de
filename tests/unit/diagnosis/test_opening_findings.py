"""What is found to be wrong with openings, each beside a twin in which it must not be found."""

from __future__ import annotations

from testbed.model import CallRef, SocketInfo
from testbed.model.findings import Certainty, Culprit, FindingName, Severity
from tests.builders.diagnosed import close, names, only, said
from tests.builders.exchange import Exchange

F = FindingName


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
