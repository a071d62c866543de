"""Packets between the hosts, joined from both captures. Pure data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from testbed.model.evidence import Evidence
from testbed.model.hosts import HOSTS, Endpoint, Host
from testbed.model.ip import is_group
from testbed.model.link_journals import LinkEffect, LinkOrigin


class Fate(StrEnum):
    """What became of a packet: captured at both ends, only where it was sent, or only where it arrived."""

    CROSSED = "crossed"
    LOST = "lost"
    APPEARED = "appeared"


class HeaderField(StrEnum):
    """A header field that can differ between the two ends; the value is its name in reports and JSON."""

    TTL = "ttl"
    DSCP = "dscp"
    ECN = "ecn"
    IP_ID = "ip id"
    DONT_FRAGMENT = "don't fragment"
    SEQUENCE = "sequence number"
    ACKNOWLEDGMENT = "acknowledgment number"
    FLAGS = "flags"
    WINDOW = "window"
    URGENT = "urgent pointer"
    OPTIONS = "options"
    LENGTH = "length"
    CHECKSUM = "checksum"
    ICMP = "icmp header"
    ICMP_TYPE = "icmp type"
    ICMP_CODE = "icmp code"
    FRAME_LENGTH = "frame length"


PAYLOAD = "payload"
"""What a :class:`PayloadChange` is about, where a :class:`HeaderField` names the field of the others."""


@dataclass(frozen=True, slots=True)
class OptionBytes:
    """A segment's TCP options as captured; its ACK number as on the wire makes SACK edges relative."""

    raw: bytes
    raw_ack: int


FieldValue = int | bool | OptionBytes
"""``bool`` for DON'T FRAGMENT, :class:`OptionBytes` for the options, a number for every other field.

Sequence numbers, flags and the ICMP header's last four bytes (``icmp header``) are as on the wire.
"""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One header field that differs between the two ends of a crossing: its value where sent and where it arrived.

    A checksum is listed only if it is wrong where it arrived.
    """

    field: HeaderField
    before: FieldValue
    after: FieldValue


@dataclass(frozen=True, slots=True)
class PayloadChange:
    """The bytes of a payload that differ between the two ends of a crossing.

    ``before`` and ``after`` are the span from the first byte that differs to the last, as sent and as it arrived, at
    ``offset`` in the crossing's payload; where the lengths differ, it goes to the end of both. ``count`` is how many
    bytes that both ends have differ; 0 where one is the beginning of the other. ``skip`` is where the crossing's
    payload begins in the sender's packet (0 unless it is a part of one).
    """

    offset: int
    before: bytes
    after: bytes
    count: int
    skip: int = 0

    @property
    def size(self) -> int:
        """How many bytes differ, are missing or were added."""
        return self.count + abs(len(self.before) - len(self.after))

    def applied_to(self, payload: bytes) -> bytes:
        """Return a crossing's payload as it arrived."""
        return payload[: self.offset] + self.after + payload[self.offset + len(self.before) :]


Change = FieldChange | PayloadChange


@dataclass(frozen=True, slots=True)
class Crossing:
    """One packet between the two hosts, joined from both captures.

    ``n`` numbers crossings in time order from 0. ``flow`` indexes :attr:`Joined.flows`, None for packets of no flow
    (ICMP). ``sender`` is the host whose address is the source. ``sent`` is its time in the sender's capture and
    ``arrived`` in the receiver's (ns); None where it was not seen. ``at_client``/``at_server`` are frame numbers (from
    1, as Wireshark counts) or None. ``flags`` are tcpdump's letters (``S``, ``S.``, ``.``, ``P.``, ``F.``, ``R``),
    empty for UDP. ``seq`` and ``ack`` are relative (``ack`` None without the ACK flag); ``raw_seq`` is as on the wire.
    ``start`` is the stream offset of the first payload byte (TCP) or the datagram's number within its direction
    (UDP). ``payload`` is what the sender's capture shows (the receiver's if it was seen only there). ``link`` is what
    the link did to it, from its journal; ``made`` says that the link itself made it, and what it is.
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
    note: Evidence = ()
    link: tuple[LinkEffect | LinkOrigin, ...] = ()
    made: Literal["", "copy", "forged", "icmp"] = ""

    @property
    def end(self) -> int:
        """Stream offset after the last payload byte."""
        return self.start + self.length

    @property
    def sequence_length(self) -> int:
        """How much sequence space a TCP segment takes: its payload, and one each for SYN and FIN (SEG.LEN)."""
        return self.length + ("S" in self.flags) + ("F" in self.flags)

    @property
    def acknowledges(self) -> int | None:
        """Its ACK number; None without one, and of a RST that refuses a SYN, as that is of no connection.

        Such a RST has the sequence number 0 (RFC 9293 section 3.10.7.1).
        """
        return None if "R" in self.flags and self.raw_seq == 0 else self.ack

    @property
    def discarded(self) -> bool:
        """Whether it arrived with a wrong checksum: the kernel drops it unseen (RFC 9293 section 3.1).

        A UDP checksum of 0 is none at all, and accepted over IPv4 (RFC 768).
        """
        wrong = [each for each in self.changes if isinstance(each, FieldChange) and each.field is HeaderField.CHECKSUM]
        return any(self.protocol != "udp" or each.after for each in wrong)

    @property
    def fate(self) -> Fate:
        """What became of it, from which captures have it."""
        if self.sent is None:
            return Fate.APPEARED
        return Fate.LOST if self.arrived is None else Fate.CROSSED

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


def host_names(flows: Iterable[Flow]) -> dict[str, Host]:
    """Return the hosts' names by their addresses, as far as the flows show them; a group's is nobody's."""
    found = {flow.endpoint(host).address: host for flow in flows for host in HOSTS}
    return {address: host for address, host in found.items() if not is_group(address)}


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


Labels = Mapping[Host, Mapping[int, tuple[str, ...]]]
"""For each host's capture: frame number (from 1) -> the labels that Wireshark gives that frame."""


@dataclass(frozen=True, slots=True)
class Delay:
    """One-way delays of the crossings that one host sent, ns; all None when nothing crossed."""

    count: int
    minimum: int | None
    median: int | None
    maximum: int | None
