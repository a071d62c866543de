"""The cause of a packet by its call stack, beside what captures and calls alone lead to."""

from __future__ import annotations

from collections.abc import Mapping

from testbed.model import Analysis, CauseName, Host
from testbed.model.causes import Basis
from testbed.model.kernel_log import Agreement, Departure, KernelLog
from testbed.model.origins import Mechanism
from testbed.report.evidence_text import sentence
from tests.builders.exchange import Exchange

SENDING = ("__tcp_transmit_skb", "tcp_write_xmit", "__tcp_push_pending_frames")
BY_SEND = (*SENDING, "tcp_sendmsg_locked", "tcp_sendmsg", "__x64_sys_sendto", "do_syscall_64")
BY_CLOSE = (*SENDING, "__tcp_close", "tcp_close", "__x64_sys_close", "do_syscall_64")
RECEIVING = ("tcp_v4_do_rcv", "tcp_v4_rcv", "__netif_receive_skb_one_core", "process_backlog")
BY_ARRIVAL = (*SENDING, "tcp_rcv_established", *RECEIVING)
ANSWER = ("__tcp_transmit_skb", *RECEIVING)
DELAYED = ("__tcp_transmit_skb", "tcp_delack_timer_handler", "tcp_delack_timer", "call_timer_fn")
READER = ("__tcp_transmit_skb", "tcp_recvmsg_locked", "tcp_recvmsg", "__x64_sys_recvfrom", "do_syscall_64")
PROBE = ("__tcp_transmit_skb", "__tcp_retransmit_skb", "tcp_send_loss_probe", "tcp_write_timer", "call_timer_fn")
TIMEOUT = ("__tcp_transmit_skb", "__tcp_retransmit_skb", "tcp_retransmit_timer", "tcp_write_timer", "call_timer_fn")
BY_PROBE_TIMER = ("__tcp_transmit_skb", "tcp_write_wakeup", "tcp_send_probe0", "tcp_write_timer", "call_timer_fn")
STRANGE = ("mystery", "kthread")


def analysed(run: Exchange, stacks: Mapping[int, tuple[str, ...]], hand: Mapping[int, int] | None = None) -> Analysis:
    """Analyse a run whose kernel gave some packets these stacks; ``hand``: the packets that were being received."""
    crossings = run.joined().crossings
    names = tuple(dict.fromkeys(stacks.values()))
    departures: dict[Host, list[Departure]] = {"client": [], "server": []}

    def frame(number: int, host: Host) -> int:
        found = crossings[number].at_client if host == "client" else crossings[number].at_server
        assert found is not None
        return found

    for number, stack in stacks.items():
        packet = crossings[number]
        assert packet.sent is not None
        answered = (hand or {}).get(number)
        departures[packet.sender].append(
            Departure(
                frame(number, packet.sender),
                packet.sent + 100,
                0,
                7,
                interrupt=False,
                stack=names.index(stack),
                in_hand=None if answered is None else frame(answered, packet.sender),
            )
        )
    log = KernelLog((), (), stacks=names, departures={host: tuple(each) for host, each in departures.items()})
    return run.analysis(kernel=log)


def test_a_stack_that_says_the_same_proves_the_cause() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    with tcp.client("send", b"ab"):
        tcp("client P.", b"ab")
    tcp("server .")
    found = analysed(run, {3: BY_SEND, 4: ANSWER}, {4: 3})
    sent, answer = found.causes[3], found.causes[4]
    assert (sent.rule, sent.basis, sent.differs) == (CauseName.DATA, Basis.KERNEL, False)
    assert sent.origin is not None
    assert (sent.origin.mechanism, sent.origin.syscall, sent.calls) == (Mechanism.CALL, "sendto", found.causes[3].calls)
    assert (answer.rule, answer.packets) == (CauseName.ACK, (3,))
    assert found.causes[0].basis is Basis.INFERRED
    assert found.kernel is not None
    agreements = [each.agreement for each in found.kernel.assessments]
    assert agreements[3:5] == [Agreement.CONFIRMED, Agreement.CONFIRMED]
    assert Agreement.CONFIRMED not in agreements[:3]


