"""What is wrong with a connection, who did it, what proves it and what it cost: the registry of findings. Pure data.

:data:`FINDINGS` is the only place that lists them. A rule of ``diagnosis/`` makes a :class:`Finding` of facts;
``report/text/finding_text.py`` makes its sentence, what would disprove it and what to do. The module is long because
it is one registry with the values that its rows are made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from testbed.model.evidence import Part
from testbed.model.hosts import Host
from testbed.model.references import CallRef


class FindingName(StrEnum):
    """Names of findings, as results and scenarios write them."""

    # how a connection opens
    CONNECTION_REFUSED = "connection-refused"
    FILTERED = "filtered"
    ACCEPT_QUEUE_FULL = "accept-queue-full"
    SYN_BACKLOG_FULL = "syn-backlog-full"
    SYN_COOKIES = "syn-cookies"
    TIME_WAIT_EXHAUSTION = "time-wait-exhaustion"
    SLOW_CONNECT = "slow-connect"
    SLOW_NAME_RESOLUTION = "slow-name-resolution"
    CONNECTION_PER_REQUEST = "connection-per-request"
    NEVER_ACCEPTED = "never-accepted"
    # how it ends
    UNREAD_DATA_RESET = "unread-data-reset"
    LINGER_ZERO_ABORT = "linger-zero-abort"
    KEEP_ALIVE_RACE = "keep-alive-race"
    SENT_AFTER_CLOSE = "sent-after-close"
    PROCESS_DIED = "process-died"
    FORGED_RESET = "forged-reset"
    CLOSE_WAIT_FORGOTTEN = "close-wait-forgotten"
    FIN_WAIT_FORGOTTEN = "fin-wait-forgotten"
    IDLE_FORGOTTEN = "idle-forgotten"
    KEEP_ALIVE_TOO_LATE = "keep-alive-too-late"
    PATH_DOWN = "path-down"
    # what it waits for
    REQUEST_NEVER_READ = "request-never-read"
    ZERO_WINDOW = "zero-window"
    WRITE_DEADLOCK = "write-deadlock"
    NAGLE_DELAYED_ACK = "nagle-delayed-ack"
    TINY_WRITES = "tiny-writes"
    SMALL_BUFFER = "small-buffer"
    SLOW_START_AFTER_IDLE = "slow-start-after-idle"
    # what the path does
    MTU_BLACK_HOLE = "mtu-black-hole"
    MSS_CLAMPED = "mss-clamped"
    RANDOM_LOSS = "random-loss"
    BURST_LOSS = "burst-loss"
    TAIL_LOSS = "tail-loss"
    ACK_LOSS = "ack-loss"
    SPURIOUS_RETRANSMISSION = "spurious-retransmission"
    REORDERING = "reordering"
    DUPLICATED = "duplicated"
    BUFFERBLOAT = "bufferbloat"
    RATE_LIMIT = "rate-limit"
    PAYLOAD_ALTERED = "payload-altered"
    ADDRESS_REWRITTEN = "address-rewritten"
    TTL_REWRITTEN = "ttl-rewritten"
    CHECKSUM_ERROR = "checksum-error"
    CLOCK_WRONG = "clock-wrong"
    # datagrams
    DATAGRAM_TOO_LARGE = "datagram-too-large"
    FRAGMENTS_LOST = "fragments-lost"
    UDP_RECEIVE_OVERRUN = "udp-receive-overrun"
    PORT_UNREACHABLE = "port-unreachable"


class Severity(StrEnum):
    """How bad: data was lost or something did not work; it worked, but slowly or by luck; worth knowing."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Remedy(StrEnum):
    """What kind of thing avoids it."""

    OPTION = "socket option"
    CALLS = "which calls, or their order"
    SETTING = "setting of the host"
    PATH = "what is on the path"
    SERVICE = "whether and where something listens"
    NOTHING = "nothing"


