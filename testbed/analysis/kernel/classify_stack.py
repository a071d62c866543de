"""What a call stack of the kernel says of the packet that was sent from it: one table of functions and causes. Pure.

A stack is read from the packet outwards and only as far as the first boundary: where the kernel began to receive a
packet, ran a timer, took up what it had put off, or entered a system call. What stands beyond belongs to whoever was
interrupted. Functions are looked for by name anywhere before that boundary, since compilers inline some of them and add
suffixes (``.part.0``, ``.isra.0``, ``.constprop.0``, ``.cold``) to others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from testbed.model import CauseName
from testbed.model.origins import Mechanism

C = CauseName

_RECEIVES = frozenset(
    (
        *("__netif_receive_skb_one_core", "__netif_receive_skb_core", "__netif_receive_skb_list_core"),
        *("__netif_receive_skb", "netif_receive_skb_list_internal", "process_backlog"),
        *("ip_rcv", "ipv6_rcv", "arp_rcv", "ip_local_deliver_finish", "ip_protocol_deliver_rcu"),
        *("ip6_protocol_deliver_rcu", "ip6_input_finish", "tcp_v4_rcv", "tcp_v6_rcv"),
    )
)
_TIMERS = frozenset(
    (
        *("call_timer_fn", "expire_timers", "__run_timers", "__run_timer_base", "run_timer_softirq"),
        *("__hrtimer_run_queues", "hrtimer_run_softirq", "__hrtimer_run_softirq"),
    )
)
_PUT_OFF = frozenset(
    (
        *("tasklet_action_common", "tasklet_action", "workqueue_softirq_action", "process_one_work", "worker_thread"),
        *("net_tx_action", "bh_worker"),
    )
)
_EXITS = frozenset(("do_exit", "do_group_exit"))
_DEFERRED_CLOSE = frozenset(("task_work_run", "____fput", "delayed_fput"))
"""What drops the last use of a file as the kernel returns from a call, or as a process ends."""
_INTERRUPTED = frozenset(("handle_softirqs", "__do_softirq", "run_ksoftirqd", "__irq_exit_rcu", "irq_exit_rcu"))
_ENTRY = frozenset(
    ("do_syscall_64", "invoke_syscall", "el0_svc", "do_syscall_32", "__do_fast_syscall_32", "handle_syscall")
)
"""The last is User-Mode Linux's, which calls ``sys_close`` and its like by their plain names."""
_URING = frozenset(("io_issue_sqe", "io_submit_sqes", "io_wq_submit_work", "io_sq_thread", "io_handle_tw_list"))
_RELEASES_BACKLOG = "__release_sock"
ERRORS = ("tcp_v4_err", "tcp_v6_err")
"""What an ICMP error runs at the connection that it is about, in its processing."""
_LETS_GO = ("tcp_release_cb", "__sk_flush_backlog", "release_sock")
"""What runs as a call lets a socket go; the compiler may drop the frame of the first, which ends in tcp_send_ack."""
_SENDS_ACK = ("tcp_send_ack", "__tcp_send_ack", "__tcp_transmit_skb")
_SYSCALL = re.compile(r"^__(?:x64|arm64|ia32|riscv|s390x?|se|do)_(?:compat_)?sys_(\w+)$|^(?:__|k)?sys_(\w+)$")
_SAME_CALL = {"sendto": "sendto", "connect_file": "connect", "close_range": "close_range"}
TIMER_FUNCTIONS = (
    *("tcp_delack_timer", "tcp_write_timer", "tcp_keepalive_timer", "reqsk_timer_handler", "tcp_pace_kick"),
    *("tcp_compressed_ack_kick", "tw_timer_handler", "neigh_timer_handler", "igmp_ifc_timer_expire", "ip_expire"),
    *("addrconf_rs_timer", "addrconf_dad_work", "mld_ifc_work", "mld_dad_work", "ip6_frag_expire", "igmp_timer_expire"),
)


@dataclass(frozen=True, slots=True)
class StackRow:
    """A row of the table: functions that stand before the boundary, and what sent the packet then.

    ``any`` are functions of which one must be there, ``also`` (if not empty) as well; ``mechanisms`` are where it may
    be, any if empty. ``causes`` are those that this stack can be, none for what no crossing is: the packets tell which
    of them it is.
    """

    any: tuple[str, ...]
    causes: tuple[CauseName, ...]
    meaning: str
    also: tuple[str, ...] = ()
    mechanisms: tuple[Mechanism, ...] = ()


@dataclass(frozen=True, slots=True)
class Classified:
    """What a stack says: the row (None where none fits), and the functions that decided, innermost first."""

    mechanism: Mechanism
    row: StackRow | None
    functions: tuple[str, ...]
    syscall: str = ""
    timer: str = ""


