"""Exact faults, as written: what the link does to single packets, and to which.

One item of ``faults`` is named by its key. A new kind of fault is a class derived from :class:`Fault` and the item
below it; what the link program does with its line of the plan is C (``compose/link/``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, PrivateAttr, model_validator
from typing_extensions import override

from testbed.model import Host, peer_of
from testbed.scenario.language.base import Frozen, Opt, one_of
from testbed.scenario.language.payload import Data
from testbed.scenario.language.values import Flags, Name, Whole
from testbed.scenario.language.yaml_source import in_one_line
from testbed.scenario.link.link_context import LinkContext
from testbed.scenario.link.link_values import ByteRange, Many, PacketSize, PayloadSize, Span

PacketKind = Literal["any", "syn", "synack", "data", "ack", "fin", "rst", "tcp", "udp", "icmp"]
FAULT_ITEMS: dict[str, type[FaultItem]] = {}
"""The model of each item of ``faults`` by the key that names it, in the order of definition."""


class Fault(Frozen):
    """Which packets an exact fault means. All that is given must match."""

    key: ClassVar[str]
    reads_payload: ClassVar[bool] = False
    """Whether the link must read whole packets for it."""

    sender: Host = Field(alias="from")
    """The host that sends the packets."""
    of: PacketKind = "any"
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

    def plan_keys(self, context: LinkContext) -> dict[str, object]:  # noqa: ARG002 - for those that override it
        """Return what its line of the plan has besides which packets it means.

        None leaves a key out, a tuple repeats it.
        """
        return {}


class FaultItem(Frozen):
    """One item of ``faults``."""

    _source: Any = PrivateAttr(default=None)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:  # noqa: ANN401 - pydantic's own
        super().__pydantic_init_subclass__(**kwargs)
        FAULT_ITEMS[next(iter(cls.model_fields))] = cls

    def written_as(self, source: object) -> None:
        """Remember what the file holds."""
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


class DropFault(Fault):
    """Drops the packet."""

    key = "drop"


class DropItem(FaultItem):
    """A packet that is lost."""

    drop: DropFault
    """Which one."""


class HoldFault(Fault):
    """Holds the packet back, so that others overtake it."""

    key = "hold"
    for_: Span = Field(default=50_000_000, alias="for")
    """How long; with `behind`: at most."""
    behind: Opt[Whole] = Field(default=None, ge=1, le=1000)
    """Until this many later packets of the same host have overtaken it."""

    @override
    def plan_keys(self, context: LinkContext) -> dict[str, object]:
        return {"for": self.for_, "behind": self.behind}


class HoldItem(FaultItem):
    """A packet that is held back."""

    hold: HoldFault
    """Which one, and for how long."""


class DuplicateFault(Fault):
    """Sends the packet twice."""

    key = "duplicate"
    reads_payload = True


class DuplicateItem(FaultItem):
    """A packet that is sent twice."""

    duplicate: DuplicateFault
    """Which one."""


class TruncateFault(Fault):
    """Truncates the payload; lengths and checksums are corrected, so the peer accepts what is left."""

    key = "truncate"
    reads_payload = True
    to: PayloadSize
    """How many bytes of payload are left."""

    @override
    def plan_keys(self, context: LinkContext) -> dict[str, object]:
        return {"to": self.to}


class TruncateItem(FaultItem):
    """A packet whose payload is cut off."""

    truncate: TruncateFault
    """Which one, and what stays."""


class CorruptFault(Fault):
    """Flips one bit of the payload, or of the checksum of a packet without payload."""

    key = "corrupt"
    reads_payload = True
    checksum: Literal["keep", "fix"] = "keep"
    """keep: the peer's kernel drops the packet. fix: the checksum is corrected, and nobody notices."""

    @model_validator(mode="after")
    def _not_icmp(self) -> Self:
        # NAT on a Docker Engine's machine, between link and host, drops ICMP errors whose checksum is wrong.
        if self.of == "icmp":
            raise ValueError("only packets of TCP and UDP can be corrupted")
        return self

    @override
    def plan_keys(self, context: LinkContext) -> dict[str, object]:
        return {"fix": int(self.checksum == "fix")}


class CorruptItem(FaultItem):
    """A packet of which a bit is flipped."""

    corrupt: CorruptFault
    """Which one."""


class MarkFault(Fault):
    """Marks the packet "congestion experienced" (RFC 3168), as a router with a growing queue does.

    It applies only to packets of a sender that uses ECN.
    """

    key = "mark"
    reads_payload = True


class MarkItem(FaultItem):
    """A packet that is marked by ECN."""

    mark: MarkFault
    """Which one."""