class Need(StrEnum):
    """What a rule must have seen to decide."""

    CALLS = "the calls of the host that did it"
    BOTH_ENDS = "captures of both ends"
    ONE_CLOCK = "a clock that fits both captures"
    HANDSHAKE = "the opening of the connection"
    ALL_PACKETS = "fewer packets, all of which can be looked at"


class Culprit(StrEnum):
    """Who did it."""

    CLIENT_PROGRAM = "client program"
    CLIENT_KERNEL = "client kernel"
    PATH = "path"
    SERVER_KERNEL = "server kernel"
    SERVER_PROGRAM = "server program"
    UNDECIDED = "not decidable"


def program_of(host: Host) -> Culprit:
    """Return a host's program as who did it."""
    return Culprit.CLIENT_PROGRAM if host == "client" else Culprit.SERVER_PROGRAM


def kernel_of(host: Host) -> Culprit:
    """Return a host's kernel as who did it."""
    return Culprit.CLIENT_KERNEL if host == "client" else Culprit.SERVER_KERNEL


class Unknown(StrEnum):
    """Why it is not decidable who did it, or which of several findings it is."""

    NONE = ""
    RACE = "both ends may do what they did; what they sent crossed on the way"
    ONE_END = "not decidable from one end"
    NO_CALLS = "not decidable without the calls"
    PATH_OR_HOST = "not decidable: the path, or the host beyond it"
    NOT_OPENED = "the capture does not show how the connection was opened"


class Certainty(StrEnum):
    """What a finding rests on."""

    PROVEN = "proven"
    """What was seen cannot come about otherwise."""
    INFERRED = "inferred"
    """A conclusion: what was seen fits nothing else that is likely."""


@dataclass(frozen=True, slots=True)
class FindingTraits:
    """A row of the registry.

    ``severity`` is the worst that it can have. ``meaning`` is what it is, a noun phrase. ``reference`` is the RFC or
    the kernel's document. ``scenario`` shows it in isolation, empty where none does. ``needs`` is what must have been
    seen to find it.
    """

    severity: Severity
    meaning: str
    remedy: Remedy
    reference: str
    scenario: str = ""
    needs: tuple[Need, ...] = ()