CALL, ARRIVAL, BACKLOG, TIMER, EXIT, LATER, UNKNOWN = Mechanism
_RECEIVING = (ARRIVAL, BACKLOG)
_KEEP = ("tcp_keepalive_timer",)
_WRITES = (
    *("tcp_write_xmit", "tcp_push_one", "__tcp_push_pending_frames", "tcp_push", "tcp_mtu_probe", "tcp_send_fin"),
    *("tcp_tsq_write", "tcp_tsq_handler"),
)
_CLOSES = ("__tcp_close", "tcp_close", "__mptcp_close")
_ACKS = (C.ACK, C.DUPLICATE_ACK, C.D_SACK, C.PROBE_ANSWER, C.CHALLENGE_ACK, C.NOT_TAKEN, C.WINDOW_UPDATE)
_RESETS = ("tcp_send_active_reset",)
_AGAIN = ("__tcp_retransmit_skb", "tcp_retransmit_skb")
_READS = (
    *("tcp_cleanup_rbuf", "__tcp_cleanup_rbuf", "tcp_recvmsg_locked", "tcp_recvmsg", "tcp_read_sock", "tcp_read_skb"),
    *("tcp_splice_read", "tcp_zerocopy_receive", "tcp_read_done", "tcp_recv_skb", "__tcp_read_sock"),
)

