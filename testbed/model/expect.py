"""What a scenario expects of a run, as plain values: compiled by ``scenario/expect/``, checked by ``analysis/expect/``.

Every run loads them, so they are NamedTuples, which take a tenth of a frozen dataclass's time to make; those with a
``count`` cannot be, as a tuple has a method of that name. A member that is None is not checked. Times are nanoseconds;
sequence numbers are relative as those of :class:`testbed.model.Crossing`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from testbed.model.absences import NoPacketReason
from testbed.model.causes import CauseName
from testbed.model.findings import Culprit, FindingName, Severity
from testbed.model.hosts import Host
from testbed.model.kernel_versions import KernelRange


class Limits(NamedTuple):
    """From ``least`` to ``most``, both included, None where there is no limit; ``text`` is how it was written."""

    least: float | None
    most: float | None
    text: str

    def holds(self, number: float) -> bool:
        """Whether a number is within the limits."""
        return (self.least is None or self.least <= number) and (self.most is None or number <= self.most)

    def __str__(self) -> str:
        return self.text


AT_LEAST_ONE = Limits(1, None, ">=1")
NONE = Limits(0, 0, "0")


class ExpectedBytes(NamedTuple):
    """A payload: its ``content``, or None where only the ``length`` matters; ``text`` is how a message shows it."""

    content: bytes | None
    length: int
    text: str


class AnsweredPacket(NamedTuple):
    """The packet that another one answers: the ``nth`` (from 1) that this rule explains."""

    rule: CauseName
    nth: int


class PacketPattern(NamedTuple):
    """Which packets: all that is not None must fit. ``text`` is the pattern in a scenario's words.

    ``flags`` (exactly these) and ``has`` (at least these) are tcpdump's letters. ``options`` maps the name of a TCP
    option to whether it is present, or to limits of its value. ``at`` is the host whose capture is meant (None: the
    sender's), ``connection`` the number of the connection from 1. ``basis`` (kernel, inferred) is what the cause rests
    on, ``function`` one in the kernel's call stack as the packet was sent, ``timer`` the function of the kernel's timer
    that sent it.
    """

    text: str
    sender: Host | None = None
    protocol: str | None = None
    flags: str | None = None
    has: str | None = None
    seq: Limits | None = None
    ack: Limits | None = None
    length: Limits | None = None
    data: bytes | None = None
    window: Limits | None = None
    urgent: Limits | None = None
    options: Mapping[str, Limits | bool] | None = None
    cause: tuple[CauseName, ...] | None = None
    label: str | None = None
    fate: Literal["crossed", "lost", "appeared"] | None = None
    at: Host | None = None
    connection: int | None = None
    basis: str | None = None
    answers: AnsweredPacket | None = None
    function: str | None = None
    timer: str | None = None


class CallMoment(NamedTuple):
    """When the ``nth`` call (from 1) of a name that a host made began or returned."""

    host: Host
    call: str
    nth: int
    moment: Literal["begins", "returns"]

    @property
    def text(self) -> str:
        """The moment in short words: ``client close 1 returns``."""
        return f"{self.host} {self.call} {self.nth} {self.moment}"


@dataclass(frozen=True, slots=True)
class ExpectedCall:
    """The ``nth`` call (from 1) of a name that a host made: how it ended, and the packets that it caused.

    ``why`` are the reasons of which one is why it caused no packet. ``took`` limits its duration (ns), ``count`` how
    often the host made the call. ``connection`` and ``socket``: only calls on this connection, or on this socket of the
    host (from 1 in the order of the first calls on them), are counted.
    """

    host: Host
    call: str
    nth: int
    packets: tuple[PacketPattern, ...] | None = None
    why: tuple[NoPacketReason, ...] | None = None
    result: Limits | None = None
    errno: str | None = None
    args: Mapping[str, Any] | None = None
    data: ExpectedBytes | None = None
    took: Limits | None = None
    count: Limits | None = None
    connection: int | None = None
    socket: int | None = None


class ExpectedSegments(NamedTuple):
    """The payloads that each host sent, in order, first transmissions only."""

    payloads: Mapping[Host, tuple[ExpectedBytes, ...]]


class ExpectedLedger(NamedTuple):
    """For each sending host, figures of its ledger by their names; of one ``connection`` (from 1), or of all."""

    figures: Mapping[Host, Mapping[str, Limits | str]]
    connection: int | None = None


class ExpectedCrossings(NamedTuple):
    """How many packets had each fate: ``lost``, ``altered``, ``appeared``."""

    counts: Mapping[str, Limits]


@dataclass(frozen=True, slots=True)
class ExpectedPackets:
    """How many packets fit a pattern."""

    pattern: PacketPattern
    count: Limits


class ExpectedOrder(NamedTuple):
    """Packets and calls in this order, others between them."""

    events: tuple[PacketPattern | CallMoment, ...]


@dataclass(frozen=True, slots=True)
class ExpectedIntervals:
    """The intervals between packets: how many, how long (ns), and how much longer each is than the one before.

    ``after`` begins the first interval and ``until`` ends the last one; None: a packet of the pattern does.
    """

    packets: PacketPattern
    count: Limits
    after: PacketPattern | CallMoment | None = None
    until: PacketPattern | CallMoment | None = None
    first: Limits | None = None
    each: Limits | None = None
    ratio: Limits | None = None


class ExpectedCauses(NamedTuple):
    """How many packets each rule explains; ``unknown`` counts those of which no cause is known."""

    counts: Mapping[CauseName, Limits]


class ExpectedLabels(NamedTuple):
    """How often Wireshark gives each label in a host's capture."""

    counts: Mapping[Host, Mapping[str, Limits]]


class ExpectedExit(NamedTuple):
    """The exit status of each host's program, or the name of the signal that ended it."""

    endings: Mapping[Host, int | str]


@dataclass(frozen=True, slots=True)
class ExpectedVerdict:
    """How many facts of the verdict have a name of :data:`testbed.model.verdicts.FACT_NAMES` and fit what is given."""

    fact: str
    count: Limits
    host: Host | None = None
    reason: str | None = None
    connection: int | None = None


@dataclass(frozen=True, slots=True)
class ExpectedFinding:
    """How many findings have this name and fit what is given; ``connection`` counts from 1."""

    name: FindingName
    count: Limits
    severity: Severity | None = None
    who: Culprit | None = None
    connection: int | None = None


class ExpectedFindings(NamedTuple):
    """Which findings there are: none of some severities, or exactly these names and perhaps those of ``maybe``."""

    none: tuple[Severity, ...] = ()
    exactly: tuple[FindingName, ...] | None = None
    maybe: tuple[FindingName, ...] = ()


class ExpectedOutput(NamedTuple):
    """Text that the output of each host's program contains."""

    texts: Mapping[Host, str]


Wanted = (
    ExpectedCall
    | ExpectedSegments
    | ExpectedLedger
    | ExpectedCrossings
    | ExpectedPackets
    | ExpectedOrder
    | ExpectedIntervals
    | ExpectedCauses
    | ExpectedLabels
    | ExpectedExit
    | ExpectedOutput
    | ExpectedVerdict
    | ExpectedFinding
    | ExpectedFindings
)


class Expectation(NamedTuple):
    """One expectation: ``wanted``, its ``text`` in one line of YAML, and ``where`` it is (``scenarios/x.yaml:12``).

    ``share`` is in how many of a scenario's repeats it must hold, up to 1; None: in each. ``kernels`` are those of
    which it must be true; None: all.
    """

    wanted: Wanted
    text: str = ""
    where: str = ""
    share: float | None = None
    kernels: KernelRange | None = None


SHOWN_BYTES = 40
"""How many bytes a message shows at most."""


def bytes_text(data: bytes) -> str:
    """Return bytes for a message: as text, in hex where they are not printable, as a number where they are many."""
    if len(data) > SHOWN_BYTES:
        return f"{len(data)} bytes"
    text = data.decode("utf-8", "replace")
    return text if text.isprintable() and text.strip() == text and text else f'"{data.hex()}"'
