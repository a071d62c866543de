"""Why a packet exists: the registry of causes, and a cause with its evidence. Pure data.

:data:`CAUSES` is the only place that lists causes: what another module must know of some of them is a trait of their
rows, so that a new rule needs its function in ``analysis/causes``, its row here and its tests. It is long because the
registry is one table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum, auto

from testbed.model.evidence import Evidence
from testbed.model.kernel_requirements import (
    AnsweredDropped,
    DroppedAsOld,
    NotRetransmitted,
    Requirement,
    ResetSent,
    Retransmitted,
    StateEntered,
    SynAnswered,
    SynRetransmitted,
    Untraced,
)
from testbed.model.origins import PacketOrigin, SentBy


class CauseKind(StrEnum):
    """Families of causes."""

    CALL = "call"
    ANSWER = "answer"
    TIMER = "timer"
    EXIT = "exit"
    LINK = "link"
    UNKNOWN = "unknown"


class CauseName(StrEnum):
    """Names of causes, as results and scenarios write them."""

    CLOSED_PORT = "closed-port"
    RESET_ANSWER = "reset-answer"
    RESET_LINGER = "reset-linger"
    RESET_UNREAD = "reset-unread"
    RESET_LISTENER = "reset-listener"
    USER_TIMEOUT = "user-timeout"
    KEEP_ALIVE_TIMEOUT = "keep-alive-timeout"
    RESET_EXIT = "reset-exit"
    RESET_UNSEEN = "reset-unseen"
    CONNECT = "connect"
    SYN_ACK = "syn-ack"
    SYN_RETRANSMISSION = "syn-retransmission"
    WINDOW_PROBE = "window-probe"
    KEEP_ALIVE_PROBE = "keep-alive-probe"
    PROBE = "probe"
    FAST_OPEN_FALLBACK = "fast-open-fallback"
    PATH_MTU = "path-mtu"
    REORDERING_TIMEOUT = "reordering-timeout"
    FAST_RETRANSMISSION = "fast-retransmission"
    RECOVERY = "recovery"
    TAIL_LOSS_PROBE = "tail-loss-probe"
    TIMEOUT = "timeout"
    RETRANSMISSION = "retransmission"
    DATAGRAM = "datagram"
    ICMP_ERROR = "icmp-error"
    ECHO_REPLY = "echo-reply"
    RAW_PACKET = "raw-packet"
    CORK_TIMEOUT = "cork-timeout"
    MORE_TIMEOUT = "more-timeout"
    DATA = "data"
    UNLOGGED_DATA = "unlogged-data"
    FIN = "fin"
    EXIT = "exit"
    D_SACK = "d-sack"
    DELAYED_ACK = "delayed-ack"
    COMPRESSED_ACK = "compressed-ack"
    ACK = "ack"
    PROBE_ANSWER = "probe-answer"
    DUPLICATE_ACK = "duplicate-ack"
    WINDOW_UPDATE = "window-update"
    CHALLENGE_ACK = "challenge-ack"
    NOT_TAKEN = "not-taken"
    LINK_COPY = "link-copy"
    LINK_FORGED = "link-forged"
    LINK_ICMP = "link-icmp"
    APPEARED = "appeared"
    UNKNOWN = "unknown"


class CauseOrigin(Enum):
    """What names a cause: a rule, or what is known of the packet without one."""

    RULE = auto()
    LINK = auto()
    """The link's journal: it made the packet."""
    CAPTURES = auto()
    """The captures: only the receiver's shows the packet."""
    NO_RULE = auto()
    """No rule explains the packet."""
    KERNEL = auto()
    """The kernel's call stack: no rule can tell it from the outside."""