STACKS: tuple[StackRow, ...] = (
    # what no crossing is
    StackRow(("arp_xmit", "arp_solicit"), (), "resolves an address (ARP)"),
    StackRow(("ndisc_send_skb", "ndisc_send_ns", "ndisc_send_na", "ndisc_send_rs"), (), "neighbour discovery"),
    StackRow(
        ("igmpv3_sendpack", "igmpv3_send_cr", "igmp_send_report", "mld_sendpack", "mld_send_cr", "igmp6_send"),
        (),
        "membership of groups",
    ),
    # RST
    StackRow(
        ("tcp_v4_send_reset", "tcp_v6_send_reset"),
        (C.RESET_ANSWER, C.CLOSED_PORT),
        "a RST in answer to what no socket takes",
    ),
    StackRow(
        _RESETS,
        (C.RESET_LISTENER, C.RESET_EXIT),
        "a RST of a connection that nobody accepted, as its listener was closed",
        ("inet_csk_listen_stop", "inet_child_forget", "inet_csk_complete_hashdance"),
    ),
    StackRow(
        _RESETS,
        (C.KEEP_ALIVE_TIMEOUT, C.USER_TIMEOUT),
        "a RST by the timer that had sent probes",
        ("tcp_keepalive_timer", "tcp_write_timeout", "tcp_probe_timer", "tcp_retransmit_timer"),
    ),
    StackRow(_RESETS, (C.RESET_EXIT, C.RESET_UNREAD, C.RESET_LINGER), "a RST by the end of the process", (), (EXIT,)),
    StackRow(
        _RESETS, (C.RESET_LINGER,), "a RST by tcp_disconnect: close with SO_LINGER 0", ("tcp_disconnect", "tcp_abort")
    ),
    StackRow(  # __tcp_close looks for unread data first; in FIN-WAIT-2 a negative TCP_LINGER2 resets too
        _RESETS,
        (C.RESET_UNREAD, C.RESET_LINGER, C.RESET_UNSEEN),
        "a RST by close: with unread data, or with a negative TCP_LINGER2",
        _CLOSES,
    ),
    # SYN
    StackRow(
        ("tcp_v4_send_synack", "tcp_v6_send_synack", "inet_rtx_syn_ack", "tcp_rtx_synack"),
        (C.SYN_RETRANSMISSION,),
        "a SYN+ACK again by its timer",
        ("reqsk_timer_handler", "tcp_fastopen_synack_timer", "tcp_retransmit_timer"),
        (TIMER,),
    ),
    StackRow(
        (
            *("tcp_v4_send_synack", "tcp_v6_send_synack", "tcp_send_synack", "tcp_conn_request"),
            *("inet_rtx_syn_ack", "tcp_rtx_synack"),
        ),
        (C.SYN_ACK, C.SYN_RETRANSMISSION),
        "a SYN+ACK in answer to a SYN",
        (),
        _RECEIVING,
    ),
    StackRow(("tcp_rcv_fastopen_synack",), (C.FAST_OPEN_FALLBACK,), "what the SYN carried again, as it was not taken"),
    StackRow(("tcp_connect", "tcp_send_syn_data"), (C.CONNECT,), "a SYN by connect", (), (CALL, LATER)),
    # sent again
    StackRow(_AGAIN, (C.TAIL_LOSS_PROBE,), "a tail-loss probe", ("tcp_send_loss_probe",)),
    StackRow(_AGAIN, (C.TIMEOUT, C.SYN_RETRANSMISSION), "a retransmission timeout", ("tcp_retransmit_timer",)),
    StackRow(
        _AGAIN,
        (C.PATH_MTU,),
        "sent again in smaller segments: ICMP says that it was too big",
        ("tcp_simple_retransmit", "tcp_v4_mtu_reduced", "tcp_v6_mtu_reduced", *ERRORS),
    ),
    StackRow(
        _AGAIN,
        (C.REORDERING_TIMEOUT,),
        "sent again by the reordering timer of RACK",
        ("tcp_rack_reo_timeout",),
        (TIMER,),
    ),
    StackRow(
        ("tcp_xmit_retransmit_queue", *_AGAIN),
        (C.FAST_RETRANSMISSION, C.RECOVERY, C.PATH_MTU, C.FAST_OPEN_FALLBACK),
        "sent again with the ACK that asks for it",
        (),
        (*_RECEIVING, LATER),
    ),
    StackRow(
        ("tcp_xmit_retransmit_queue", *_AGAIN),
        (C.FAST_RETRANSMISSION, C.RECOVERY, C.PATH_MTU),
        "sent again, as an ACK had asked for it, when it was time by the pacing",
        ("tcp_pace_kick", "tcp_tsq_handler", "tcp_tsq_write"),
    ),
    # probes
    StackRow(_KEEP, (C.KEEP_ALIVE_PROBE,), "a keep-alive probe", (), (TIMER,)),
    StackRow(
        ("tcp_send_probe0", "tcp_probe_timer", "tcp_write_wakeup"),
        (C.WINDOW_PROBE, C.CORK_TIMEOUT, C.MORE_TIMEOUT, C.DATA),
        "the timer for what waits: a window probe, or bytes that were held",
    ),
    # ACKs by timers
    StackRow(("tcp_delack_timer", "tcp_delack_timer_handler"), (C.DELAYED_ACK,), "the timer of delayed ACKs"),
    StackRow(("tcp_compressed_ack_kick",), (C.COMPRESSED_ACK,), "ACKs of several segments sent as one by a timer"),
    # first transmission
    StackRow(_WRITES, (C.DATA, C.FIN), "what had been held, let go by a tail-loss probe", ("tcp_send_loss_probe",)),
    StackRow(_WRITES, (C.EXIT, C.DATA, C.FIN), "by the end of the process", (), (EXIT,)),
    StackRow(_WRITES, (C.FIN, C.DATA), "by the close or shutdown", (*_CLOSES, "tcp_shutdown", "inet_shutdown")),
    StackRow(_WRITES, (C.DATA, C.FIN, C.EXIT), "bytes by the call", (), (CALL,)),
    StackRow(_WRITES, (C.DATA, C.FIN, C.EXIT), "what had waited, let go by what came", (), _RECEIVING),
    StackRow(_WRITES, (C.DATA, C.FIN, C.EXIT), "what had waited for the queue below, or its time", (), (LATER, TIMER)),
    # ACKs
    StackRow(_READS, (C.WINDOW_UPDATE, C.ACK), "an ACK by the program's read", (), (CALL,)),
    StackRow(
        (
            *("tcp_v4_timewait_ack", "tcp_v6_timewait_ack", "tcp_v4_send_ack", "tcp_v6_send_ack"),
            *("tcp_v6_reqsk_send_ack", "tcp_v4_reqsk_send_ack", "tcp_timewait_state_process"),
        ),
        _ACKS,
        "an ACK of a connection that is opening or over",
    ),
    StackRow(  # where the compiler has put its callers into tcp_v6_rcv
        ("tcp_v6_send_response",),
        (C.RESET_ANSWER, C.CLOSED_PORT, *_ACKS),
        "a RST or an ACK that no socket sends",
    ),
    StackRow(
        ("__tcp_transmit_skb", "__tcp_send_ack", "tcp_send_ack", "tcp_send_dupack", "tcp_send_challenge_ack"),
        _ACKS,
        "an ACK in answer to what came",
        (),
        _RECEIVING,
    ),
    StackRow(("tcp_sock_set_quickack", "do_tcp_setsockopt"), (C.ACK, C.WINDOW_UPDATE), "an ACK by setsockopt"),
    StackRow(("__tcp_transmit_skb",), (C.ACK, C.WINDOW_UPDATE), "an ACK in a call", (), (CALL, EXIT)),
    # UDP, ICMP and raw
    StackRow(
        (
            *("udp_send_skb", "udp_v6_send_skb", "udp_sendmsg", "udpv6_sendmsg", "udp_push_pending_frames"),
            "udp_v6_push_pending_frames",
        ),
        (C.DATAGRAM,),
        "a datagram by the call",
    ),
    StackRow(("icmp_reply", "icmpv6_echo_reply", "icmp_echo"), (C.ECHO_REPLY,), "an answer to an echo request"),
    StackRow(
        ("__icmp_send", "icmp_send", "icmp6_send", "icmpv6_send", "icmp_push_reply"),
        (C.ICMP_ERROR,),
        "an ICMP error",
    ),
    StackRow(
        ("raw_sendmsg", "rawv6_sendmsg", "ping_v4_sendmsg", "ping_v6_sendmsg", "packet_sendmsg", "packet_snd"),
        (C.RAW_PACKET,),
        "a packet of a raw, ping or packet socket",
    ),
)
"""Rows in the order in which they are tried; the first that fits says the cause."""


