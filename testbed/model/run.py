"""The words of the project as values (see docs/architecture.md). Pure data: no I/O, no clock.

Times are integers, nanoseconds since the Unix epoch, on the captures' clock. Hosts are named ``client`` and
``server``. Stream offsets count payload bytes of one direction of one connection from 0; relative sequence
numbers count as Wireshark's do (SYN = 0, first data byte = 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from testbed.model.kernel_log import KernelLog, Testimony

Host = Literal["client", "server"]
HOSTS: tuple[Host, Host] = ("client", "server")


def peer_of(host: Host) -> Host:
    """Return the other host."""
    return "server" if host == "client" else "client"


class Outcome(StrEnum):
    """How a run ended. ``exit_code`` is what `invoke run` returns for it."""

    PASS = "pass"  # noqa: S105 - not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    UNSUPPORTED = "unsupported"

    @property
    def exit_code(self) -> int:
        """0 pass, 1 fail, 3 inconclusive, 4 unsupported (2 is bad use)."""
        return {"pass": 0, "fail": 1, "inconclusive": 3, "unsupported": 4}[self.value]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address and a port; ``address`` is canonical text (IPv6 compressed, no brackets)."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class SocketInfo:
    """What the observer knew of the socket a call was made on.

    ``cookie`` is the kernel's identity of the socket (SO_COOKIE), the same in every process that shares it and
    never used twice in one kernel; 0 when unknown. ``protocol`` is ``tcp``, ``udp`` or ``other``.
    """

    cookie: int
    protocol: str
    local: Endpoint | None = None
    peer: Endpoint | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One socket API call as an observer saw it.

    ``n`` numbers the calls of one host in order of their start, from 0. ``result`` is the C return value, ``errno``
    the symbolic name (``ECONNREFUSED``) or None. ``data`` holds the first bytes written or read (up to
    ``DATA_PREFIX``), ``length`` how many bytes were transferred (0 for calls that move none), ``digest`` XXH3-64
    of all of them as 16 hex digits or None. ``direction`` is ``out`` for bytes given to the kernel, ``in`` for
    bytes taken from it, None otherwise. ``end`` is None for a call that never returned (process killed or still
    blocked at the end). ``caller`` is the return address as ``module+0xoffset``, ``source`` ``file:line`` where
    resolved.
    """

    n: int
    host: Host
    pid: int
    tid: int
    program: str
    name: str
    fd: int
    args: dict[str, Any]
    start: int
    end: int | None
    result: int
    errno: str | None = None
    socket: SocketInfo | None = None
    direction: Literal["out", "in"] | None = None
    length: int = 0
    data: bytes = b""
    digest: str | None = None
    caller: str | None = None
    source: str | None = None

    def __str__(self) -> str:
        return f"{self.host} #{self.n} {self.name}"


DATA_PREFIX = 64
"""How many payload bytes of a call an observer keeps for showing."""


@dataclass(frozen=True, slots=True)
class Change:
    """One header field (or ``payload``) that differs between the two ends of a crossing."""

    what: str
    at_sender: str
    at_receiver: str


