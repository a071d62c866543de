"""What the kernel says of each cause: events on consecutive lines with the packets that they are about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from testbed.analysis.causes import find_causes as rules
from testbed.analysis.causes.endpoint import Explanation, TcpEndpoint
from testbed.model import Analysis, CallRef, CauseName, Crossing, Endpoint, Host, peer_of
from testbed.model.hosts import HostAddresses
from testbed.model.kernel_log import Agreement, Assessment, KernelEvent, KernelLog
from testbed.report.text.verdict_text import verdict_text
from tests.builders.exchange import ADDRESS, US, Exchange, Tcp

PROBING = {"client": {"net.ipv4.tcp_early_retrans": "3"}}
RECORDED = (
    *("sock/inet_sock_set_state", "tcp/tcp_retransmit_skb", "tcp/tcp_retransmit_synack", "tcp/tcp_send_reset"),
    *("tcp/tcp_cong_state_set", "tcp/tcp_probe", "skb/kfree_skb"),
)


class Kernel:
    """The events of a run in the making; each happens now."""

    def __init__(self, run: Exchange) -> None:
        self.run = run
        self.events: list[KernelEvent] = []

    def __call__(self, host: Host, name: str, *, interrupt: bool = True, late: int = 10 * US, **fields: Any) -> None:
        """Note an event of a host, ``late`` ns after the last thing that happened."""
        ends = {"client": Endpoint(ADDRESS["client"], 40000), "server": Endpoint(ADDRESS["server"], 10011)}
        sk = 1 if host == "client" else 2
        at = self.run.now + late
        self.events.append(KernelEvent(at, name, 0, interrupt, host, ends[host], ends[peer_of(host)], sk, 0, fields))

    def state(self, host: Host, old: str, new: str, **given: Any) -> None:
        self(host, "inet_sock_set_state", oldstate=old, newstate=new, **given)

    def log(self, **given: Any) -> KernelLog:
        return KernelLog(**{"events": tuple(self.events), "recorded": RECORDED, **given})


def begun() -> tuple[Exchange, Tcp, Kernel]:
    run = Exchange()
    tcp, kernel = run.tcp().opened(), Kernel(run)
    connect = next(call for call in run.made["client"] if call.fields["name"] == "connect")
    kernel.state("client", "CLOSE", "SYN_SENT", interrupt=False, late=connect.fields["start"] + US - run.now)
    return run, tcp, kernel


def assessments(analysis: Analysis) -> tuple[Assessment, ...]:
    assert analysis.kernel is not None
    return analysis.kernel.assessments


def lost_data(*, loss: bool) -> tuple[Exchange, Kernel]:
    """A segment is lost and sent again; ``loss``: the kernel enters the Loss state before."""
    run, tcp, kernel = begun()
    tcp.client("send", b"c")
    tcp("client P.", b"c", lost=True)
    run.pause(210)
    if loss:
        kernel("client", "tcp_cong_state_set", cong_state="Loss")
    tcp("client P.", b"c", seq=1)
    kernel("client", "tcp_retransmit_skb", state="ESTABLISHED", err=0)
    return run, kernel


@pytest.mark.parametrize(
    ("loss", "sysctls", "rule", "agreement"),
    [
        (True, {"client": {"net.ipv4.tcp_early_retrans": "0"}}, "timeout", "consistent"),
        (False, {"client": {"net.ipv4.tcp_early_retrans": "0"}}, "timeout", "contradicted"),
        (False, PROBING, "tail-loss-probe", "consistent"),
        (True, PROBING, "tail-loss-probe", "contradicted"),
        (True, {}, "retransmission", "consistent"),
    ],
)
def test_the_loss_state_tells_a_timeout_from_a_probe(
    loss: bool, sysctls: Mapping[str, Mapping[str, str]], rule: str, agreement: str
) -> None:
    run, kernel = lost_data(loss=loss)
    found = run.analysis(sysctls=sysctls, kernel=kernel.log())
    assert (found.causes[4].rule, assessments(found)[4].agreement) == (rule, agreement)
    contradictions = [text for text in verdict_text(found) if "the kernel contradicts the cause" in text]
    assert bool(contradictions) == (agreement == "contradicted")


def test_a_wrong_rule_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were new bytes what was sent before, the kernel would say that it sent them again."""
    monkeypatch.setattr(rules, "TCP_STAGES", ({CauseName.DATA: any_bytes}, *rules.TCP_STAGES))
    run, kernel = lost_data(loss=True)
    found = run.analysis(kernel=kernel.log())
    assert found.causes[4].rule == "data"
    assert assessments(found)[4].agreement == "contradicted"
    assert "the kernel contradicts the cause `data` of #4 (client)" in verdict_text(found)[-1]