def classify(stack: Sequence[str]) -> Classified:
    """Return what a stack says; functions are from the innermost outwards."""
    plain = [name.partition(".")[0] for name in stack]
    mechanism, end = _boundary(plain)
    own = plain[:end]
    syscall = _syscall(plain[end:]) if mechanism is CALL else ""
    if mechanism is CALL and not _DEFERRED_CLOSE.isdisjoint(plain[end:]):
        syscall = syscall or "close"
    if mechanism in (CALL, EXIT) and _RELEASES_BACKLOG in own:
        mechanism, own = BACKLOG, own[: own.index(_RELEASES_BACKLOG) + 1]
    timer = next((name for name in plain[: end + 1] if name in TIMER_FUNCTIONS), "") if mechanism is TIMER else ""
    if "tcp_release_cb" in own and "tcp_delack_timer_handler" in own:
        mechanism, timer = TIMER, "tcp_delack_timer"  # it had run out while a call used the socket
    elif "tcp_release_cb" in own and "tcp_write_timer_handler" in own:
        mechanism, timer = TIMER, "tcp_write_timer"
    elif mechanism in (CALL, EXIT) and _is_put_off(own):
        mechanism = BACKLOG
    elif "tcp_release_cb" in own:
        mechanism = LATER
    names = set(own)
    if any(name.startswith("0x") for name in own):
        return Classified(mechanism, None, (), syscall, timer)  # what has no name may be what decides
    for row in STACKS:
        if _fits(row, names, mechanism):
            decisive = {*row.any, *row.also, timer}
            functions = tuple(dict.fromkeys(name for name in own if name in decisive or name == timer))
            return Classified(mechanism, row, functions, syscall, timer)
    return Classified(mechanism, None, tuple(own[-1:]), syscall, timer)


def _is_put_off(own: Sequence[str]) -> bool:
    """Say whether this is an ACK to what came while a call used the socket (TCP_ACK_DEFERRED, Linux 6.7)."""
    lets_go = [at for at, name in enumerate(own) if name in _LETS_GO]
    return bool(lets_go) and lets_go[0] > 0 and own[lets_go[0] - 1] in _SENDS_ACK


def _fits(row: StackRow, names: set[str], mechanism: Mechanism) -> bool:
    if row.mechanisms and mechanism not in row.mechanisms:
        return False
    return not names.isdisjoint(row.any) and (not row.also or not names.isdisjoint(row.also))


def _boundary(plain: Sequence[str]) -> tuple[Mechanism, int]:
    """Return in the course of what the packet was sent, and where in the stack that begins."""
    deferred = None
    for at, name in enumerate(plain):
        if name in _RECEIVES:
            return ARRIVAL, at
        if name in _TIMERS:
            return TIMER, at
        if name in _PUT_OFF:
            return LATER, at
        if name in _DEFERRED_CLOSE:
            deferred = at if deferred is None else deferred
        elif name in _EXITS:
            return EXIT, deferred if deferred is not None else at
        elif _SYSCALL.match(name) or name in _URING:
            return CALL, at
        elif name in _ENTRY:
            return CALL, deferred if deferred is not None else at
        elif name in _INTERRUPTED:
            return UNKNOWN, at
    return (CALL, deferred) if deferred is not None else (UNKNOWN, len(plain))


def _syscall(rest: Sequence[str]) -> str:
    if any(name in _URING for name in rest):
        return "io_uring"
    found = ""
    for name in rest:
        match = _SYSCALL.match(name)
        if match is None:
            break
        found = match[1] or match[2]
    return found
