"""How far every byte got: one row for each flow and direction, from application to application.

A point that cannot be observed is None.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from testbed.analysis.calls.streams import Direction, Share, Stream, Streams
from testbed.analysis.calls.unlogged_reads import unlogged_reads
from testbed.analysis.calls.wire_stream import WireBytes, digest_of, payload_and_length_at
from testbed.analysis.connection_end import connection_end
from testbed.analysis.content_difference import datagram_difference, stream_difference
from testbed.model import HOSTS, Call, Count, Crossing, Flow, Host, Joined, LedgerRow, peer_of
from testbed.model.ledgers import LedgerPoint

_NOTHING = Count(None)


def make_ledger(joined: Joined, streams: Streams) -> tuple[LedgerRow, ...]:
    """Return two rows for each flow, the client's direction first."""
    by_flow: dict[int, list[Crossing]] = {flow.index: [] for flow in joined.flows}
    for crossing in joined.crossings:
        if crossing.flow is not None:
            by_flow[crossing.flow].append(crossing)
    rows = []
    for flow in joined.flows:
        for sender in HOSTS:
            if flow.protocol == "tcp":
                rows.append(_tcp_row(flow, sender, streams, by_flow[flow.index]))
            else:
                rows.append(_udp_row(flow, sender, streams))
    return tuple(rows)


def _tcp_row(flow: Flow, sender: Host, streams: Streams, crossings: list[Crossing]) -> LedgerRow:
    receiver = peer_of(sender)
    left, came = streams.wire(flow.index, sender, "sent"), streams.wire(flow.index, sender, "arrived")
    out, taken = streams.stream(flow.index, sender, "out"), streams.stream(flow.index, receiver, "in")
    written = _from_calls(streams, flow.index, sender, out, left, other=came)
    unlogged = max(left.total - out.total, 0) if written.bytes is not None else 0
    if unlogged:
        written = _NOTHING  # stdio on the descriptor, a system call made directly: nobody knows all that was written
    read = _from_calls(streams, flow.index, receiver, taken, came, other=left)
    known = read.bytes is None or receiver in streams.proven
    unlogged_read = 0 if known else unlogged_reads(streams, flow.index, receiver, crossings)
    if unlogged_read or (read.bytes is not None and read.bytes < came.total and _uses_stdio(streams, flow, receiver)):
        read = _NOTHING
    sent = Count(left.total, left.digest(), seen=left.whole)
    arrived = Count(came.total, came.digest(), seen=came.whole)
    reached = _acknowledged(crossings, sender, max(left.high, came.high))
    whole = left.slice(0, reached)
    acknowledged = Count(reached, digest_of(whole) if whole is not None else None)
    points = tuple(zip(LedgerPoint, (written, sent, arrived, acknowledged, read), strict=True))
    return LedgerRow(
        flow.index,
        sender,
        written,
        sent,
        arrived,
        acknowledged,
        read,
        unread=None if read.bytes is None else max(came.total - read.bytes, 0),
        difference=stream_difference(out, left, came, taken),
        lost_at=_lost_at(points),
        close=connection_end(flow, crossings, sender, streams, unlogged),
        unlogged_read=unlogged_read,
    )


def _uses_stdio(streams: Streams, flow: Flow, host: Host) -> bool:
    """Say whether the program made a stream of standard I/O of its socket, whose reads no observer of calls sees.

    The kernel sees them.
    """
    return host not in streams.proven and any(
        call.name == "fdopen" for call in streams.calls.get((flow.index, host), ())
    )


def _from_calls(streams: Streams, flow: int, host: Host, stream: Stream, wire: WireBytes, other: WireBytes) -> Count:
    """Count what calls moved; None where no observer saw the socket although the wire shows data.

    A connection that the observer's listener never handed out moved nothing.
    """
    seen = streams.knows(flow, host) or streams.listens(flow, host)
    if not streams.observes(flow, host) or (not seen and (wire.total or other.total)):
        return _NOTHING
    seen = all(_is_seen(share.call) for share in stream.shares)
    return Count(stream.total, _stream_digest(stream, wire), seen=seen)


def _is_seen(call: Call) -> bool:
    """Say whether an observer kept something of what a call moved."""
    return not call.length or bool(call.data) or call.digest is not None


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
        crossing.acknowledges or 0
        for crossing in crossings
        if crossing.sender != sender and crossing.arrived is not None and not crossing.discarded
    )
    return min(max(max(acks, default=0) - 1, 0), high)


