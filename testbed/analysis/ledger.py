"""How far every byte got: one row for each flow and direction, from application to application.

A point that cannot be observed is None. Content is compared from point to point: calls against the wire by digest and
by their first bytes, the two wires byte by byte, datagrams one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from testbed.analysis.calls.streams import Direction, Share, Stream, Streams
from testbed.analysis.calls.wire_stream import WireBytes, digest_of, first_difference, payload_at
from testbed.model import HOSTS, Call, Cause, Count, Crossing, Flow, Host, Joined, LedgerRow, peer_of

_NOTHING = Count(None)
_RESETS_SAID = frozenset({"reset-linger", "reset-unread", "reset-listener", "reset-exit", "keep-alive-timeout"})


class ContentDifference(NamedTuple):
    """Where content first differs: a stream offset, and in words."""

    offset: int
    text: str


def make_ledger(joined: Joined, streams: Streams, causes: Sequence[Cause]) -> tuple[LedgerRow, ...]:
    """Return two rows for each flow, the client's direction first. ``causes`` are aligned with the crossings."""
    by_flow: dict[int, list[Crossing]] = {flow.index: [] for flow in joined.flows}
    for crossing in joined.crossings:
        if crossing.flow is not None:
            by_flow[crossing.flow].append(crossing)
    rows = []
    for flow in joined.flows:
        for sender in HOSTS:
            if flow.protocol == "tcp":
                rows.append(_tcp_row(flow, sender, streams, by_flow[flow.index], causes))
            else:
                rows.append(_udp_row(flow, sender, streams))
    return tuple(rows)


def _tcp_row(
    flow: Flow, sender: Host, streams: Streams, crossings: list[Crossing], causes: Sequence[Cause]
) -> LedgerRow:
    receiver = peer_of(sender)
    left, came = streams.wire(flow.index, sender, "sent"), streams.wire(flow.index, sender, "arrived")
    out, taken = streams.stream(flow.index, sender, "out"), streams.stream(flow.index, receiver, "in")
    written = _from_calls(streams, flow.index, sender, out, left, other=came)
    unlogged = max(left.total - out.total, 0) if written.bytes is not None else 0
    if unlogged:
        written = _NOTHING  # stdio on the descriptor, a system call made directly: nobody knows all that was written
    read = _from_calls(streams, flow.index, receiver, taken, came, other=left)
    sent = Count(left.total, left.digest())
    arrived = Count(came.total, came.digest())
    reached = _acknowledged(crossings, sender, max(left.high, came.high))
    whole = left.slice(0, reached)
    acknowledged = Count(reached, digest_of(whole) if whole is not None else None)
    points = (
        ("written", written),
        ("sent", sent),
        ("arrived", arrived),
        ("acknowledged", acknowledged),
        ("read", read),
    )
    return LedgerRow(
        flow.index,
        sender,
        written,
        sent,
        arrived,
        acknowledged,
        read,
        unread=None if read.bytes is None else max(came.total - read.bytes, 0),
        difference=_difference(out, left, came, taken, sender),
        lost_at=_lost_at(points),
        close=_close(flow, crossings, causes, sender, streams)
        + (f"; {unlogged:,} of the bytes sent were written by no logged call" if unlogged else ""),
    )


def _from_calls(streams: Streams, flow: int, host: Host, stream: Stream, wire: WireBytes, other: WireBytes) -> Count:
    """Count what calls moved; None where no observer saw the socket although the wire shows data.

    A connection that the observer's listener never handed out moved nothing.
    """
    seen = streams.knows(flow, host) or streams.listens(flow, host)
    if not streams.observed[host] or (not seen and (wire.total or other.total)):
        return _NOTHING
    return Count(stream.total, _stream_digest(stream, wire))


def _stream_digest(stream: Stream, wire: WireBytes) -> str | None:
    """Return the digest of all that the calls moved, None where it cannot be known.

    Calls that fit into their kept prefix are known byte for byte; a longer one is known if its own digest is that of
    the bytes at its place on the wire.
    """
    parts: list[bytes] = []
    for share in stream.shares:
        part = _content(share, wire)
        if part is None:
            return None
        parts.append(part)
    return digest_of(b"".join(parts))


def _content(share: Share, wire: WireBytes) -> bytes | None:
    call = share.call
    if len(call.data) == call.length:
        return call.data
    shown = wire.slice(share.start, share.end)
    return shown if shown is not None and call.digest is not None and digest_of(shown) == call.digest else None


