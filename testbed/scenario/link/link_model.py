"""The link between the hosts, as written: what it does to packets, and to which.

An impairment is named by a key (``delay: 5ms``) and holds for the packets of both hosts, or below ``client`` or
``server`` for those that this host sends. An exact fault is one item of ``faults``, named by its key, and says which
packet it means. What the link program gets is ``link_plan.py``.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Discriminator, Field, PrivateAttr, StrictBool, Tag, model_validator

from testbed.model import HOSTS, Host
from testbed.scenario.language.base import Frozen, Opt, Parsed, Short, shown
from testbed.scenario.language.payload import Data
from testbed.scenario.language.values import Flags, Name, Size, Whole
from testbed.scenario.language.yaml_source import in_one_line

_NUMBER = "(?:0|[1-9][0-9]{0,11})"
_SPAN_NS = {"us": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000}
_RATES = {"bit": 1, "kbit": 10**3, "Mbit": 10**6, "Gbit": 10**9}
LONGEST_NS = 3_600_000_000_000


def span_ns(value: object) -> int:
    """Return a span such as 200us, 5ms or 2s in nanoseconds. Raises ValueError (message, hint)."""
    match = re.fullmatch(f"({_NUMBER})(us|ms|s|m)", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{shown(value)} is no duration", "a whole number with its unit: 200us, 5ms, 2s or 1m")
    length = int(match[1]) * _SPAN_NS[match[2]]
    if length > LONGEST_NS:
        raise ValueError(f"{shown(value)} is longer than an hour")
    return length


def _probability(value: object) -> float:
    hint = "from 0 to 1, or in percent: 0.01 or 1%"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        number = float(value)
    else:
        match = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)%", value) if isinstance(value, str) else None
        if match is None:
            raise ValueError(f"{shown(value)} is no probability", hint)
        number = float(match[1]) / 100
    if not 0 <= number <= 1:
        raise ValueError(f"{shown(value)} is no probability", hint)
    return number


def _rate(value: object) -> int:
    match = re.fullmatch(f"({_NUMBER})(bit|kbit|Mbit|Gbit)", value) if isinstance(value, str) else None
    if match is None or not int(match[1]):
        raise ValueError(f"{shown(value)} is no rate", "bits per second: 500kbit, 10Mbit or 1Gbit")
    rate = int(match[1]) * _RATES[match[2]]
    if rate > 10**12:
        raise ValueError(f"{shown(value)} is more than 1000 Gbit")
    return rate


def _byte_range(value: object) -> tuple[int, int]:
    match = re.fullmatch(f"({_NUMBER})-({_NUMBER})", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{shown(value)} is no range of bytes", "the first and the last, from 0: 0-99")
    first, last = int(match[1]), int(match[2])
    if last < first:
        raise ValueError(f"{shown(value)} ends before it begins")
    return first, last


def _many(value: object) -> int:
    if value == "all":
        return 0
    if type(value) is not int or value < 1:
        raise ValueError(f"{shown(value)} is no number of packets", "1, 2, ... or all")
    return value


Span = Annotated[int, Parsed(span_ns, {"type": "string", "pattern": f"^{_NUMBER}(us|ms|s|m)$"})]
"""Nanoseconds, written 200us, 5ms, 2s or 1m."""
Probability = Annotated[
    float,
    Parsed(
        _probability,
        {"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "string", "pattern": r"^[0-9.]+%$"}]},
    ),
]
"""0 to 1, written 0.01 or 1%."""
Rate = Annotated[int, Parsed(_rate, {"type": "string", "pattern": f"^{_NUMBER}(bit|kbit|Mbit|Gbit)$"})]
"""Bits per second, written 500kbit, 10Mbit or 1Gbit."""
ByteRange = Annotated[tuple[int, int], Parsed(_byte_range, {"type": "string", "pattern": f"^{_NUMBER}-{_NUMBER}$"})]
"""The first and the last offset in the stream, from 0: 0-99."""
Many = Annotated[int, Parsed(_many, {"anyOf": [{"type": "integer", "minimum": 1}, {"const": "all"}]})]
"""How many packets; ``all`` is 0 once loaded."""
PacketSize = Annotated[Size, Field(ge=68, le=65535)]
"""Bytes of an IP packet; 68 is the least that every link must carry (RFC 791)."""
PayloadSize = Annotated[Size, Field(le=65535)]
"""Bytes of a packet's payload."""
Kind = Literal["any", "syn", "synack", "data", "ack", "fin", "rst", "tcp", "udp", "icmp"]