@dataclass(frozen=True, slots=True)
class CauseTraits:
    """A row of the registry.

    ``meaning`` is the packet that it explains, a noun phrase; ``source`` the RFC's section or the kernel's function.
    ``kernel`` is what a kernel's trace must show. ``first``: bytes, a SYN or a FIN sent for the first time.
    ``sent_again``: how what was sent before is sent again, after these two words; empty where nothing is. ``labels``
    are those of Wireshark that agree with it, besides those that follow from the two before. ``in_exchange``: an answer
    that belongs to the packets of the call that caused what it answers; others may come at any time. ``timing``: on the
    same kernel one run may have it and another not. ``in_ledger``: its evidence is the reason for which a connection
    ended. ``probe``: it names an old sequence number without sending bytes again. ``unordered``: of its rule and that
    of the row before at most one explains a packet, so that their order does not matter (a test shuffles them).
    """

    kind: CauseKind
    meaning: str
    source: str
    kernel: Requirement
    first: bool = False
    sent_again: str = ""
    labels: tuple[str, ...] = ()
    in_exchange: bool = False
    timing: bool = False
    in_ledger: bool = False
    probe: bool = False
    unordered: bool = False
    origin: CauseOrigin = CauseOrigin.RULE

    @property
    def agreeing_labels(self) -> frozenset[str]:
        """All labels of Wireshark (``wireshark/label_names.py``) that agree with the cause."""
        again = _AGAIN_LABELS if self.sent_again else ()
        return frozenset((*self.labels, *again, *(_FIRST_LABELS if self.first else ())))


_FIRST_LABELS = ("out_of_order",)
_AGAIN_LABELS = ("retransmission", "spurious_retransmission")
_OLD = ("TCP_OLD_SEQUENCE", "TCP_OLD_DATA", "TCP_INVALID_SEQUENCE", "TCP_ZEROWINDOW", "TCP_OVERWINDOW")
_CHALLENGED = ("TCP_INVALID_SYN", "TCP_RESET", "TCP_INVALID_SEQUENCE", "TCP_INVALID_END_SEQUENCE", *_OLD)
_NO_ROOM = ("TCP_ZEROWINDOW", "TCP_OVERWINDOW", "PROTO_MEM", "SOCKET_RCVBUFF", *_OLD)
_DISCONNECT = ("TCP_STATE", "TCP_ABORT_ON_LINGER", "TCP_DISCONNECT_WITH_DATA")
"""Linux 6.10 and newer: close with SO_LINGER 0 is tcp_disconnect, whose reason is TCP_STATE; TCP_ABORT_ON_LINGER is
that of a negative TCP_LINGER2 (__tcp_close)."""
_NO_TAKER = (
    *("NO_SOCKET", "TCP_ABORT_ON_DATA", "TCP_TIMEWAIT_SOCKET", "TCP_STATE", "TCP_INVALID_ACK_SEQUENCE"),
    *("TCP_ACK_UNSENT_DATA", "TCP_TOO_OLD_ACK", "TCP_OLD_ACK", "TCP_FLAGS"),
)

CALL, ANSWER, TIMER, EXIT, LINK, UNKNOWN = CauseKind
C = CauseName
R = CauseTraits

