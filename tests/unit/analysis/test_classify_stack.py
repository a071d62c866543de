"""What call stacks say: those that a Linux 6.18 gave, written as the kernel's own notes write them."""

from __future__ import annotations

import pytest

from testbed.analysis.kernel.classify_stack import STACKS, StackRow, classify
from testbed.model import CauseName
from testbed.model.origins import Mechanism

C, M = CauseName, Mechanism
OUT = ("dev_hard_start_xmit", "__dev_queue_xmit", "ip_finish_output2", "ip_output", "__ip_queue_xmit")
RX = ("tcp_v4_do_rcv", "tcp_v4_rcv", "ip_protocol_deliver_rcu", "__netif_receive_skb_one_core", "process_backlog")
ENTRY = ("do_syscall_64", "entry_SYSCALL_64_after_hwframe")
SENDING = ("__tcp_transmit_skb", "tcp_write_xmit", "__tcp_push_pending_frames")
CONNECTING = ("tcp_connect", "tcp_v4_connect", "__inet_stream_connect", "__sys_connect", "__x64_sys_connect", *ENTRY)
WRITING = (*SENDING, "tcp_sendmsg_locked", "tcp_sendmsg", "__sys_sendto", "__x64_sys_sendto", *ENTRY)
TIMER = ("call_timer_fn", "__run_timers", "run_timer_softirq", "handle_softirqs")
HRTIMER = ("__hrtimer_run_queues", "hrtimer_run_softirq", "handle_softirqs")
AGAIN = ("__tcp_transmit_skb", "__tcp_retransmit_skb", "tcp_retransmit_skb")
CLOSING = ("__tcp_close", "tcp_close", "inet_release", "sock_close", "__fput")
BY_CLOSE = (*CLOSING, "fput_close_sync", "__x64_sys_close", *ENTRY)
BY_EXIT = (*CLOSING, "task_work_run", "do_exit", "do_group_exit", "__x64_sys_exit_group", *ENTRY)
RESET = ("__tcp_transmit_skb", "tcp_send_active_reset")