class Reorder(Short):
    """Some packets let others pass."""

    short = "probability"
    probability: Probability
    """How likely each packet is to be overtaken: 0.01 or 1%."""
    behind: Whole = Field(default=1, ge=1, le=1000)
    """How many later packets of the same host overtake it."""
    within: Span = 50_000_000
    """The longest wait, if no later packet comes."""


class Mtu(Short):
    """A path with a smaller MTU than the interfaces have."""

    short = "size"
    size: PacketSize
    """The largest IP packet that passes, in bytes, its header included."""
    icmp: StrictBool = True
    """Notify the sender by ICMP (fragmentation needed; packet too big). false: a black hole."""


class Down(Short):
    """The link takes nothing for a while. What it has taken before still leaves."""

    short = "for_"
    for_: Span = Field(alias="for")
    """How long."""
    after: Opt[Span] = None
    """When the link goes down, counted from the first packet that it received."""


class Impairments(Frozen):
    """What happens to all packets that a host sends."""

    delay: Opt[Span] = None
    """How long each packet is held."""
    jitter: Opt[Span] = None
    """The delay varies uniformly by up to this, in both directions. The order is kept."""
    loss: Opt[Probability] = None
    """How likely each packet is to be lost."""
    duplicate: Opt[Probability] = None
    """How likely each packet is to be sent twice."""
    reorder: Opt[Reorder] = None
    """How likely each packet is to be overtaken by the next one, or a mapping."""
    corrupt: Opt[Probability] = None
    """How likely one bit of a packet of TCP or UDP is to be flipped, the checksum left as it was."""
    rate: Opt[Rate] = None
    """The rate of the link in bits per second, IP headers included."""
    queue: Opt[Whole] = Field(default=None, ge=1, le=100_000)
    """How many packets may wait in the link; further ones are dropped (default 10000)."""
    mtu: Opt[Mtu] = None
    """The largest packet that passes, or a mapping."""
    down: Opt[Down] = None
    """How long the link is down, or a mapping."""

    @property
    def given(self) -> dict[str, Any]:
        """The impairments that are named, by key."""
        return {name: getattr(self, name) for name in Impairments.model_fields if getattr(self, name) is not None}


class BothWays(Impairments):
    """Impairments of both directions, or of one."""

    client: Opt[Impairments] = None
    """Impairments of the packets that the client sends; they override those for both hosts."""
    server: Opt[Impairments] = None
    """Impairments of the packets that the server sends; they override those for both hosts."""

    def of(self, host: Host) -> dict[str, Any]:
        """Return the impairments that are named for the packets of one host, by key."""
        own = getattr(self, host)
        return {**self.given, **(own.given if own else {})}

    @model_validator(mode="after")
    def _jitter_within_delay(self) -> Self:
        for host in HOSTS:
            named = self.of(host)
            if "jitter" in named and "delay" not in named:
                raise ValueError("`jitter` goes with `delay`", "it is by how much the delay varies")
            if named.get("jitter", 0) > named.get("delay", 0):
                raise ValueError(f"the jitter of the {host}'s packets is larger than their delay")
        return self


