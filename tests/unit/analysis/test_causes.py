"""Each rule of data and FINs, and what no call explains, on the smallest exchange that shows it."""

from __future__ import annotations

import pytest

from testbed.model import CauseKind
from testbed.report.evidence_text import sentence
from tests.builders.exchange import Exchange, Tcp

from .caused import calls, evidence, no_packet, rules


def origin() -> tuple[Exchange, Tcp]:
    """The experiment's calls over a link with a delay: the second and third send leave together."""
    run = Exchange()
    tcp = run.tcp().opened()
    with tcp.client("send", b"c"):
        tcp("client P.", b"c")
    tcp.client("send", b"c")
    tcp.client("send", b"string")
    tcp.server("recv", b"c")
    tcp("server .")
    tcp("client P.", b"cstring")
    tcp.server("recv", b"cstring")
    tcp("server .")
    with tcp.client("close"):
        tcp("client F.")
    with tcp.server("close"):
        tcp("server F.")
    tcp("client .")
    return run, tcp


def test_the_origins_run_is_explained_packet_by_packet() -> None:
    """A segment that carries two calls' bytes names both, and says what let it go."""
    run, _ = origin()
    found = run.analysis()
    assert rules(found) == ["connect", "syn-ack", "ack", "data", "ack", "data", "ack", "fin", "fin", "ack"]
    assert calls(found, 3) == ["send"]
    assert calls(found, 5) == ["send", "send"]
    assert found.causes[5].packets == (4,)
    assert "Nagle's algorithm held it" in evidence(found, 5)
    assert "until #4 acknowledged #3" in evidence(found, 5)
    assert calls(found, 7) == ["close"]
    assert [cause.packets for cause in found.causes][9] == (8,)


def test_a_long_write_is_the_cause_of_all_its_segments() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    with tcp.client("write", b"x" * 4000) as write:
        tcp("client .", b"x" * 1448)
        tcp("client .", b"x" * 1448)
        tcp("client P.", b"x" * 1104)
    found = run.analysis()
    assert [found.causes[n].calls for n in (3, 4, 5)] == [(write.n,)] * 3


def test_a_fin_that_rides_on_data_names_the_send_and_the_close() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"string")
    with tcp.client("close"):
        tcp("client FP.", b"string")
    assert calls(run.analysis(), 3) == ["send", "close"]


def test_uncorking_is_part_of_the_cause() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"held")
    with tcp.client("setsockopt", args={"name": "TCP_CORK", "value": 0}):
        tcp("client P.", b"held")
    assert calls(run.analysis(), 3) == ["send", "setsockopt"]


def test_shutdown_not_the_later_close_is_the_cause_of_the_fin() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    with tcp.client("shutdown", args={"how": "SHUT_WR"}):
        tcp("client F.")
    tcp("server .")
    tcp.client("close")
    found = run.analysis()
    assert calls(found, 3) == ["shutdown"]
    assert no_packet(found, "client", 2) == "shutdown #1 had sent the FIN"


def test_the_last_close_of_forked_processes_is_the_cause() -> None:
    """The parent's early close sends nothing: its child still holds the socket."""
    run = Exchange()
    tcp = run.tcp().opened()
    run.call("server", "fork", fd=-1, result=101)
    parent = tcp.server("close")
    tcp.server("send", b"hello", pid=101)
    tcp("server P.", b"hello")
    tcp("client .")
    with tcp.server("close", pid=101) as child:
        tcp("server F.")
    found = run.analysis()
    assert found.causes[5].calls == (child.n,)
    assert no_packet(found, "server", parent.n) == f"another descriptor of the socket was open until close #{child.n}"


def test_a_duplicate_descriptor_keeps_the_socket_open() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("dup", result=9)
    first = tcp.client("close")
    with tcp.client("close", fd=9) as second:
        tcp("client F.")
    found = run.analysis()
    assert found.causes[3].calls == (second.n,)
    assert no_packet(found, "client", first.n) == f"another descriptor of the socket was open until close #{second.n}"


def test_a_fin_at_the_end_of_a_process_is_not_blamed_on_a_call() -> None:
    """Kind exit, and the logged exit is named."""
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"x")
    tcp("client P.", b"x")
    ended = run.call("client", "exit", fd=-1, end=None, args={"status": 0})
    tcp("client F.")
    cause = run.analysis().causes[4]
    assert (cause.kind, cause.rule, cause.calls) == (CauseKind.EXIT, "exit", (ended.n,))


def test_a_close_is_not_blamed_while_another_process_held_the_socket() -> None:
    """The parent closed long before; the child, which had used the socket too, was killed without a log entry."""
    run = Exchange()
    tcp = run.tcp().opened()
    run.call("server", "fork", fd=-1, result=101)
    tcp.server("recv", pid=101, end=None)
    tcp.server("close")
    run.pause(100)
    tcp("server F.")
    cause = run.analysis().causes[3]
    assert (cause.kind, cause.calls) == (CauseKind.EXIT, ())
    assert "process 101 ended" in sentence(cause.evidence)