def _acknowledged(crossings: list[Crossing], sender: Host, high: int) -> int:
    """Return how many bytes the receiver's ACKs cover, as far as they reached the sender (SYN counts one)."""
    acks = (
        crossing.ack
        for crossing in crossings
        if crossing.sender != sender and crossing.ack is not None and crossing.arrived is not None
    )
    return min(max(max(acks, default=0) - 1, 0), high)


def _lost_at(points: Sequence[tuple[str, Count]]) -> str | None:
    """Return the first point at which bytes are missing.

    An ACK that is missing while the application has read everything lost nothing.
    """
    known = [(name, count.bytes) for name, count in points if count.bytes is not None]
    for (_, before), (name, now) in pairwise(known):
        if now < before and not (name == "acknowledged" and known[-1][0] == "read" and known[-1][1] >= before):
            return name
    return None


def _difference(out: Stream, left: WireBytes, came: WireBytes, taken: Stream, sender: Host) -> str | None:
    """Return the difference at the earliest point: written against sent, sent against arrived, arrived against read."""
    receiver = peer_of(sender)
    found = _against_calls(out, left, f"written by the {sender}", f"sent by the {sender}")
    if found is None:
        wires = left.difference(came)
        if wires is not None:
            offset, here, there = wires
            found = ContentDifference(offset, f"byte {offset}: {here:02x} sent, {there:02x} arrived")
    if found is None:
        found = _against_calls(taken, came, f"read by the {receiver}", f"arrived at the {receiver}")
    if found is None:
        found = _never_sent(left, came)
    return found.text if found is not None else None


def _against_calls(stream: Stream, wire: WireBytes, moved: str, shown: str) -> ContentDifference | None:
    for share in stream.shares if wire.exact else ():
        call = share.call
        prefix = wire.slice(share.start, share.start + len(call.data))
        index = first_difference(call.data, prefix) if prefix is not None else None
        if index is not None and prefix is not None:
            offset = share.start + index
            text = f"byte {offset} ({call.name} #{call.n}): {call.data[index]:02x} {moved}, {prefix[index]:02x} {shown}"
            return ContentDifference(offset, text)
        if call.digest is None or len(call.data) == call.length:
            continue
        whole = wire.slice(share.start, share.end)
        if whole is not None and digest_of(whole) != call.digest:
            first = share.start + len(call.data)
            text = f"bytes {first}-{share.end - 1} ({call.name} #{call.n}): what was {moved} is not what {shown}"
            return ContentDifference(first, text)
    return None


def _never_sent(left: WireBytes, came: WireBytes) -> ContentDifference | None:
    for run in came.runs:
        missing = len(run.data) - left.covered(run.start, run.end)
        if missing:
            return ContentDifference(
                run.start, f"{missing} of bytes {run.start}-{run.end - 1} arrived, but were never sent"
            )
    return None


def _close(flow: Flow, crossings: list[Crossing], causes: Sequence[Cause], sender: Host, streams: Streams) -> str:
    """Say in a phrase how one direction of a connection ended."""
    fins = [crossing for crossing in crossings if crossing.sender == sender and "F" in crossing.flags]
    resets = [crossing for crossing in crossings if "R" in crossing.flags]
    opened = any(crossing.ack is not None and not set("SR") & set(crossing.flags) for crossing in crossings)
    parts = []
    if fins:
        after = fins[0].seq + fins[0].length + 1
        covered = any(
            crossing.sender != sender
            and crossing.ack is not None
            and crossing.ack >= after
            and crossing.arrived is not None
            for crossing in crossings
        )
        parts.append("FIN acknowledged" if covered else "FIN not acknowledged")
    if resets and (not fins or parts == ["FIN not acknowledged"] or resets[0].sender == sender):
        first = resets[0]
        cause = causes[first.n]
        why = f": {cause.evidence}" if cause.rule in _RESETS_SAID or cause.rule == "closed-port" else ""
        lost = ", lost on the way" if first.fate == "lost" else ""
        by = f"by {first.sender}"
        if first.sent is None:
            by = f"in the {first.sender}'s name that {'the link made' if first.made else 'it never sent'}"
        parts.append(f"RST {by}{lost}{why}")
    if not parts:
        parts.append("still open" if opened else "never opened")
    if not streams.observed[sender]:
        parts.append(f"no observer on {sender}")
    elif opened and not streams.knows(flow.index, sender):
        never = "nobody accepted it" if streams.listens(flow.index, sender) else None
        parts.append(never or f"the observer on {sender} saw no socket of it")
    return "; ".join(parts)