class Fault(Frozen):
    """Which packets an exact fault means. All that is said must fit."""

    key: ClassVar[str]

    sender: Host = Field(alias="from")
    """The host that sends the packets."""
    of: Kind = "any"
    """Of which kind: any, syn, synack, data, ack (alone), fin, rst, tcp, udp or icmp."""
    nth: Whole = Field(default=1, ge=1)
    """Which of the matching packets, from 1."""
    count: Many = 1
    """How many, from that one on; all: every one."""
    flags: Opt[Flags] = None
    """With exactly these TCP flags, in tcpdump's letters."""
    payload: Opt[Data] = None
    """With this in the payload: text, or {bytes: "00ff"}."""
    bytes: Opt[ByteRange] = None
    """With any of these bytes of its stream, from 0: 0-99."""
    after: Opt[Name] = None
    """Only after both hosts have reached this barrier."""
    until: Opt[Name] = None
    """Only until both hosts have reached this barrier."""


class DropIt(Fault):
    """Drops the packet."""

    key = "drop"


class HoldIt(Fault):
    """Holds the packet back, so that others overtake it."""

    key = "hold"
    for_: Span = Field(default=50_000_000, alias="for")
    """How long; with `behind`: at most."""
    behind: Opt[Whole] = Field(default=None, ge=1, le=1000)
    """Until this many later packets of the same host have overtaken it."""


class DuplicateIt(Fault):
    """Sends the packet twice."""

    key = "duplicate"


class TruncateIt(Fault):
    """Truncates the payload; lengths and checksums are corrected, so the peer accepts what is left."""

    key = "truncate"
    to: PayloadSize
    """How many bytes of payload are left."""


class CorruptIt(Fault):
    """Flips one bit of the payload, or of the checksum of a packet without payload."""

    key = "corrupt"
    checksum: Literal["keep", "fix"] = "keep"
    """keep: the peer's kernel drops the packet. fix: the checksum is corrected, and nobody notices."""

    @model_validator(mode="after")
    def _not_icmp(self) -> Self:
        # NAT on a Docker Engine's machine, between link and host, drops ICMP errors whose checksum is wrong.
        if self.of == "icmp":
            raise ValueError("only packets of TCP and UDP can be corrupted")
        return self


class MarkIt(Fault):
    """Marks the packet "congestion experienced" (RFC 3168), as a router with a growing queue does.

    It applies only to packets of a sender that uses ECN.
    """

    key = "mark"