class RewriteFault(Fault):
    """Rewrites header fields, as routers and middleboxes do; checksums are corrected.

    Without `ttl` it applies to SYN packets only.
    """

    key = "rewrite"
    reads_payload = True
    count: Many = 0
    """How many of these packets; default: all."""
    ttl: Opt[Whole] = Field(default=None, ge=1, le=255)
    """The TTL, or hop limit, with which the packet goes on."""
    mss: Opt[Whole] = Field(default=None, ge=1, le=65535)
    """The largest MSS that a SYN may announce: a larger one is lowered (MSS clamping)."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.ttl is None and self.mss is None:
            raise ValueError("a rewrite needs `ttl` or `mss`", "for instance {mss: 1300}")
        return self

    @override
    def plan_keys(self, context: LinkContext) -> dict[str, object]:
        return {"ttl": self.ttl, "mss": self.mss}


class RewriteItem(FaultItem):
    """A packet of which header fields are rewritten."""

    rewrite: RewriteFault
    """Which one, and what is rewritten."""


class ForgedStamps(Frozen):
    """The time stamps of a forged segment, as distances from the last ones of its connection (RFC 7323)."""

    value: Whole = Field(default=0, ge=-(1 << 31), lt=1 << 31)
    """The distance of its own from the last that the host sent whose address it bears: -1000 is one second older."""
    echo: Whole = Field(default=0, ge=-(1 << 31), lt=1 << 31)
    """The distance of the one that it echoes from the last that the peer sent."""


class ForgeFault(Fault):
    """Sends a packet that no host sent, right after the packet that matches."""

    key = "forge"
    packet: Literal["rst", "syn", "data", "ack", "fin", "unreachable", "too-big"]
    """rst, syn, data, ack or fin: a segment of the same connection. unreachable or too-big: an ICMP error about the
    packet, to its sender."""
    as_: Opt[Host] = Field(default=None, alias="as")
    """Whose address a segment has as its source (default: the packet's sender)."""
    data: Opt[Data] = None
    """The payload of a data or a fin: text, or {bytes: "00ff"}."""
    ack: Opt[Whole] = Field(default=None, ge=-(1 << 31), lt=1 << 31)
    """The distance of its acknowledgement number from what the peer has sent (of data, ack and fin; default 0)."""
    window: Opt[Whole] = Field(default=None, ge=0, le=65535)
    """The window field of a segment, not scaled (default 64240; of a rst 0)."""
    timestamps: Opt[ForgedStamps] = None
    """With time stamps: {value: -1000} from the past. Default: without the option."""
    sack: tuple[ByteRange, ...] = Field(default=(), max_length=4)
    """SACK blocks of an ack, data or fin: ranges of bytes of the peer's stream, from 0: [10-19, 30-39]."""
    seq: Whole = Field(default=0, ge=-(1 << 31), lt=1 << 31)
    """The distance of its sequence number from the one that the peer expects next."""
    code: Opt[Whole] = Field(default=None, ge=0, le=255)
    """The code of an unreachable (default: port unreachable)."""
    mtu: Opt[PacketSize] = None
    """The MTU that a too-big reports (default 1280)."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        icmp = self.packet in ("unreachable", "too-big")
        if icmp and not {"as_", "seq", "window", "timestamps"}.isdisjoint(self.model_fields_set):
            raise ValueError(
                "`as`, `seq`, `window` and `timestamps` go with segments", "an ICMP error is the link's own"
            )
        if self.packet not in ("data", "ack", "fin") and not {"ack", "sack"}.isdisjoint(self.model_fields_set):
            raise ValueError("`ack` and `sack` go with data, ack and fin")
        if (self.packet == "data") > (self.data is not None and bool(self.data.content)):
            raise ValueError("a forged data needs `data`", "for instance {packet: data, data: hello}")
        if self.data is not None and self.packet not in ("data", "fin"):
            raise ValueError("`data` goes with data and fin")
        if self.timestamps is not None and len(self.sack) > 3:
            raise ValueError("a segment with time stamps has room for 3 SACK blocks")
        if self.code is not None and self.packet != "unreachable":
            raise ValueError("`code` goes with unreachable")
        if self.mtu is not None and self.packet != "too-big":
            raise ValueError("`mtu` goes with too-big")
        if not icmp and self.of in ("udp", "icmp"):
            raise ValueError(f"a {self.packet} needs a packet of TCP to follow")
        return self

    @override
    def plan_keys(self, context: LinkContext) -> dict[str, object]:
        from testbed.scenario.link.forged_packets import ForgedPacket, template

        forged = ForgedPacket(
            self.packet,
            self.sender,
            self.as_ or self.sender,
            self.code,
            self.mtu,
            (self.data.content if self.data else None) or b"",
            self.window,
            self.timestamps is not None,
            self.sack,
        )
        made = template(forged, context)
        keys: dict[str, object] = {"as": made.source, "raw": made.in_hex, "fill": made.fill, "offset": self.seq}
        if self.ack:
            keys["ack"] = self.ack
        if self.timestamps is not None:
            keys |= {"stamp": made.stamp, "value": self.timestamps.value, "echo": self.timestamps.echo}
        if self.sack:
            keys |= {"sack": made.sack, "blocks": len(self.sack)}
        return keys


class ForgeItem(FaultItem):
    """A packet that the link makes up."""

    forge: ForgeFault
    """What it is, and behind which packet it is sent."""


class ForgetFault(Fault):
    """Forgets a connection of which no packet came for a while, as a firewall or NAT does with its table of states.

    From then on what the sender sends on it is dropped, until a SYN makes the state anew (of UDP: a datagram of the
    other host).
    """

    key = "forget"
    count: Many = 0
    """How many of these packets are dropped; default: all."""
    silence: Span
    """How long no packet of the connection must have come, from either host."""
    answer: Literal["nothing", "rst"] = "nothing"
    """rst: each segment that is dropped is answered by a RST in the other host's name."""

    @override
    def plan_keys(self, context: LinkContext) -> dict[str, object]:
        from testbed.scenario.link.forged_packets import ForgedPacket, template

        keys: dict[str, object] = {"for": self.silence}
        if self.answer == "rst":
            made = template(ForgedPacket("rst", self.sender, peer_of(self.sender)), context)
            keys |= {"as": made.source, "raw": made.in_hex, "fill": made.fill}
        return keys


class ForgetItem(FaultItem):
    """A table of states that forgets a connection."""

    forget: ForgetFault
    """Whose packets are dropped, and after which silence."""


if TYPE_CHECKING:
    AnyFault = FaultItem
else:
    AnyFault = one_of(FaultItem, FAULT_ITEMS)
"""An item of ``faults`` of any kind, as pydantic reads it."""