def test_a_killed_process_ends_the_connection_without_any_call() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("recv", end=None)
    tcp("client F.")
    cause = run.analysis().causes[3]
    assert (cause.kind, cause.calls) == (CauseKind.EXIT, ())
    assert "process 100 ended" in sentence(cause.evidence)


def test_simultaneous_close() -> None:
    """Two FINs that cross are each caused by their own close, and acknowledged apart."""
    run = Exchange()
    tcp = run.tcp().opened()
    with tcp.client("close"), tcp.server("close"):
        tcp("client F.", delay=1_000_000, ack=1)
        tcp("server F.", delay=1_000_000, ack=1)
    run.pause(2)
    tcp("client .", seq=2, ack=2)
    tcp("server .", seq=2, ack=2)
    found = run.analysis()
    assert rules(found)[3:] == ["fin", "fin", "ack", "ack"]
    assert [found.causes[n].packets for n in (5, 6)] == [(4,), (3,)]


# --- what no call explains


def test_bytes_that_no_logged_call_wrote_are_said_not_attributed() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"a")
    tcp("client P.", b"a")
    tcp("client P.", b"from stdio")
    found = run.analysis()
    assert (found.causes[4].kind, found.causes[4].rule) == (CauseKind.UNKNOWN, "unlogged-data")
    assert "no logged call wrote bytes 1-10" in evidence(found, 4)


def test_without_an_observer_causes_come_from_the_wire_alone() -> None:
    run, _ = origin()
    run.observed["client"] = "none"
    found = run.analysis()
    assert rules(found) == rules(origin()[0].analysis())
    assert evidence(found, 3) == "byte 0; no observer on client"
    assert all(not found.causes[n].calls for n in (0, 3, 5, 7))


def test_a_copy_made_on_the_way_is_named_as_one() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"a")
    tcp("client P.", b"a")
    tcp("client P.", b"a", seq=1, appeared=True)
    found = run.analysis()
    assert (found.causes[4].rule, found.causes[4].packets) == ("appeared", (3,))


def test_an_unfinished_send_owns_what_it_had_written() -> None:
    """A program killed inside send() never logged how much it wrote."""
    run = Exchange()
    tcp = run.tcp().opened()
    send = tcp.client("send", None, end=None)
    tcp("client .", b"x" * 100)
    assert run.analysis().causes[3].calls == (send.n,)


# --- other protocols, the table itself


def test_a_datagram_is_caused_by_its_send_and_an_icmp_error_by_what_it_quotes() -> None:
    run = Exchange()
    udp = run.udp()
    udp.client("connect")
    send = udp.client("send", b"anyone?")
    udp("client", b"anyone?")
    run.packets.append(
        run.packets[0]
        | {
            "flow": None,
            "sender": "server",
            "protocol": "icmp",
            "length": 35,
            "payload": b"",
            "sent": run.now + 100_000,
            "arrived": run.now + 150_000,
            "options": {"type": 3, "code": 3, "about": {"protocol": "udp", "sport": 40000, "dport": 5000}},
        }
    )
    found = run.analysis()
    assert (found.causes[0].rule, found.causes[0].calls) == ("datagram", (send.n,))
    assert (found.causes[1].rule, found.causes[1].packets) == ("icmp-error", (0,))


@pytest.mark.parametrize("in_part", [True, False])
def test_an_icmp_error_about_missing_fragments_is_explained_by_the_datagram_that_came_in_part(in_part: bool) -> None:
    """Of one that did not come at all nobody could report that."""
    run = Exchange()
    udp = run.udp()
    udp.client("connect")
    udp.client("send", bytes(4000))
    udp("client", bytes(4000), lost=True)
    run.packets[0]["note"] = ("2 of its 3 fragments arrived",) if in_part else ()
    run.packets.append(
        run.packets[0]
        | {
            "flow": None,
            "sender": "server",
            "protocol": "icmpv6",
            "payload": b"",
            "sent": run.now + 100_000,
            "arrived": run.now + 150_000,
            "note": (),
            "options": {"type": 3, "code": 1, "about": {"protocol": "udp", "sport": 40000, "dport": 5000}},
        }
    )
    found = run.analysis()
    assert (found.causes[1].rule, found.causes[1].packets) == (("icmp-error", (0,)) if in_part else ("unknown", ()))


@pytest.mark.parametrize("cut", range(1, 10))
def test_no_prefix_of_a_run_breaks_the_analysis(cut: int) -> None:
    """A capture that ends early still gets a cause for each packet."""
    run, _ = origin()
    del run.packets[cut:]
    found = run.analysis()
    assert len(found.causes) == cut
    assert all(cause.evidence for cause in found.causes)