def test_the_stack_is_the_cause_where_it_says_something_else() -> None:
    """A timeout looks like a tail-loss probe from outside."""
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"ab")
    tcp("client P.", b"ab", lost=True)
    run.pause(210)
    tcp("client P.", b"ab", seq=1)
    by_rule = run.analysis().causes[4]
    for stack, rule in ((PROBE, CauseName.TAIL_LOSS_PROBE), (TIMEOUT, CauseName.TIMEOUT)):
        cause = analysed(run, {4: stack}).causes[4]
        assert (cause.rule, cause.basis) == (rule, Basis.KERNEL)
        assert cause.inferred == by_rule
        assert cause.differs == (rule not in (by_rule.rule, *by_rule.alternatives))


def test_what_lets_held_bytes_go_is_what_the_stack_says() -> None:
    """The same segment, let go by close or by what came: its writer is the same, not what sent it."""
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"ab")
    run.pause(5)
    with tcp.client("close") as close:
        tcp("client P.", b"ab")
    found = analysed(run, {3: BY_CLOSE}).causes[3]
    assert close.n in found.calls
    came = analysed(run, {3: BY_ARRIVAL}, {3: 1}).causes[3]
    assert (came.rule, came.packets) == (CauseName.DATA, (1,))
    assert close.n not in came.calls


def test_who_sends_an_ack_is_what_the_stack_says() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"ab")
    tcp("client P.", b"ab")
    with tcp.server("recv", b"ab") as reader:
        tcp("server .")
    assert analysed(run, {4: DELAYED}).causes[4].rule is CauseName.DELAYED_ACK
    read = analysed(run, {4: READER}).causes[4]
    assert (read.rule, read.calls, read.packets) == (CauseName.ACK, (reader.n,), (3,))
    at_once = analysed(run, {4: ANSWER}, {4: 3}).causes[4]
    assert (at_once.rule, at_once.calls, at_once.packets) == (CauseName.ACK, (), (3,))


def test_another_packet_that_is_answered_is_a_difference() -> None:
    """Two probes, one answer: the kernel had the second in hand."""
    run = Exchange()
    tcp = run.tcp().opened()
    tcp("client .", seq=0)
    tcp("client .", seq=0)
    tcp("server .", ack=1)
    cause = analysed(run, {5: ANSWER}, {5: 4}).causes[5]
    assert (cause.rule, cause.packets) == (CauseName.PROBE_ANSWER, (4,))
    assert cause.inferred is not None
    assert cause.differs == (4 not in cause.inferred.packets)


def test_an_unknown_stack_leaves_what_was_inferred() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    with tcp.client("send", b"ab"):
        tcp("client P.", b"ab")
    cause = analysed(run, {3: STRANGE}).causes[3]
    assert (cause.rule, cause.basis) == (CauseName.DATA, Basis.INFERRED)
    assert cause.origin is not None
    assert cause.origin.stack == STRANGE


def test_a_stack_that_may_be_several_causes_names_them_all() -> None:
    """Bytes by the timer of tcp_probe_timer, of a sender that set no option: they may have filled a small window, or

    have been held for an ACK that waited below (tcp_should_autocork), whose end released nothing.
    """
    run = Exchange()
    tcp = run.tcp().opened()
    with tcp.client("send", b"ab"):
        tcp("client P.", b"ab")
    found = analysed(run, {3: BY_PROBE_TIMER}).causes[3]
    assert (found.rule, found.basis) == (CauseName.WINDOW_PROBE, Basis.KERNEL)
    assert found.alternatives == (CauseName.CORK_TIMEOUT, CauseName.MORE_TIMEOUT, CauseName.DATA)
    assert not found.differs
    assert sentence(found.evidence).startswith("the timer for what waits")


def test_numbers_of_a_reset_say_nothing_of_what_a_connection_has_acknowledged() -> None:
    """It refuses a SYN that the link forged, whose numbers are no part of the connection."""
    run = Exchange()
    tcp = run.tcp().opened()
    tcp("client S", seq=5000, appeared=True)
    tcp("server R.", seq=-100_000, ack=5001)
    tcp.client("send", b"abc")
    asked = tcp("client P.", b"abc")
    answer = tcp("server .")
    found = analysed(run, {answer: ANSWER}, {answer: asked}).causes[answer]
    assert (found.rule, found.basis) == (CauseName.ACK, Basis.KERNEL)