class ForgeIt(Fault):
    """Sends a packet that no host sent, right after the packet that matches."""

    key = "forge"
    packet: Literal["rst", "syn", "unreachable", "too-big"]
    """rst or syn: of the same connection. unreachable or too-big: an ICMP error about the packet, to its sender."""
    as_: Opt[Host] = Field(default=None, alias="as")
    """Whose address a rst or syn has as its source (default: the packet's sender)."""
    seq: Whole = Field(default=0, ge=-(1 << 31), lt=1 << 31)
    """The distance of its sequence number from the one that the peer expects next."""
    code: Opt[Whole] = Field(default=None, ge=0, le=255)
    """The code of an unreachable (default: port unreachable)."""
    mtu: Opt[PacketSize] = None
    """The MTU that a too-big reports (default 1280)."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        icmp = self.packet in ("unreachable", "too-big")
        if icmp and not {"as_", "seq"}.isdisjoint(self.model_fields_set):
            raise ValueError("`as` and `seq` go with rst and syn", "an ICMP error comes from the link itself")
        if self.code is not None and self.packet != "unreachable":
            raise ValueError("`code` goes with unreachable")
        if self.mtu is not None and self.packet != "too-big":
            raise ValueError("`mtu` goes with too-big")
        if not icmp and self.of in ("udp", "icmp"):
            raise ValueError(f"a {self.packet} needs a packet of TCP to follow")
        return self


class FaultItem(Frozen):
    """One item of ``faults``."""

    _source: Any = PrivateAttr(default=None)

    def written_as(self, source: object) -> None:
        """Remember what stands in the file."""
        self._source = source

    @property
    def text(self) -> str:
        """The fault in one line of YAML: ``drop: {from: client, nth: 2, of: data}``."""
        source = self._source
        if source is None:
            source = self.model_dump(mode="json", by_alias=True, exclude_unset=True)
        return in_one_line(source)[1:-1]

    @property
    def fault(self) -> Fault:
        """What the item holds."""
        fault = getattr(self, next(iter(type(self).model_fields)))
        assert isinstance(fault, Fault)  # noqa: S101 - the only field of each
        return fault


class Drop(FaultItem):
    """A packet that is lost."""

    drop: DropIt
    """Which one."""


class Hold(FaultItem):
    """A packet that is held back."""

    hold: HoldIt
    """Which one, and for how long."""


class Duplicate(FaultItem):
    """A packet that is sent twice."""

    duplicate: DuplicateIt
    """Which one."""


class Truncate(FaultItem):
    """A packet whose payload is cut off."""

    truncate: TruncateIt
    """Which one, and what stays."""


class Corrupt(FaultItem):
    """A packet of which a bit is flipped."""

    corrupt: CorruptIt
    """Which one."""


class Mark(FaultItem):
    """A packet that is marked by ECN."""

    mark: MarkIt
    """Which one."""


class Forge(FaultItem):
    """A packet that the link makes up."""

    forge: ForgeIt
    """What it is, and behind which packet it is sent."""


FAULT_ITEMS: dict[str, type[FaultItem]] = {
    "drop": Drop,
    "hold": Hold,
    "duplicate": Duplicate,
    "truncate": Truncate,
    "corrupt": Corrupt,
    "mark": Mark,
    "forge": Forge,
}


def _kind_of(value: object) -> str | None:
    if isinstance(value, FaultItem):
        return f"<{next(iter(type(value).model_fields))}>"
    found = [key for key in value if key in FAULT_ITEMS] if isinstance(value, dict) else []
    return f"<{found[0]}>" if len(found) == 1 else None


AnyFault = Annotated[
    Annotated[Drop, Tag("<drop>")]
    | Annotated[Hold, Tag("<hold>")]
    | Annotated[Duplicate, Tag("<duplicate>")]
    | Annotated[Truncate, Tag("<truncate>")]
    | Annotated[Corrupt, Tag("<corrupt>")]
    | Annotated[Mark, Tag("<mark>")]
    | Annotated[Forge, Tag("<forge>")],
    Discriminator(_kind_of),
]


class Link(Short, BothWays):
    """What joins the hosts: one bridge (direct), or a link host between two subnets that can impair (routed)."""

    short = "topology"
    topology: Opt[Literal["direct", "routed"]] = None
    """direct or routed. Default: routed if any other key is given, else direct."""
    faults: tuple[AnyFault, ...] = Field(default=(), max_length=256)
    """Faults for exact packets."""

    @property
    def routed(self) -> bool:
        """Whether there is a link host."""
        impaired = self.given or self.client or self.server or self.faults
        return self.topology == "routed" or bool(impaired)

    @property
    def exact(self) -> tuple[Fault, ...]:
        """The exact faults in order."""
        return tuple(item.fault for item in self.faults)

    @model_validator(mode="after")
    def _direct_is_plain(self) -> Self:
        if self.topology == "direct" and self.routed:
            raise ValueError("a direct link does nothing to packets", "leave `topology` out, or: topology: routed")
        return self


class Change(BothWays):
    """Impairments that change from now on; what is not named stays."""

    @model_validator(mode="after")
    def _now(self) -> Self:
        downs = [self.down, *(way.down for way in (self.client, self.server) if way)]
        if any(down is not None and down.after is not None for down in downs):
            raise ValueError("here `down` begins at once", "for instance down: 2s")
        if not self.model_fields_set:
            raise ValueError("nothing changes here", "for instance {delay: 50ms}")
        return self