@pytest.mark.parametrize(
    ("stack", "mechanism", "cause", "syscall", "timer"),
    [
        (("__tcp_transmit_skb", *CONNECTING), M.CALL, C.CONNECT, "connect", ""),
        (("tcp_v4_send_synack", "tcp_conn_request", "tcp_rcv_state_process", *RX), M.ARRIVAL, C.SYN_ACK, "", ""),
        (
            ("tcp_v4_send_synack", "inet_rtx_syn_ack", "reqsk_timer_handler", *TIMER),
            M.TIMER,
            C.SYN_RETRANSMISSION,
            "",
            "reqsk_timer_handler",
        ),
        (
            (
                "__tcp_transmit_skb",
                "tcp_rcv_state_process",
                "tcp_v4_do_rcv",
                "__release_sock",
                "release_sock",
                "__inet_stream_connect",
                "__x64_sys_connect",
                *ENTRY,
            ),
            M.BACKLOG,
            C.ACK,
            "connect",
            "",
        ),
        (WRITING, M.CALL, C.DATA, "sendto", ""),
        ((*SENDING, "tcp_rcv_established", *RX), M.ARRIVAL, C.DATA, "", ""),
        ((*SENDING, "inet_shutdown", "__sys_shutdown", "__x64_sys_shutdown", *ENTRY), M.CALL, C.FIN, "shutdown", ""),
        ((*SENDING, *BY_CLOSE), M.CALL, C.FIN, "close", ""),
        ((*SENDING, *CLOSING, "__fput_sync", "sys_close", "handle_syscall", "userspace"), M.CALL, C.FIN, "close", ""),
        ((*SENDING, *BY_EXIT), M.EXIT, C.EXIT, "", ""),
        ((*SENDING, *CLOSING, "task_work_run", "exit_to_user_mode_loop", *ENTRY), M.CALL, C.FIN, "close", ""),
        (("__tcp_transmit_skb", *RX), M.ARRIVAL, C.ACK, "", ""),
        (("ip6_xmit", "tcp_v6_send_response", "tcp_v6_rcv", *RX), M.ARRIVAL, C.RESET_ANSWER, "", ""),
        (("__tcp_transmit_skb", "tcp_fin", "tcp_data_queue", *RX), M.ARRIVAL, C.ACK, "", ""),
        (
            ("__tcp_transmit_skb", "tcp_delack_timer_handler", "tcp_delack_timer", *TIMER),
            M.TIMER,
            C.DELAYED_ACK,
            "",
            "tcp_delack_timer",
        ),
        (
            (
                "__tcp_transmit_skb",
                "tcp_delack_timer_handler",
                "tcp_release_cb",
                "release_sock",
                "tcp_sendmsg",
                "__x64_sys_sendto",
                *ENTRY,
            ),
            M.TIMER,
            C.DELAYED_ACK,
            "sendto",
            "tcp_delack_timer",
        ),
        (
            ("__tcp_transmit_skb", "tcp_compressed_ack_kick", *HRTIMER),
            M.TIMER,
            C.COMPRESSED_ACK,
            "",
            "tcp_compressed_ack_kick",
        ),
        (
            ("__tcp_transmit_skb", "tcp_recvmsg_locked", "tcp_recvmsg", "__x64_sys_recvfrom", *ENTRY),
            M.CALL,
            C.WINDOW_UPDATE,
            "recvfrom",
            "",
        ),
        (
            (
                "__tcp_transmit_skb",
                "__sk_flush_backlog",
                "tcp_recvmsg_locked",
                "tcp_recvmsg",
                "__x64_sys_recvfrom",
                *ENTRY,
            ),
            M.BACKLOG,
            C.ACK,
            "recvfrom",
            "",
        ),
        (
            ("tcp_send_ack", "tcp_release_cb", "release_sock", "tcp_recvmsg", "__x64_sys_recvfrom", *ENTRY),
            M.BACKLOG,
            C.ACK,
            "recvfrom",
            "",
        ),
        (
            (*AGAIN[:2], "tcp_send_loss_probe", "tcp_write_timer_handler", "tcp_write_timer", *TIMER),
            M.TIMER,
            C.TAIL_LOSS_PROBE,
            "",
            "tcp_write_timer",
        ),
        ((*AGAIN, "tcp_retransmit_timer.part.0", "tcp_write_timer", *TIMER), M.TIMER, C.TIMEOUT, "", "tcp_write_timer"),
        (
            (*AGAIN, "tcp_xmit_retransmit_queue.part.0", "tcp_rack_reo_timeout", "tcp_write_timer", *TIMER),
            M.TIMER,
            C.REORDERING_TIMEOUT,
            "",
            "tcp_write_timer",
        ),
        ((*AGAIN, "tcp_xmit_retransmit_queue.part.0", "tcp_ack", *RX), M.ARRIVAL, C.FAST_RETRANSMISSION, "", ""),
        (
            (*AGAIN, "tcp_simple_retransmit", "tcp_v4_mtu_reduced", "tcp_v4_err", "icmp_unreach", "icmp_rcv", *RX[2:]),
            M.ARRIVAL,
            C.PATH_MTU,
            "",
            "",
        ),
        (
            ("__tcp_transmit_skb", "tcp_write_wakeup", "tcp_send_probe0", "tcp_write_timer", *TIMER),
            M.TIMER,
            C.WINDOW_PROBE,
            "",
            "tcp_write_timer",
        ),
        (("__tcp_transmit_skb", "tcp_keepalive_timer", *TIMER), M.TIMER, C.KEEP_ALIVE_PROBE, "", "tcp_keepalive_timer"),
        ((*RESET, "tcp_keepalive_timer", *TIMER), M.TIMER, C.KEEP_ALIVE_TIMEOUT, "", "tcp_keepalive_timer"),
        ((*RESET, *BY_CLOSE), M.CALL, C.RESET_UNREAD, "close", ""),
        ((*RESET, "tcp_disconnect", *BY_CLOSE), M.CALL, C.RESET_LINGER, "close", ""),
        (
            (*RESET, "tcp_disconnect", "inet_child_forget", "inet_csk_listen_stop", *BY_CLOSE),
            M.CALL,
            C.RESET_LISTENER,
            "close",
            "",
        ),
        ((*RESET, *BY_EXIT), M.EXIT, C.RESET_EXIT, "", ""),
        (("ip_send_unicast_reply", "tcp_v4_send_reset", *RX), M.ARRIVAL, C.RESET_ANSWER, "", ""),
        (("__tcp_transmit_skb", "tcp_validate_incoming", "tcp_rcv_established", *RX), M.ARRIVAL, C.ACK, "", ""),
        (
            ("tcp_v6_send_synack", "tcp_conn_request", "tcp_v6_do_rcv", "tcp_v6_rcv", "ip6_protocol_deliver_rcu"),
            M.ARRIVAL,
            C.SYN_ACK,
            "",
            "",
        ),
        (
            (*SENDING, "tcp_tsq_write.part.0", "tcp_tsq_handler", "tcp_tasklet_func", "tasklet_action_common"),
            M.LATER,
            C.DATA,
            "",
            "",
        ),
        (
            ("ip_send_skb", "udp_send_skb", "udp_sendmsg", "__sys_sendmsg", "__x64_sys_sendmsg", *ENTRY),
            M.CALL,
            C.DATAGRAM,
            "sendmsg",
            "",
        ),
        (
            (
                "ip_send_skb",
                "udp_send_skb",
                "udp_push_pending_frames",
                "udp_lib_setsockopt",
                "__x64_sys_setsockopt",
                *ENTRY,
            ),
            M.CALL,
            C.DATAGRAM,
            "setsockopt",
            "",
        ),
        (("icmp_push_reply", "__icmp_send", "__udp4_lib_rcv", *RX[2:]), M.ARRIVAL, C.ICMP_ERROR, "", ""),
        (("icmp_push_reply", "icmp_reply", "icmp_echo", "icmp_rcv", *RX[2:]), M.ARRIVAL, C.ECHO_REPLY, "", ""),
        (
            ("ip_push_pending_frames", "ping_v4_sendmsg", "inet_sendmsg", "__x64_sys_sendto", *ENTRY),
            M.CALL,
            C.RAW_PACKET,
            "sendto",
            "",
        ),
        (
            (*SENDING, "tcp_sendmsg_locked", "io_send", "io_issue_sqe", "io_submit_sqes", *ENTRY),
            M.CALL,
            C.DATA,
            "io_uring",
            "",
        ),
    ],
)
def test_what_a_stack_says(
    stack: tuple[str, ...], mechanism: Mechanism, cause: CauseName, syscall: str, timer: str
) -> None:
    said = classify((*OUT, *stack))
    assert said.row is not None
    assert (said.mechanism, said.row.causes[0], said.syscall, said.timer) == (mechanism, cause, syscall, timer)
    assert set(said.functions) <= {name.partition(".")[0] for name in stack}
    assert said.functions