def _lost_at(points: Sequence[tuple[LedgerPoint, Count]]) -> LedgerPoint | None:
    """Return the first point at which bytes are missing.

    An ACK that is missing while the application has read everything lost nothing.
    """
    known = [(point, count.bytes) for point, count in points if count.bytes is not None]
    last, most = known[-1] if known else (None, 0)
    for (_, before), (point, now) in pairwise(known):
        all_read = last is LedgerPoint.READ and most >= before
        if now < before and not (point is LedgerPoint.ACKNOWLEDGED and all_read):
            return point
    return None


def _udp_row(flow: Flow, sender: Host, streams: Streams) -> LedgerRow:
    receiver = peer_of(sender)
    crossings = streams.by_sender.get((flow.index, sender), [])
    sent = [(crossing.payload, crossing.length) for crossing in crossings if crossing.sent is not None]
    landed = sorted((c for c in crossings if c.arrived is not None and not c.discarded), key=lambda c: (c.arrived, c.n))
    arrived = [payload_and_length_at(crossing, "arrived") for crossing in landed]
    written = _datagram_calls(streams, flow.index, sender, "out", data=bool(crossings))
    read = _datagram_calls(streams, flow.index, receiver, "in", data=bool(crossings))
    at_sent, at_arrived = _datagrams(sent), _datagrams(arrived)
    points = (
        (LedgerPoint.WRITTEN, written),
        (LedgerPoint.SENT, at_sent),
        (LedgerPoint.ARRIVED, at_arrived),
        (LedgerPoint.READ, read),
    )
    return LedgerRow(
        flow.index,
        sender,
        written,
        at_sent,
        at_arrived,
        _NOTHING,
        read,
        unread=None if read.bytes is None else max((at_arrived.bytes or 0) - read.bytes, 0),
        difference=datagram_difference(streams, flow.index, sender, crossings),
        lost_at=_lost_at([(point, Count(count.datagrams)) for point, count in points]) or _lost_at(points),
    )


def _datagrams(payloads: list[tuple[bytes, int]]) -> Count:
    """Count datagrams, each as captured and with its length on the wire."""
    whole = all(len(payload) == length for payload, length in payloads)
    digest = digest_of(b"".join(payload for payload, _ in payloads)) if whole else None
    return Count(sum(length for _, length in payloads), digest, len(payloads), seen=whole)


def _datagram_calls(streams: Streams, flow: int, host: Host, direction: Direction, *, data: bool) -> Count:
    """Count what calls moved; None where there are datagrams that no logged call sent, so that the log is not whole."""
    if not streams.observed[host]:
        return _NOTHING
    found = streams.datagrams.get((flow, host, direction), ())
    if not found and data and not _has_socket(streams, flow, host):
        return _NOTHING
    if _sent_unlogged(streams, flow, host) and (direction == "out" or _unread(streams, flow, host)):
        return _NOTHING
    calls = [call for each in found for call in each.calls]
    whole = all(len(call.data) == call.length for call in calls)
    digest = digest_of(b"".join(call.data for call in calls)) if whole else None
    number = sum(each.count for each in found)
    return Count(sum(call.length for call in calls), digest, number, seen=all(map(_is_seen, calls)))


def _sent_unlogged(streams: Streams, flow: int, host: Host) -> bool:
    """Say whether a host sent datagrams of a conversation by calls that nobody logged."""
    made = {number for each in streams.datagrams.get((flow, host, "out"), ()) for number in each.crossings}
    ours = streams.by_sender.get((flow, host), ())
    return any(crossing.sent is not None and crossing.n not in made for crossing in ours)


def _unread(streams: Streams, flow: int, host: Host) -> bool:
    """Say whether datagrams arrived that no logged call took."""
    taken = {number for each in streams.datagrams.get((flow, host, "in"), ()) for number in each.crossings}
    theirs = streams.by_sender.get((flow, peer_of(host)), ())
    return any(each.arrived is not None and not each.discarded and each.n not in taken for each in theirs)


def _has_socket(streams: Streams, flow: int, host: Host) -> bool:
    """Say whether the observer saw a datagram socket on the flow's own port."""
    port = streams.flows[flow].endpoint(host).port
    return any(
        socket.protocol == "udp" and socket.local is not None and socket.local.port == port
        for socket in streams.sockets[host]
    )