@dataclass(frozen=True, slots=True)
class Cost:
    """What it cost: bytes lost of all that were written or sent, time waited (ns) of the connection's whole time."""

    bytes: int = 0
    of_bytes: int = 0
    wait: int = 0
    of_wait: int = 0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, as facts.

    ``flow`` is the connection's index, None where it is about none or about several. ``variant`` says which of its
    sentences holds, ``facts`` are what that sentence names, by the names in it. ``packets`` (numbers of crossings) and
    ``calls`` prove it; ``counters`` are those of the kernel that moved with it, and by how much.
    """

    name: FindingName
    severity: Severity
    who: Culprit
    flow: int | None
    facts: Mapping[str, Part]
    variant: str = ""
    unknown: Unknown = Unknown.NONE
    packets: tuple[int, ...] = ()
    calls: tuple[CallRef, ...] = ()
    counters: Mapping[str, int] = field(default_factory=dict)
    cost: Cost = Cost()
    certainty: Certainty = Certainty.PROVEN


@dataclass(frozen=True, slots=True)
class Undecided:
    """Something that is one of several findings, or that may be one: what was seen does not tell."""

    names: tuple[FindingName, ...]
    why: Unknown
    flow: int | None
    packets: tuple[int, ...] = ()


class Distrust(StrEnum):
    """Why captures cannot be trusted in every respect."""

    TRUNCATED = "truncated"
    """Packets were cut as they were captured (snapshot length)."""
    DROPPED = "dropped"
    """The tap dropped packets, or its file ends early."""
    ONE_DIRECTION = "one-direction"
    """Of a connection only one direction was captured."""
    OFFLOADS = "offloads"
    """Segments larger than the path takes: captured before the network card cut them, or after it joined them."""
    DUPLICATED = "duplicated"
    """Packets were captured twice."""
    CLOCK_STEP = "clock-step"
    """The clock of a capture was set while it went on."""
    BEGAN_LATE = "began-late"
    """The capture began in the middle of a connection."""
    CALLS_INCOMPLETE = "calls-incomplete"
    """The log of calls is not complete."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """One reason for distrust: in which capture, how many packets or connections, findings that cannot be made."""

    what: Distrust
    host: Host | None
    count: int
    prevents: tuple[FindingName, ...] = ()


class WaitKind(StrEnum):
    """Where the time of a connection went, in the order of a picture."""

    CONNECTING = "connecting"
    CLIENT_PROGRAM = "client program"
    SENDING = "sending"
    NAGLE = "Nagle"
    DELAYED_ACK = "delayed ACK"
    RETRANSMISSION = "retransmission"
    WINDOW = "receive window"
    CONGESTION = "congestion window"
    SERVER_PROGRAM = "server program"
    LINK = "link"


@dataclass(frozen=True, slots=True)
class TimeAccount:
    """Where one connection's time went, ns: the parts add up to ``total`` exactly; kinds without any are left out.

    ``total`` is from its first packet (or the call that opened it) to its last.
    """

    flow: int
    total: int
    parts: Mapping[WaitKind, int]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found, the dearest first; what could not be decided; where the time went; what to distrust.

    ``looked_for`` are the findings whose rules were tried; ``not_visible`` those that what was seen cannot show, with
    what they need. ``looked_at`` is, of large captures, of how many connections every packet was looked at, and of how
    many there are; None where that is all.
    """

    findings: tuple[Finding, ...] = ()
    undecided: tuple[Undecided, ...] = ()
    time: tuple[TimeAccount, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    looked_for: tuple[FindingName, ...] = ()
    not_visible: Mapping[FindingName, Need] = field(default_factory=dict)
    looked_at: tuple[int, int] | None = None


F = FindingName
T = FindingTraits
ERROR, WARNING, NOTE = Severity
_CALLS, _ENDS, _OPENING = (Need.CALLS,), (Need.BOTH_ENDS,), (Need.HANDSHAKE,)
_TIMED = (*_ENDS, Need.ONE_CLOCK)
OPTION, ORDER, SETTING, ON_PATH, SERVICE, NOTHING = Remedy

FINDINGS: Mapping[FindingName, FindingTraits] = {
    F.CONNECTION_REFUSED: T(*(ERROR, "a connection that was refused", SERVICE, "RFC 9293 3.10.7.1"), "closed-port"),
    F.FILTERED: T(*(ERROR, "a connection to which nothing answered", ON_PATH, "RFC 2979 2"), "connect-filtered"),
    F.ACCEPT_QUEUE_FULL: T(
        *(ERROR, "SYNs dropped as the accept queue was full", ORDER, "listen(2)"), "accept-queue-full"
    ),
    F.SYN_BACKLOG_FULL: T(
        *(ERROR, "SYNs dropped as too many were half open", SETTING, "RFC 4987; tcp_max_syn_backlog"),
        "syn-backlog-full",
        _CALLS,
    ),
    F.SYN_COOKIES: T(*(NOTE, "options lost by SYN cookies", SETTING, "RFC 4987 3.6; tcp_syncookies"), "syn-cookies"),
    F.TIME_WAIT_EXHAUSTION: T(
        *(ERROR, "no local port, all in TIME-WAIT", ORDER, "RFC 9293 3.4.2; ip_local_port_range"),
        "time-wait-exhaustion",
        _CALLS,
    ),
    F.SLOW_CONNECT: T(
        *(WARNING, "an opening that had to be repeated", ON_PATH, "RFC 6298 2; tcp_syn_retries"), "lost-syn"
    ),
    F.SLOW_NAME_RESOLUTION: T(
        *(WARNING, "a name that took long to resolve", SETTING, "RFC 1035; resolv.conf(5)"), "slow-name-resolution"
    ),
    F.CONNECTION_PER_REQUEST: T(
        *(NOTE, "a connection for each request", ORDER, "RFC 9112 9.3"), "connection-per-request"
    ),
    F.NEVER_ACCEPTED: T(
        *(ERROR, "a connection reset with its listening socket, as nobody had accepted it", ORDER, "listen(2)"),
        "listener-never-accepts",
        _CALLS,
    ),
    F.UNREAD_DATA_RESET: T(
        *(ERROR, "a close with unread data, whose RST destroyed data", ORDER, "RFC 2525 2.17"),
        "close-unread-destroys",
        _CALLS,
    ),
    F.LINGER_ZERO_ABORT: T(
        *(ERROR, "a close with SO_LINGER 0, which threw data away", OPTION, "socket(7)"), "linger-zero-abort", _CALLS
    ),
    F.KEEP_ALIVE_RACE: T(
        *(ERROR, "a request that crossed the close of its connection", ORDER, "RFC 9112 9.5"), "keep-alive-race"
    ),
    F.SENT_AFTER_CLOSE: T(
        *(WARNING, "bytes that came when their receiver had closed its socket", ORDER, "RFC 9293 3.6.1"),
        "write-after-close",
    ),
    F.PROCESS_DIED: T(*(ERROR, "a program that died in the middle", ORDER, "signal(7)"), "process-died", _CALLS),
    F.FORGED_RESET: T(*(ERROR, "a RST that the peer never sent", ON_PATH, "RFC 5961; RFC 3360"), "forged-rst", _ENDS),
    F.CLOSE_WAIT_FORGOTTEN: T(
        *(WARNING, "a connection never closed after the peer's FIN", ORDER, "RFC 9293 3.6"),
        "close-wait-forgotten",
        _CALLS,
    ),
    F.FIN_WAIT_FORGOTTEN: T(
        *(WARNING, "a half-closed connection whose peer never closes", ORDER, "tcp_fin_timeout"), "fin-wait-forgotten"
    ),
    F.IDLE_FORGOTTEN: T(
        *(ERROR, "an idle connection that the path forgot", OPTION, "RFC 5382 REQ-5"), "idle-forgotten", _ENDS
    ),
    F.KEEP_ALIVE_TOO_LATE: T(
        *(WARNING, "keep-alive that begins after the path forgot", OPTION, "tcp(7), TCP_KEEPIDLE"),
        "keep-alive-too-late",
        _CALLS,
    ),
    F.PATH_DOWN: T(
        *(ERROR, "a path on which nothing passes any more", ON_PATH, "RFC 9293 3.8.3; tcp_retries2"),
        "peer-vanishes",
        _ENDS,
    ),
    F.REQUEST_NEVER_READ: T(
        *(ERROR, "data that its program never read", ORDER, "RFC 9293 3.9.1.3"), "request-never-read", _CALLS
    ),
    F.ZERO_WINDOW: T(*(WARNING, "a receiver that did not read", ORDER, "RFC 9293 3.8.6.1"), "zero-window"),
    F.WRITE_DEADLOCK: T(
        *(ERROR, "two programs that write and do not read", ORDER, "RFC 9293 3.8.6.1"), "write-deadlock"
    ),
    F.NAGLE_DELAYED_ACK: T(
        *(WARNING, "small writes that waited for a delayed ACK", OPTION, "RFC 9293 3.7.4; RFC 1122 4.2.3.2"),
        "nagle-delayed-ack",
    ),
    F.TINY_WRITES: T(*(NOTE, "a stream written in tiny pieces", ORDER, "RFC 896"), "tiny-writes", _CALLS),
    F.SMALL_BUFFER: T(
        *(WARNING, "a buffer too small for the path", SETTING, "RFC 7323 1.1; tcp_rmem"), "small-buffer", _OPENING
    ),
    F.SLOW_START_AFTER_IDLE: T(
        *(NOTE, "slow start again after a pause", SETTING, "RFC 5681 4.1; tcp_slow_start_after_idle"),
        "slow-start-after-idle",
    ),
    F.MTU_BLACK_HOLE: T(
        *(ERROR, "a path that drops large packets and does not say so", ON_PATH, "RFC 2923; RFC 4821"),
        "mtu-black-hole",
        _ENDS,
    ),
    F.MSS_CLAMPED: T(
        *(NOTE, "a segment size lowered on the path", ON_PATH, "RFC 9293 3.7.1"), "mss-clamped", (*_ENDS, *_OPENING)
    ),
    F.RANDOM_LOSS: T(*(WARNING, "packets lost one at a time", ON_PATH, "RFC 5681"), "random-loss", _ENDS),
    F.BURST_LOSS: T(*(WARNING, "packets lost in a row", ON_PATH, "RFC 5681"), "burst-loss", _ENDS),
    F.TAIL_LOSS: T(*(WARNING, "the last packet lost", ON_PATH, "RFC 8985 7"), "lost-tail", _ENDS),
    F.ACK_LOSS: T(*(WARNING, "acknowledgments lost", ON_PATH, "RFC 3449"), "ack-loss", _ENDS),
    F.SPURIOUS_RETRANSMISSION: T(
        *(NOTE, "bytes sent again that had arrived", SETTING, "RFC 3522; RFC 5682"), "spurious-retransmission", _TIMED
    ),
    F.REORDERING: T(*(NOTE, "packets that overtook others", ON_PATH, "RFC 4737"), "reordering", _TIMED),
    F.DUPLICATED: T(*(NOTE, "packets that the path doubled", ON_PATH, "RFC 2883"), "duplicated-segment", _ENDS),
    F.BUFFERBLOAT: T(
        *(WARNING, "delay that grows with what is on its way", ON_PATH, "RFC 7567"), "bufferbloat", _TIMED
    ),
    F.RATE_LIMIT: T(*(NOTE, "a path that carries so much and no more", ON_PATH, "RFC 2309"), "rate-limit", _TIMED),
    F.PAYLOAD_ALTERED: T(
        *(ERROR, "bytes that were changed on the way", ON_PATH, "RFC 9293 3.1"), "payload-altered", _ENDS
    ),
    F.ADDRESS_REWRITTEN: T(*(NOTE, "addresses or ports that were rewritten", NOTHING, "RFC 3022"), "", _ENDS),
    F.TTL_REWRITTEN: T(*(NOTE, "a TTL that was set anew", NOTHING, "RFC 791 3.2"), "ttl-rewritten", _ENDS),
    F.CHECKSUM_ERROR: T(
        *(WARNING, "packets that arrived with a wrong checksum", ON_PATH, "RFC 1071"), "corrupted-segment", _ENDS
    ),
    F.CLOCK_WRONG: T(*(NOTE, "clocks of the two captures that differ", SETTING, "RFC 5905"), "", _ENDS),
    F.DATAGRAM_TOO_LARGE: T(*(ERROR, "a datagram larger than can be sent", ORDER, "udp(7)"), "udp-too-large", _CALLS),
    F.FRAGMENTS_LOST: T(
        *(WARNING, "datagrams lost with one of their fragments", ORDER, "RFC 8085 3.2"), "fragments-lost", _ENDS
    ),
    F.UDP_RECEIVE_OVERRUN: T(
        *(ERROR, "datagrams dropped as the receive buffer was full", OPTION, "udp(7), SO_RCVBUF"),
        "udp-receive-overrun",
        _CALLS,
    ),
    F.PORT_UNREACHABLE: T(
        *(ERROR, "datagrams to a port that nothing takes", SERVICE, "RFC 1122 4.1.3.1"), "udp-port-unreachable"
    ),
}
"""Every finding, in the order of the list that says what was looked for."""
BY_THE_MACHINE = frozenset({F.REORDERING})
"""Notes that a lab's own machine brings about: its virtual wires have a queue for each processor, and packets of one
connection that are sent from two of them may overtake each other (`enqueue_to_backlog`, net/core/dev.c)."""