def test_what_stands_beyond_the_receiving_belongs_to_whoever_was_interrupted() -> None:
    """A veth hands a packet over on the same processor: the ACK is sent within the other host's send, not by it."""
    said = classify((*OUT, "__tcp_transmit_skb", *RX, "handle_softirqs", "__local_bh_enable_ip", *OUT, *WRITING))
    assert (said.mechanism, said.syscall) == (M.ARRIVAL, "")
    assert said.row is not None
    assert C.ACK in said.row.causes


def test_what_is_no_crossing_has_no_cause_but_a_meaning() -> None:
    """An address is resolved within the connect that needs it, which is not what the ARP packet is."""
    said = classify(("dev_hard_start_xmit", "arp_xmit", "arp_solicit", "neigh_probe", *OUT[2:], *CONNECTING))
    assert said.row is not None
    assert (said.row.causes, said.row.meaning) == ((), "resolves an address (ARP)")


def test_an_unknown_stack_says_nothing() -> None:
    for stack in ((), ("0xffffffff81000000",), (*OUT, "something_else", *RX), (*OUT, "mystery", "kthread")):
        assert classify(stack).row is None
    assert classify((*OUT, "mystery", "kthread")).mechanism is M.UNKNOWN


def test_every_row_can_be_reached() -> None:
    """A row that an earlier one hides would never say anything."""
    assert len(STACKS) > 30
    assert not [row.meaning for at, row in enumerate(STACKS) if any(_hides(earlier, row) for earlier in STACKS[:at])]


def _hides(earlier: StackRow, row: StackRow) -> bool:
    places = set(row.mechanisms or Mechanism) <= set(earlier.mechanisms or Mechanism)
    return places and set(row.any) <= set(earlier.any) and not earlier.also