@dataclass(frozen=True, slots=True)
class Crossing:
    """One packet between the two hosts, joined from both captures.

    ``n`` numbers crossings in time order from 0. ``flow`` indexes :attr:`Joined.flows`, None for packets of no flow
    (ICMP). ``sender`` is the host whose address is the source. ``sent`` is its time in the sender's capture and
    ``arrived`` in the receiver's (ns); None where it was not seen. ``at_client``/``at_server`` are frame numbers (from
    1, as Wireshark counts) or None. ``flags`` are tcpdump's letters (``S``, ``S.``, ``.``, ``P.``, ``F.``, ``R``),
    empty for UDP. ``seq`` and ``ack`` are relative (``ack`` None without the ACK flag); ``raw_seq`` is as on the wire.
    ``start`` is the stream offset of the first payload byte (TCP) or the datagram's number within its direction
    (UDP). ``payload`` is what the sender's capture shows (the receiver's if it was seen only there). ``link`` says what
    the link did to it, from its journal; ``made`` that the link itself made it, and what it is.
    """

    n: int
    flow: int | None
    sender: Host
    protocol: str
    flags: str
    seq: int
    ack: int | None
    raw_seq: int
    window: int
    start: int
    length: int
    payload: bytes
    sent: int | None
    arrived: int | None
    at_client: int | None
    at_server: int | None
    ttl: int = 0
    options: dict[str, Any] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()
    note: str = ""
    link: tuple[str, ...] = ()
    made: Literal["", "copy", "forged", "icmp"] = ""

    @property
    def end(self) -> int:
        """Stream offset after the last payload byte."""
        return self.start + self.length

    @property
    def fate(self) -> Literal["crossed", "lost", "appeared"]:
        """``lost``: seen only where it was sent; ``appeared``: seen only where it arrived."""
        if self.sent is None:
            return "appeared"
        return "lost" if self.arrived is None else "crossed"

    @property
    def time(self) -> int:
        """The earliest time at which a capture saw it."""
        if self.sent is None:
            assert self.arrived is not None  # noqa: S101 - seen at one end at least
            return self.arrived
        return self.sent


@dataclass(frozen=True, slots=True)
class Flow:
    """One TCP connection or UDP conversation, named from the client host's side.

    A reused four-tuple (a new SYN with another initial sequence number) is another flow. ``client_isn`` and
    ``server_isn`` are raw initial sequence numbers, None where no SYN was seen (then offsets count from the first
    byte seen).
    """

    index: int
    protocol: str
    client: Endpoint
    server: Endpoint
    client_isn: int | None = None
    server_isn: int | None = None

    def endpoint(self, host: Host) -> Endpoint:
        """Return the flow's endpoint on one host."""
        return self.client if host == "client" else self.server


@dataclass(frozen=True, slots=True)
class Joined:
    """Both captures as one: crossings in time order and what else was in the files.

    ``other`` counts frames that are not between the two hosts or not IP, by a short name (``ARP``), for each host's
    capture.
    """

    flows: tuple[Flow, ...]
    crossings: tuple[Crossing, ...]
    packets: dict[Host, int]
    other: dict[Host, dict[str, int]]


