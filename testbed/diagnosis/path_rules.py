"""What the path did: packets too large for it, loss, altered bytes, copies, an idle connection that it forgot."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.analysis.causes.endpoint import arrival_time
from testbed.diagnosis.observed import Observed, SeenFlow, lost
from testbed.model import HOSTS, CauseName, Crossing, Fate, Host, PacketRef, peer_of
from testbed.model.crossings import FieldChange, HeaderField, OptionBytes, PayloadChange
from testbed.model.evidence import Duration, Quantity
from testbed.model.findings import (
    Certainty,
    Cost,
    Culprit,
    Finding,
    FindingName,
    Severity,
    Undecided,
)

Found = Iterator[Finding | Undecided]

_SMALLEST = 576
"""Bytes of an IPv4 packet that every path takes (RFC 791)."""
_TRIES = 3
"""Least packets in a row that are lost, and so are no accident."""


def black_holes(connection: SeenFlow, host: Host) -> list[Crossing]:
    """Return a host's packets that a black hole swallowed: all above one size, while smaller ones passed; else none.

    At least three were lost, some bytes of them more than once, and no ICMP error about the connection came back.
    """
    gone = lost(connection.data[host])
    if len(gone) < _TRIES or len({each.seq for each in gone}) == len(gone):
        return []
    least = min(connection.size(each) for each in gone)
    passed = [each for each in connection.sent[host] if connection.reached(each)]
    between = [each for each in passed if each.time > gone[0].time]
    if not between or least <= _SMALLEST or max(connection.size(each) for each in passed) >= least:
        return []
    told = [each for each in connection.errors if each.sender != host and each.arrived is not None]
    return [] if told else gone


def mtu(seen: Observed) -> Found:
    """Yield each direction of a connection in which large packets vanish and no ICMP error says so."""
    for connection in seen.tcp if seen.both_ends else ():
        for host in HOSTS:
            gone = black_holes(connection, host)
            if not gone:
                continue
            passed = [each for each in connection.sent[host] if connection.reached(each)]
            missing = max(connection.written(host) - connection.got(host), 0)
            later = [each for each in connection.data[host] if connection.reached(each) and each.time > gone[0].time]
            waited = (later[0].time if later else connection.packets[-1].time) - gone[0].time
            smaller = connection.size(later[0]) < min(map(connection.size, gone)) if later else False
            yield Finding(
                FindingName.MTU_BLACK_HOLE,
                Severity.ERROR if missing else Severity.WARNING,
                Culprit.PATH,
                connection.index,
                {
                    "host": host,
                    "peer": peer_of(host),
                    "lost": Quantity(len(gone), "packet"),
                    "least": Quantity(min(map(connection.size, gone)), "byte"),
                    "most": Quantity(max(map(connection.size, passed)), "byte"),
                    "first": PacketRef(gone[0].n),
                    "waited": Duration(waited),
                },
                variant="" if missing or not smaller else "overcome",
                packets=tuple(each.n for each in gone),
                cost=Cost(missing, connection.written(host), waited, connection.span),
                certainty=Certainty.INFERRED,
            )


def altered(seen: Observed) -> Found:
    """Yield what was changed on the way: payload, a checksum that is wrong, the segment size of a SYN."""
    if not seen.both_ends:
        return
    for host in HOSTS:
        wrong: list[Crossing] = []
        changed: list[tuple[Crossing, PayloadChange]] = []
        for connection in seen.connections:
            for packet in connection.sent[host]:
                payload = next((each for each in packet.changes if isinstance(each, PayloadChange)), None)
                if packet.discarded:
                    wrong.append(packet)
                elif payload is not None:
                    changed.append((packet, payload))
            yield from _clamped(connection, host)
            yield from _set_anew(connection, host)
        if changed:
            packet, change = changed[0]
            count = sum(each.size for _, each in changed)
            yield Finding(
                FindingName.PAYLOAD_ALTERED,
                Severity.ERROR,
                Culprit.PATH,
                packet.flow,
                {
                    "host": host,
                    "peer": peer_of(host),
                    "packets": Quantity(len(changed), "packet"),
                    "first": PacketRef(packet.n),
                    "bytes": Quantity(count, "byte"),
                    "offset": Quantity(packet.start + change.offset),
                },
                packets=tuple(each.n for each, _ in changed),
                cost=Cost(bytes=count),
            )
        if wrong:
            yield Finding(
                FindingName.CHECKSUM_ERROR,
                Severity.WARNING,
                Culprit.PATH,
                wrong[0].flow,
                {
                    "host": host,
                    "peer": peer_of(host),
                    "packets": Quantity(len(wrong), "packet"),
                    "first": PacketRef(wrong[0].n),
                },
                packets=tuple(each.n for each in wrong),
            )


def _clamped(connection: SeenFlow, host: Host) -> Found:
    for packet in connection.sent[host]:
        if "S" not in packet.flags:
            break
        for change in packet.changes:
            if not isinstance(change, FieldChange) or change.field is not HeaderField.OPTIONS:
                continue
            if not isinstance(change.before, OptionBytes) or not isinstance(change.after, OptionBytes):
                continue
            before, after = _mss(change.before.raw), _mss(change.after.raw)
            if before is not None and after is not None and after < before:
                yield Finding(
                    FindingName.MSS_CLAMPED,
                    Severity.NOTE,
                    Culprit.PATH,
                    connection.index,
                    {
                        "host": host,
                        "peer": peer_of(host),
                        "before": Quantity(before),
                        "after": Quantity(after),
                        "packet": PacketRef(packet.n),
                    },
                    packets=(packet.n,),
                )
                return


_HOPS = 64
"""Hops that a packet may take: a TTL that fell by more was set anew."""


def _set_anew(connection: SeenFlow, host: Host) -> Found:
    """Yield the first packet whose TTL rose on the way, or fell by more than hops would take."""
    for packet in connection.sent[host]:
        for change in packet.changes:
            if not isinstance(change, FieldChange) or change.field is not HeaderField.TTL:
                continue
            before, after = change.before, change.after
            if isinstance(before, int) and isinstance(after, int) and not before - _HOPS <= after <= before:
                yield Finding(
                    FindingName.TTL_REWRITTEN,
                    Severity.NOTE,
                    Culprit.PATH,
                    connection.index,
                    {"change": f"{after - before:+d}", "host": host},
                    packets=(packet.n,),
                )
                return


_MSS, _NOP = 2, 1


def _mss(options: bytes) -> int | None:
    """Return the maximum segment size in TCP options as captured (RFC 9293 section 3.2)."""
    at = 0
    while at < len(options) and options[at]:
        if options[at] == _NOP:
            at += 1
        elif at + 1 >= len(options) or options[at + 1] < 2:
            return None
        elif options[at] == _MSS and at + 4 <= len(options):
            return int.from_bytes(options[at + 2 : at + 4], "big")
        else:
            at += options[at + 1]
    return None


def copies(seen: Observed) -> Found:
    """Yield packets that arrived twice and were sent once."""
    if not seen.both_ends:
        return
    for host in HOSTS:
        doubled = []
        for connection in seen.connections:
            sent = {
                (each.raw_seq, each.length, each.flags, each.ack, each.payload)
                for each in connection.sent[host]
                if each.fate is not Fate.APPEARED
            }
            doubled += [
                each
                for each in connection.sent[host]
                if each.fate is Fate.APPEARED
                and (each.raw_seq, each.length, each.flags, each.ack, each.payload) in sent
            ]
        if doubled:
            yield Finding(
                FindingName.DUPLICATED,
                Severity.NOTE,
                Culprit.PATH,
                doubled[0].flow,
                {
                    "host": host,
                    "peer": peer_of(host),
                    "packets": Quantity(len(doubled), "packet"),
                    "first": PacketRef(doubled[0].n),
                },
                packets=tuple(each.n for each in doubled),
            )


def overtaking(seen: Observed) -> Found:
    """Yield packets that arrived after later ones of their connection."""
    if not seen.both_ends:
        return
    for host in HOSTS:
        late: list[Crossing] = []
        for connection in seen.connections:
            newest = -1
            for packet in (e for e in connection.sent[host] if e.fate is Fate.CROSSED and e.n not in seen.unsure):
                assert packet.arrived is not None  # noqa: S101 - it crossed
                if packet.arrived < newest:
                    late.append(packet)
                newest = max(newest, packet.arrived)
        if late:
            again = [
                each.n
                for connection in seen.tcp
                for each in connection.sent[host]
                if connection.cause(each).rule is CauseName.FAST_RETRANSMISSION
                and any(each.seq == packet.seq and each.flow == packet.flow for packet in late)
            ]
            yield Finding(
                FindingName.REORDERING,
                Severity.NOTE,
                Culprit.PATH,
                late[0].flow,
                {
                    "host": host,
                    "peer": peer_of(host),
                    "packets": Quantity(len(late), "packet"),
                    "first": PacketRef(late[0].n),
                    "again": Quantity(len(again), "packet"),
                },
                variant="again" if again else "",
                packets=tuple(each.n for each in late),
            )


def needless(seen: Observed) -> Found:
    """Yield bytes that were sent again although they had arrived and their ACK was not lost."""
    if not seen.both_ends:
        return
    for connection in seen.tcp:
        for host in HOSTS:
            acks_lost = any(not each.sequence_length for each in lost(connection.sent[peer_of(host)]))
            if acks_lost:
                continue
            acks = [(each.time, each.ack or 0) for each in connection.sent[peer_of(host)]]
            found: list[Crossing] = []
            for packet in connection.data[host]:
                if packet.sent is None or not connection.cause(packet).traits.sent_again:
                    continue
                before = max((ack for time, ack in acks if time < arrival_time(packet)), default=0)
                if before >= packet.seq + packet.length:
                    found.append(packet)
            if found:
                size = sum(each.length for each in found)
                yield Finding(
                    FindingName.SPURIOUS_RETRANSMISSION,
                    Severity.NOTE,
                    Culprit.CLIENT_KERNEL if host == "client" else Culprit.SERVER_KERNEL,
                    connection.index,
                    {
                        "host": host,
                        "peer": peer_of(host),
                        "packets": Quantity(len(found), "packet"),
                        "bytes": Quantity(size, "byte"),
                        "first": PacketRef(found[0].n),
                    },
                    packets=tuple(each.n for each in found),
                )