CAUSES: Mapping[CauseName, CauseTraits] = {
    # RST
    C.CLOSED_PORT: R(
        *(ANSWER, "RST to a SYN that nobody takes", "RFC 9293 3.10.7.1"),
        ResetSent(("NO_SOCKET", "TCP_STATE", "INVALID_SYN"), by_listener=True),
        in_exchange=True,
        in_ledger=True,
    ),
    C.RESET_ANSWER: R(
        *(ANSWER, "RST without ACK to a segment that no socket takes", "RFC 9293 3.10.7.1; tcp_v4_send_reset"),
        ResetSent(_NO_TAKER, by_listener=True),
        in_exchange=True,
    ),
    C.RESET_LINGER: R(
        *(CALL, "RST by close with SO_LINGER 0 or a negative TCP_LINGER2, or by connect to AF_UNSPEC"),
        *("__tcp_close; tcp_disconnect", ResetSent(_DISCONNECT)),
        in_ledger=True,
    ),
    C.RESET_UNREAD: R(
        *(CALL, "RST by close with unread data", "RFC 2525 2.17; __tcp_close"),
        ResetSent(("TCP_ABORT_ON_CLOSE",)),
        in_ledger=True,
    ),
    C.RESET_LISTENER: R(
        *(CALL, "RST of a connection never accepted", "inet_csk_listen_stop"),
        ResetSent(("TCP_ABORT_ON_CLOSE", *_DISCONNECT)),
        in_ledger=True,
    ),
    C.USER_TIMEOUT: R(
        *(TIMER, "RST after TCP_USER_TIMEOUT", "RFC 5482; tcp_keepalive_timer"),
        ResetSent(("TCP_KEEPALIVE_TIMEOUT",)),
        in_ledger=True,
        unordered=True,
    ),
    C.KEEP_ALIVE_TIMEOUT: R(
        *(TIMER, "RST after unanswered probes", "tcp_keepalive_timer"),
        ResetSent(("TCP_KEEPALIVE_TIMEOUT",)),
        in_ledger=True,
    ),
    C.RESET_EXIT: R(
        *(EXIT, "RST by the end of the process", "do_exit; __tcp_close"),
        ResetSent(("TCP_ABORT_ON_CLOSE", *_DISCONNECT)),
        in_ledger=True,
    ),
    C.RESET_UNSEEN: R(CALL, "RST by a host without an observer", "tcp_send_active_reset", ResetSent(), unordered=True),
    # SYN
    C.CONNECT: R(
        *(CALL, "the first SYN", "RFC 9293 3.10.1; RFC 7413"),
        StateEntered(("SYN_SENT",)),
        first=True,
    ),
    C.SYN_ACK: R(ANSWER, "SYN+ACK", "RFC 9293 3.10.7.2", SynAnswered(), first=True, in_exchange=True, unordered=True),
    C.SYN_RETRANSMISSION: R(
        *(TIMER, "SYN or SYN+ACK sent again", "RFC 6298; tcp_syn_retries"),
        SynRetransmitted(),
        sent_again="because nothing answered",
    ),
    # probes
    C.WINDOW_PROBE: R(
        *(TIMER, "asks for the window while it is 0", "RFC 9293 3.8.6.1; tcp_send_probe0"),
        DroppedAsOld(_OLD),
        labels=("zero_window_probe",),
        probe=True,
    ),
    C.KEEP_ALIVE_PROBE: R(
        *(TIMER, "asks whether the peer is there", "RFC 9293 3.8.4; tcp_keepalive_timer"),
        DroppedAsOld(_OLD),
        labels=("keep_alive",),
        probe=True,
    ),
    C.PROBE: R(UNKNOWN, "looks like a probe without a reason", "RFC 9293 3.8.4", DroppedAsOld(_OLD), probe=True),
    # sent again
    C.FAST_OPEN_FALLBACK: R(
        *(ANSWER, "the SYN's bytes again as its answer did not take them", "RFC 7413 4.2.2; tcp_rcv_fastopen_synack"),
        Retransmitted(("Loss",)),
        sent_again="because the answer to the SYN did not take it",
        in_exchange=True,
    ),
    C.PATH_MTU: R(
        *(ANSWER, "bytes cut anew as ICMP says that they were too big", "RFC 1191; RFC 8201; tcp_simple_retransmit"),
        Retransmitted(("Loss", "Recovery")),
        sent_again="in smaller segments because ICMP said it was too big",
    ),
    C.REORDERING_TIMEOUT: R(
        *(TIMER, "bytes again as the wait for reordered ones is over", "RFC 8985 6.2; tcp_rack_reo_timeout"),
        Retransmitted(("Recovery", "Loss"), timeout=False),
        sent_again="by the timer for reordered segments",
        labels=("fast_retransmission",),
        timing=True,
    ),
    C.FAST_RETRANSMISSION: R(
        *(ANSWER, "bytes again as ACKs show a loss", "RFC 5681 3.2; RFC 8985"),
        Retransmitted(("Recovery", "Loss"), timeout=False),
        sent_again="because ACKs showed a loss",
        labels=("fast_retransmission",),
    ),
    C.RECOVERY: R(
        *(ANSWER, "bytes again that were out at a loss", "RFC 6582; tcp_xmit_retransmit_queue"),
        Retransmitted(("Recovery", "Loss"), timeout=False),
        sent_again="after a loss was found",
        labels=("fast_retransmission",),
    ),
    C.TAIL_LOSS_PROBE: R(
        *(TIMER, "the last bytes again", "RFC 8985 7; tcp_send_loss_probe"),
        Retransmitted(("Open", "Disorder", "CWR"), timeout=False),
        sent_again="by a tail-loss probe",
        timing=True,
    ),
    C.TIMEOUT: R(
        *(TIMER, "the first unacknowledged bytes again", "RFC 6298; tcp_retransmit_timer"),
        Retransmitted(("Loss",), timeout=True),
        sent_again="by the retransmission timeout",
    ),
    C.RETRANSMISSION: R(
        *(TIMER, "bytes again: probe or timeout", "RFC 6298; RFC 8985"),
        Retransmitted(),
        sent_again="by a timer",
    ),
    # UDP and ICMP
    C.DATAGRAM: R(CALL, "a UDP datagram", "RFC 768; udp_sendmsg", Untraced()),
    C.ICMP_ERROR: R(
        *(ANSWER, "an ICMP error about a packet", "RFC 792; RFC 4443"),
        AnsweredDropped(("NO_SOCKET", "IP_NOPROTO", "FRAG_REASM_TIMEOUT")),
        in_exchange=True,
        unordered=True,
    ),
    C.ECHO_REPLY: R(ANSWER, "an ICMP echo reply", "RFC 792; RFC 4443", Untraced(), in_exchange=True, unordered=True),
    C.RAW_PACKET: R(
        *(CALL, "a packet of a raw, ping or packet socket", "raw(7); packet(7); icmp(7)"),
        Untraced(),
        origin=CauseOrigin.KERNEL,
    ),
    # bytes and FIN for the first time
    C.CORK_TIMEOUT: R(TIMER, "bytes that TCP_CORK held", "tcp(7); tcp_probe_timer", NotRetransmitted(), first=True),
    C.MORE_TIMEOUT: R(
        TIMER, "bytes that MSG_MORE held", "send(2); tcp_probe_timer", NotRetransmitted(), first=True, unordered=True
    ),
    C.DATA: R(CALL, "new bytes, by byte range", "tcp_sendmsg", NotRetransmitted(), first=True, unordered=True),
    C.UNLOGGED_DATA: R(
        UNKNOWN, "new bytes, or a datagram, that no logged call wrote", "", NotRetransmitted(), first=True
    ),
    C.FIN: R(
        *(CALL, "FIN by shutdown or the last close", "RFC 9293 3.10.4; tcp_shutdown, __tcp_close"),
        StateEntered(("FIN_WAIT1", "LAST_ACK")),
        first=True,
    ),
    C.EXIT: R(
        *(
            EXIT,
            "FIN by the end of the process, or by an exec that closes the socket",
            "do_exit, begin_new_exec; __fput",
        ),
        StateEntered(("FIN_WAIT1", "LAST_ACK")),
        first=True,
    ),
    # ACKs
    C.D_SACK: R(
        *(ANSWER, "reports bytes received twice", "RFC 2883"),
        AnsweredDropped((*_OLD, "TCP_OFOMERGE")),
        labels=("duplicate_ack",),
    ),
    C.DELAYED_ACK: R(
        *(TIMER, "covers what came, later", "RFC 9293 3.8.6.3; tcp_delack_timer"),
        NotRetransmitted(),
        in_exchange=True,
        timing=True,
    ),
    C.COMPRESSED_ACK: R(
        *(TIMER, "ACKs to several segments as one", "tcp_compressed_ack_kick"),
        NotRetransmitted(),
        labels=("duplicate_ack",),
        timing=True,
    ),
    C.ACK: R(ANSWER, "covers what came", "RFC 9293 3.10.7.4; RFC 5681 4.2", NotRetransmitted(), in_exchange=True),
    C.PROBE_ANSWER: R(
        *(ANSWER, "repeats the ACK to a probe", "RFC 9293 3.8.4"),
        AnsweredDropped(_OLD),
        labels=("keep_alive_ack", "zero_window_probe_ack", "duplicate_ack"),
    ),
    C.DUPLICATE_ACK: R(
        *(ANSWER, "repeats the ACK to old or out-of-order data", "RFC 5681 4.2; tcp_send_dupack"),
        AnsweredDropped((*_OLD, "TCP_OFOMERGE")),
        labels=("duplicate_ack",),
    ),
    C.WINDOW_UPDATE: R(CALL, "the window grows", "tcp_cleanup_rbuf", NotRetransmitted(), labels=("window_update",)),
    C.CHALLENGE_ACK: R(
        *(ANSWER, "repeats the ACK to what cannot be", "RFC 5961; tcp_send_challenge_ack"),
        AnsweredDropped(_CHALLENGED),
        labels=("duplicate_ack",),
        in_exchange=True,
    ),
    C.NOT_TAKEN: R(
        *(ANSWER, "repeats the ACK to data it had no room for", "RFC 9293 3.10.7.4; tcp_data_queue"),
        AnsweredDropped(_NO_ROOM),
        labels=("duplicate_ack",),
    ),
    # without a rule
    C.LINK_COPY: R(LINK, "a copy that the link made", "", Untraced(), origin=CauseOrigin.LINK),
    C.LINK_FORGED: R(LINK, "a packet that the link made up", "", Untraced(), origin=CauseOrigin.LINK),
    C.LINK_ICMP: R(LINK, "an ICMP error of the link", "", Untraced(), origin=CauseOrigin.LINK),
    C.APPEARED: R(UNKNOWN, "a packet that its sender's capture lacks", "", Untraced(), origin=CauseOrigin.CAPTURES),
    C.UNKNOWN: R(UNKNOWN, "what no rule explains", "", NotRetransmitted(), origin=CauseOrigin.NO_RULE),
}
"""Every cause. Rows are in the order in which their rules are tried (``analysis/causes/find_causes.py``)."""