class CauseKind(StrEnum):
    """Families of causes."""

    CALL = "call"
    ANSWER = "answer"
    TIMER = "timer"
    EXIT = "exit"
    LINK = "link"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a packet exists, with its evidence.

    ``rule`` is the rule's name in ``analysis/causes/find_causes.py``; ``calls`` are indexes into the sender's calls
    (``Call.n``); ``packets`` are crossing numbers that it answers or repeats; ``evidence`` is one plain sentence.
    """

    kind: CauseKind
    rule: str
    evidence: str
    calls: tuple[int, ...] = ()
    packets: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Count:
    """One ledger point: how many bytes (or datagrams) and the digest of them in order; None where not observable."""

    bytes: int | None
    digest: str | None = None
    datagrams: int | None = None


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One direction of one flow followed from application to application.

    ``written``: accepted by the sender's socket calls; ``sent``: distinct stream bytes on the sender's wire;
    ``arrived``: distinct stream bytes on the receiver's wire; ``acknowledged``: covered by the receiver's ACKs as
    seen at the sender (None for UDP); ``read``: returned to the receiver's application.
    ``difference`` names the first place where content differs (point, offset, bytes), None when all agree as far
    as they go. ``unread`` counts bytes that arrived but were never read, None if ``read`` is unknown.
    ``lost_at`` is the first step at which bytes are missing: ``sent``, ``arrived``, ``acknowledged`` or ``read``.
    """

    flow: int
    sender: Host
    written: Count
    sent: Count
    arrived: Count
    acknowledged: Count
    read: Count
    unread: int | None = None
    difference: str | None = None
    lost_at: str | None = None
    close: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation after the run: ``ok`` None means that the observation cannot support an answer.

    ``share`` is in how many of the repeats it must hold, up to 1; None: in each, and so in this run.
    """

    text: str
    ok: bool | None
    expected: str = ""
    actual: str = ""
    where: str = ""
    share: float | None = None


@dataclass(frozen=True, slots=True)
class Program:
    """What a host ran and how that ended.

    ``exit_status`` is the exit code, or None when a ``signal`` (name, ``SIGSEGV``) ended it. ``stopped_by_us`` says
    why the runner ended it (``client ended``, ``timeout``), empty when it ended by itself. Times are ns.
    """

    host: Host
    argv: tuple[str, ...]
    image: str
    exit_status: int | None
    signal: str | None
    started: int
    ended: int
    stopped_by_us: str = ""
    output_truncated: bool = False


@dataclass(frozen=True, slots=True)
class Delay:
    """One-way delays of the crossings that one host sent, ns; all None when nothing crossed."""

    count: int
    minimum: int | None
    median: int | None
    maximum: int | None


@dataclass(frozen=True, slots=True)
class LinkRecord:
    """What the link did to one packet (compose/link/journal.h).

    ``n`` counts the packets of its sender from 1, None for one that the link made (``made``: what; ``about`` and
    ``of``: sender and number of the packet that it followed). ``left`` is None for a packet that was dropped. ``seq``
    is as on the wire. ``faults`` are indexes of the exact faults that met it. ``part``: a fragment without a transport
    header.
    """

    n: int | None
    sender: Host
    time: int
    left: int | None
    protocol: str
    sport: int
    dport: int
    flags: str
    seq: int
    length: int
    ip_id: int
    actions: tuple[str, ...] = ()
    faults: tuple[int, ...] = ()
    made: Literal["", "copy", "forged", "icmp"] = ""
    about: Host | None = None
    of: int | None = None
    part: bool = False


@dataclass(frozen=True, slots=True)
class LinkJournal:
    """All that the link did.

    ``faults`` are the plan's exact faults as text; ``overflow`` counts, for each sender, packets that the kernel lost
    before the link could see them; ``complete``: it goes to its end.
    """

    records: tuple[LinkRecord, ...]
    faults: tuple[str, ...]
    overflow: dict[Host, int]
    complete: bool


Labels = Mapping[Host, Mapping[int, tuple[str, ...]]]
"""For each host's capture: frame number (from 1) -> the labels that Wireshark gives that frame."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that the analysis may know about a run.

    ``incomplete`` lists reasons why the observation is not complete (a tap without its sentinel, packets dropped by
    the tap, a call log that overflowed, a host without an observer is NOT one). ``observed`` says for each host
    which observer made its calls (``probe``, ``none``). ``link`` is None without a link host. ``cut_short`` says why
    the lab could not carry the run through; what failed after that says nothing about the programs. ``labels`` are
    Wireshark's of both captures, ``sysctls`` the ``net.*`` settings of each host's network namespace; both empty where
    they are not known. ``kernel`` is what the witness recorded, None without one.
    """

    joined: Joined
    calls: dict[Host, tuple[Call, ...]]
    observed: dict[Host, str]
    programs: tuple[Program, ...]
    output: dict[Host, str]
    incomplete: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    link: LinkJournal | None = None
    cut_short: str = ""
    labels: Labels = field(default_factory=dict)
    sysctls: Mapping[Host, Mapping[str, str]] = field(default_factory=dict)
    kernel: KernelLog | None = None


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a run means. ``causes`` is aligned with ``joined.crossings``.

    ``silent`` maps a call that caused no packet to the reason, and one of whose bytes only some left to how many did
    not, and why. ``verdict`` is one or more plain sentences;
    ``reasons`` say why ``outcome`` is not ``pass``. ``testimony`` is what the kernel says, None without a witness.
    """

    inputs: Inputs
    causes: tuple[Cause, ...]
    silent: dict[tuple[Host, int], str]
    delays: dict[Host, Delay]
    ledger: tuple[LedgerRow, ...]
    checks: tuple[Check, ...]
    verdict: tuple[str, ...]
    outcome: Outcome
    reasons: tuple[str, ...]
    testimony: Testimony | None = None