def any_bytes(_: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Explain every packet with bytes, sent before or not."""
    return Explanation(("wrong",)) if packet.length else None


def test_an_event_that_is_missing_contradicts_only_if_all_were_recorded() -> None:
    run, kernel = lost_data(loss=True)
    silent = replace(kernel.log(), events=())
    assert assessments(run.analysis(kernel=silent))[4].agreement == "contradicted"
    lossy = replace(silent, problems=("the kernel's buffer was too small: 3 events were lost",), lost=3)
    assert assessments(run.analysis(kernel=lossy))[4].agreement == "not covered"
    old = replace(silent, recorded=("tcp/tcp_probe",), missing=("tcp/tcp_retransmit_skb",))
    assert assessments(run.analysis(kernel=old))[4].agreement == "not covered"


@pytest.mark.parametrize(
    ("reason", "agreement"),
    [
        ("TCP_STATE", "consistent"),
        ("TCP_ABORT_ON_LINGER", "consistent"),
        ("TCP_ABORT_ON_CLOSE", "contradicted"),
        ("NOT_SPECIFIED", "not covered"),
    ],
)
def test_a_reset_has_the_kernels_reason(reason: str, agreement: str) -> None:
    run, tcp, kernel = begun()
    tcp.client("setsockopt", args={"level": "SOL_SOCKET", "name": "SO_LINGER", "value": "1,0"})
    with tcp.client("close"):
        tcp("client R.")
        kernel("client", "tcp_send_reset", interrupt=False, state="CLOSE", reason=reason)
    found = run.analysis(kernel=kernel.log())
    assert found.kernel is not None
    assert [matched.packets for matched in found.kernel.resets] == [(3,)]
    assert (found.causes[3].rule, assessments(found)[3].agreement) == ("reset-linger", agreement)


@pytest.mark.parametrize(
    ("reason", "agreement"),
    [
        ("TCP_OLD_DATA", "consistent"),
        ("TCP_OFOMERGE", "consistent"),
        ("TCP_ZEROWINDOW", "consistent"),
        ("X", "contradicted"),
    ],
)
def test_a_d_sack_answers_what_was_dropped_as_old_in_order_or_beyond_a_gap(reason: str, agreement: str) -> None:
    """tcp_data_queue_ofo drops what its queue holds already as TCP_OFOMERGE, and notes it for a D-SACK."""
    run, tcp, kernel = begun()
    tcp.client("send", b"abc")
    tcp("client .", b"a", lost=True)
    tcp("client P.", b"bc")
    tcp("server .", ack=1, options={"sack": [[2, 4]]})
    tcp("client P.", b"bc", seq=2)
    kernel("server", "kfree_skb", late=60 * US, reason=reason, place="tcp_data_queue")
    tcp("server .", ack=1, options={"sack": [[2, 4], [2, 4]]})
    found = run.analysis(kernel=kernel.log())
    assert (found.causes[7].rule, assessments(found)[7].agreement) == ("d-sack", agreement)


def test_a_reset_is_not_taken_for_the_one_after_it() -> None:
    """iperf3 on a busy machine: the event of close's RST comes with the RSTs that answer what is still on its way."""
    run, tcp, kernel = begun()
    tcp.client("send", b"xx")
    tcp("client P.", b"x")
    tcp("client P.", b"x")
    with tcp.server("close"):
        tcp("server R.")
        tcp("server R", seq=1)
        tcp("server R", seq=1)
        kernel("server", "tcp_send_reset", interrupt=False, state="CLOSE", reason="TCP_ABORT_ON_CLOSE")
    found = run.analysis(kernel=kernel.log())
    assert found.kernel is not None
    first = next(packet.n for packet in found.inputs.joined.crossings if packet.flags == "R.")
    assert [matched.packets for matched in found.kernel.resets] == [(first,)]


def test_what_a_record_with_lost_events_says() -> None:
    """It confirms what it shows, and neither contradicts nor confirms by what is not in it."""
    run, kernel = lost_data(loss=False)
    kernel.state("client", "FIN_WAIT2", "CLOSE", interrupt=False)  # by no call: the RST's event was lost
    lossy = kernel.log(problems=("3 events were lost",), lost=3)
    found = run.analysis(sysctls=PROBING, kernel=lossy)
    assert (found.causes[4].rule, assessments(found)[4].agreement) == ("tail-loss-probe", "not covered")
    assert {each.agreement for each in assessments(found)} == {"not covered"}
    assert verdict_text(found)[-1].startswith("the kernel's record is not complete (3 events were lost)")
    assert not [text for text in verdict_text(found) if "nothing explains" in text or "contradicts" in text]


def test_states_change_by_calls_packets_and_timers() -> None:
    """Each change is put down to what made it; one that nothing can have made is told."""
    run, tcp, kernel = begun()
    with tcp.client("close"):
        kernel.state("client", "ESTABLISHED", "FIN_WAIT1", interrupt=False)
        tcp("client F.")
    kernel.state("server", "ESTABLISHED", "CLOSE_WAIT", late=60 * US)
    kernel.state("client", "FIN_WAIT1", "CLOSE", late=70 * US)
    found = run.analysis(kernel=kernel.log())
    assert found.kernel is not None
    assert [(change.kind, change.calls, change.packets) for change in found.kernel.state_changes[1:]] == [
        ("call", (1,), ()),
        ("packet", (), (3,)),
        ("timer", (), ()),
    ]
    assert assessments(found)[3] == Assessment(
        Agreement.CONSISTENT, ("ESTABLISHED to FIN_WAIT1: ", CallRef("client", 1, "close"))
    )
    kernel.state("server", "CLOSE_WAIT", "LAST_ACK", late=80 * US)
    found = run.analysis(kernel=kernel.log())
    assert verdict_text(found)[-1].startswith(
        "nothing explains an event of the kernel: server: inet_sock_set_state CLOSE_WAIT"
    )


def test_a_connect_that_found_no_local_port_is_on_no_wire() -> None:
    """Its socket goes to SYN_SENT and back without a port: no packet could say so. With a port the change is missed."""
    run, _, kernel = begun()
    for port, expected in ((0, 0), (41000, 1)):
        kernel.state("client", "CLOSE", "SYN_SENT", interrupt=False)
        kernel.events[-1] = replace(kernel.events[-1], local=Endpoint(ADDRESS["client"], port))
        found = run.analysis(kernel=kernel.log())
        assert found.kernel is not None
        assert len(found.kernel.unmatched) == expected


def test_a_listening_socket_is_on_no_wire() -> None:
    """One that is bound to an address of the lab; it has no peer."""
    run, _, kernel = begun()
    kernel.state("server", "CLOSE", "LISTEN", interrupt=False)
    kernel.events[-1] = replace(kernel.events[-1], peer=Endpoint("0.0.0.0", 0))  # noqa: S104 - as the kernel names none
    found = run.analysis(kernel=kernel.log())
    assert found.kernel is not None
    assert found.kernel.unmatched == ()


def test_a_connection_between_two_addresses_of_one_host_is_on_no_wire() -> None:
    run, _, kernel = begun()
    kernel.state("server", "ESTABLISHED", "FIN_WAIT1", interrupt=False)
    kernel.events[-1] = replace(kernel.events[-1], peer=Endpoint("198.18.0.8", 80))
    own = {"server": HostAddresses.sorted([ADDRESS["server"], "198.18.0.8"])}
    for addresses, expected in ((own, 0), ({}, 1)):
        found = run.analysis(kernel=kernel.log(), addresses=addresses)
        assert found.kernel is not None
        assert len(found.kernel.unmatched) == expected


def test_one_retransmission_may_be_several_segments() -> None:
    """A buffer of two segments is sent again by one event (a smaller MTU since), and all of it is matched."""
    run, tcp, kernel = begun()
    tcp.client("send", b"x" * 2000)
    tcp("client P.", b"x" * 2000, lost=True)
    run.pause(210)
    kernel("client", "tcp_cong_state_set", cong_state="Loss")
    tcp("client .", b"x" * 1000, seq=1)
    tcp("client P.", b"x" * 1000, seq=1001)
    kernel("client", "tcp_retransmit_skb", state="ESTABLISHED", err=0)
    found = run.analysis(kernel=kernel.log())
    assert found.kernel is not None
    assert [matched.packets for matched in found.kernel.retransmissions] == [(4, 5)]
    assert found.kernel.unmatched == ()


def test_the_congestion_window_of_each_packet() -> None:
    """The next arrival shows it, unless a loss came between: then the last one does."""

    def probe(cwnd: int) -> dict[str, Any]:
        return {"snd_cwnd": cwnd, "ssthresh": 0x7FFFFFFF, "srtt": 100, "snd_wnd": 65535}

    run, tcp, kernel = begun()
    tcp.client("send", b"a")
    tcp("client P.", b"a")
    tcp("server .")
    kernel("client", "tcp_probe", late=60 * US, **probe(10))
    tcp.client("send", b"b")
    tcp("client P.", b"b", lost=True)
    kernel("client", "tcp_cong_state_set", cong_state="Loss")
    tcp("client P.", b"b", seq=2)
    tcp("server .")
    kernel("client", "tcp_probe", late=60 * US, **probe(1))
    found = run.analysis(kernel=kernel.log())
    assert found.kernel is not None
    assert {n: state.cwnd for n, state in found.kernel.send_states.items() if n in (3, 5, 6)} == {3: 10, 5: 10, 6: 1}