class Refusal(Enum):
    """Why a SYN was answered by a RST."""

    NOTHING_LISTENS = auto()
    NOT_OBSERVED = auto()
    """Nobody took it; whether anything listened was not observed."""
    NOT_ACCEPTED = auto()
    """Something listened, and did not take it."""
    CONNECTION_ENDED = auto()
    """It came for a connection that had ended."""


class Basis(StrEnum):
    """What a cause rests on."""

    KERNEL = "kernel"
    """The kernel's own call stack as it sent the packet."""
    INFERRED = "inferred"
    """What captures and calls show: a conclusion."""


_NAME_OTHERS = frozenset(
    (
        *(CauseName.ACK, CauseName.FAST_RETRANSMISSION, CauseName.RECOVERY, CauseName.PATH_MTU),
        *(CauseName.RETRANSMISSION, CauseName.TIMEOUT, CauseName.TAIL_LOSS_PROBE),
    )
)
"""Causes whose packets are what it covers, repeats or was shown to be lost by, and not in any case what it answers."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a packet exists, with its evidence.

    ``calls`` are indexes into the sender's calls (``Call.n``); ``packets`` are crossing numbers that it answers or
    repeats; ``refusal`` is the reason for which a SYN was refused, of a ``closed-port`` only. ``alternatives`` are the
    other causes that it may be, where what was seen does not tell them apart. ``sent_by`` is in the course of what it
    was sent, where the evidence says so without the kernel's word, else None. ``origin`` is what the kernel's call
    stack says, None without one; ``inferred`` is, beside a cause of the ``basis`` ``kernel``, what captures and calls
    led to.
    """

    rule: CauseName
    evidence: Evidence
    calls: tuple[int, ...] = ()
    packets: tuple[int, ...] = ()
    refusal: Refusal | None = None
    alternatives: tuple[CauseName, ...] = ()
    basis: Basis = Basis.INFERRED
    sent_by: SentBy | None = None
    origin: PacketOrigin | None = None
    inferred: Cause | None = None

    @property
    def differs(self) -> bool:
        """Whether the kernel says something else than what had been inferred: another cause, or another packet."""
        before = self.inferred
        if before is None or before.rule is CauseName.UNKNOWN:
            return False
        if self.rule not in (before.rule, *before.alternatives) and before.rule not in self.alternatives:
            return True
        origin = self.origin
        if origin is None or origin.packet is None or not origin.certain or not before.packets:
            return False
        if before.rule in _NAME_OTHERS:
            return before.sent_by is not None and before.sent_by.packet not in (None, origin.packet)
        return self.kind is CauseKind.ANSWER and origin.packet not in before.packets

    @property
    def kind(self) -> CauseKind:
        """The family of causes."""
        return CAUSES[self.rule].kind

    @property
    def traits(self) -> CauseTraits:
        """The row of the registry."""
        return CAUSES[self.rule]