def _udp_row(flow: Flow, sender: Host, streams: Streams) -> LedgerRow:
    receiver = peer_of(sender)
    crossings = streams.by_sender.get((flow.index, sender), [])
    sent = [crossing.payload for crossing in crossings if crossing.sent is not None]
    landed = sorted((c for c in crossings if c.arrived is not None), key=lambda c: (c.arrived, c.n))
    arrived = [payload_at(crossing, "arrived") for crossing in landed]
    written = _datagram_calls(streams, flow.index, sender, "out", data=bool(crossings))
    read = _datagram_calls(streams, flow.index, receiver, "in", data=bool(crossings))
    at_sent, at_arrived = _datagrams([(payload, True) for payload in sent]), _datagrams(arrived)
    points = (("written", written), ("sent", at_sent), ("arrived", at_arrived), ("read", read))
    return LedgerRow(
        flow.index,
        sender,
        written,
        at_sent,
        at_arrived,
        _NOTHING,
        read,
        unread=None if read.bytes is None else max((at_arrived.bytes or 0) - read.bytes, 0),
        difference=_datagram_difference(streams, flow.index, sender, crossings),
        lost_at=_lost_at([(name, Count(count.datagrams)) for name, count in points]) or _lost_at(points),
        close="" if crossings else "no datagram",
    )


def _datagrams(payloads: list[tuple[bytes, bool]]) -> Count:
    exact = all(known for _, known in payloads)
    digest = digest_of(b"".join(payload for payload, _ in payloads)) if exact else None
    return Count(sum(len(payload) for payload, _ in payloads), digest, len(payloads))


def _datagram_calls(streams: Streams, flow: int, host: Host, direction: Direction, *, data: bool) -> Count:
    if not streams.observed[host]:
        return _NOTHING
    pairs = streams.datagrams.get((flow, host, direction), ())
    if not pairs and data and not _has_socket(streams, flow, host):
        return _NOTHING
    calls = [pair.call for pair in pairs]
    whole = all(len(call.data) == call.length for call in calls)
    digest = digest_of(b"".join(call.data for call in calls)) if whole else None
    return Count(sum(call.length for call in calls), digest, len(calls))


def _has_socket(streams: Streams, flow: int, host: Host) -> bool:
    """Say whether the observer saw a datagram socket on the flow's own port."""
    port = streams.flows[flow].endpoint(host).port
    return any(
        socket.protocol == "udp" and socket.local is not None and socket.local.port == port
        for socket in streams.sockets[host]
    )


def _datagram_difference(streams: Streams, flow: int, sender: Host, crossings: list[Crossing]) -> str | None:
    by_number = {crossing.n: crossing for crossing in crossings}
    for pair in streams.datagrams.get((flow, sender, "out"), ()):
        if pair.crossing is not None:
            crossing = by_number[pair.crossing]
            text = _one_datagram(pair.call, crossing, crossing.payload, "written", "sent")
            if text:
                return text
    for crossing in crossings:
        there, _ = payload_at(crossing, "arrived")
        if crossing.fate == "crossed" and there != crossing.payload:
            at = first_difference(crossing.payload, there)
            where = f", from byte {at}" if at is not None else ""
            return f"datagram {crossing.start} (#{crossing.n}): what arrived is not what was sent{where}"
    for pair in streams.datagrams.get((flow, peer_of(sender), "in"), ()):
        if pair.crossing is not None:
            crossing = by_number[pair.crossing]
            payload, known = payload_at(crossing, "arrived")
            text = _one_datagram(pair.call, crossing, payload, "read", "arrived") if known else None
            if text:
                return text
    return None


def _one_datagram(call: Call, crossing: Crossing, payload: bytes, moved: str, shown: str) -> str | None:
    name = f"datagram {crossing.start} ({call.name} #{call.n})"
    if call.length != len(payload):
        return f"{name}: {call.length} bytes {moved}, {len(payload)} {shown}"
    index = first_difference(call.data, payload[: len(call.data)])
    if index is not None:
        return f"{name}, byte {index}: {call.data[index]:02x} {moved}, {payload[index]:02x} {shown}"
    if call.digest is not None and digest_of(payload) != call.digest:
        return f"{name}, after byte {len(call.data)}: what was {moved} is not what {shown}"
    return None
