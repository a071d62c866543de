"""Where content first differs on its way: calls against the wire, one wire against the other, datagrams one by one.

Calls are compared by the bytes that the observer kept of each, and beyond them by the digest of all that it moved.
"""

from __future__ import annotations

from dataclasses import replace

from testbed.analysis.calls.datagram_calls import Datagram
from testbed.analysis.calls.streams import Stream, Streams
from testbed.analysis.calls.wire_stream import WireBytes, digest_of, first_difference, payload_at
from testbed.model import Call, Crossing, Fate, Host, peer_of
from testbed.model.ledgers import ContentDifference, DifferenceKind, LedgerPoint
from testbed.model.references import call_ref


def stream_difference(out: Stream, left: WireBytes, came: WireBytes, taken: Stream) -> ContentDifference | None:
    """Return the difference at the earliest point: written against sent, sent against arrived, arrived against read."""
    return (
        _against_calls(out, left, LedgerPoint.WRITTEN, LedgerPoint.SENT)
        or _between_wires(left, came)
        or _against_calls(taken, came, LedgerPoint.ARRIVED, LedgerPoint.READ)
        or _never_sent(left, came)
    )


def _between_wires(left: WireBytes, came: WireBytes) -> ContentDifference | None:
    found = left.difference(came)
    if found is None:
        return None
    offset, before, after = found
    return ContentDifference(
        LedgerPoint.SENT, LedgerPoint.ARRIVED, DifferenceKind.BYTE, offset, offset + 1, before, after
    )


def _against_calls(
    stream: Stream, wire: WireBytes, first: LedgerPoint, second: LedgerPoint
) -> ContentDifference | None:
    """Compare what calls moved with the wire: byte by byte as far as their kept prefix goes, else by digest."""
    for share in stream.shares:
        call = share.call
        prefix = wire.slice(share.start, share.start + len(call.data))
        index = first_difference(call.data, prefix) if prefix is not None else None
        if index is not None and prefix is not None:
            return _other_byte(call, prefix, index, first, second, share.start)
        if call.digest is None or len(call.data) == call.length:
            continue
        whole = wire.slice(share.start, share.end)
        if whole is not None and digest_of(whole) != call.digest:
            start = share.start + len(call.data)
            return ContentDifference(first, second, DifferenceKind.RANGE, start, share.end, call=call_ref(call))
    return None


def _other_byte(
    call: Call,
    shown: bytes,
    index: int,
    first: LedgerPoint,
    second: LedgerPoint,
    start: int = 0,
    datagram: int | None = None,
) -> ContentDifference:
    """Return the difference of a call's byte from the wire's, which is the second point for what was written."""
    values = (call.data[index], shown[index])
    before, after = values if first is LedgerPoint.WRITTEN else values[::-1]
    offset = start + index
    return ContentDifference(
        first, second, DifferenceKind.BYTE, offset, offset + 1, before, after, call=call_ref(call), datagram=datagram
    )


def _never_sent(left: WireBytes, came: WireBytes) -> ContentDifference | None:
    for run in came.runs:
        missing = len(run.data) - left.covered(run.start, run.end)
        if missing:
            return ContentDifference(
                LedgerPoint.SENT, LedgerPoint.ARRIVED, DifferenceKind.NEVER_SENT, run.start, run.end, count=missing
            )
    return None


def datagram_difference(
    streams: Streams, flow: int, sender: Host, crossings: list[Crossing]
) -> ContentDifference | None:
    """Return the difference of the first datagram that differs, of those at the earliest point.

    ``crossings`` are those of one flow and sender.
    """
    by_number = {crossing.n: crossing for crossing in crossings}
    for pair in streams.datagrams.get((flow, sender, "out"), ()):
        if pair.crossings:
            sent = [by_number[number] for number in pair.crossings]
            payload = b"".join(crossing.payload for crossing in sent)
            found = _of_calls(pair, sent[0], payload, LedgerPoint.WRITTEN, LedgerPoint.SENT)
            if found is not None:
                return found
    for crossing in crossings:
        if crossing.fate is Fate.CROSSED and not crossing.discarded:
            found = _changed_datagram(crossing, payload_at(crossing, "arrived"))
            if found is not None:
                return found
    for pair in streams.datagrams.get((flow, peer_of(sender), "in"), ()):
        if pair.crossings:
            came = [by_number[number] for number in pair.crossings]
            payload = b"".join(payload_at(crossing, "arrived") for crossing in came)
            found = _of_calls(pair, came[0], payload, LedgerPoint.ARRIVED, LedgerPoint.READ)
            if found is not None:
                return found
    return None


def _changed_datagram(crossing: Crossing, there: bytes) -> ContentDifference | None:
    index = first_difference(crossing.payload, there)
    if index is None:
        return None
    common = index < min(len(crossing.payload), len(there))
    return ContentDifference(
        LedgerPoint.SENT,
        LedgerPoint.ARRIVED,
        DifferenceKind.BYTE if common else DifferenceKind.LENGTH,
        index,
        index + 1 if common else max(len(crossing.payload), len(there)),
        before=crossing.payload[index] if common else None,
        after=there[index] if common else None,
        before_length=len(crossing.payload),
        after_length=len(there),
        datagram=crossing.start,
        packet=crossing.n,
    )


def _of_calls(
    datagram: Datagram, crossing: Crossing, payload: bytes, first: LedgerPoint, second: LedgerPoint
) -> ContentDifference | None:
    """Compare what the calls of a datagram moved with the bytes on the wire, the calls one after the other."""
    if len(datagram.calls) == 1 or datagram.length != len(payload):
        return _one_datagram(datagram.calls[-1], crossing, payload, first, second)
    at = 0
    for call in datagram.calls:
        found = _one_datagram(call, crossing, payload[at : at + call.length], first, second)
        if found is not None:
            return replace(found, offset=found.offset + at, end=found.end + at)
        at += call.length
    return None


def _one_datagram(
    call: Call, crossing: Crossing, payload: bytes, first: LedgerPoint, second: LedgerPoint
) -> ContentDifference | None:
    """Compare what one call moved with the datagram that it made or took."""
    if call.length != len(payload):
        lengths = (call.length, len(payload))
        before, after = lengths if first is LedgerPoint.WRITTEN else lengths[::-1]
        return ContentDifference(
            first,
            second,
            DifferenceKind.LENGTH,
            min(lengths),
            max(lengths),
            before_length=before,
            after_length=after,
            call=call_ref(call),
            datagram=crossing.start,
        )
    index = first_difference(call.data, payload[: len(call.data)])
    if index is not None:
        return _other_byte(call, payload, index, first, second, datagram=crossing.start)
    if call.digest is not None and digest_of(payload) != call.digest:
        start = len(call.data)
        return ContentDifference(
            first, second, DifferenceKind.RANGE, start, call.length, call=call_ref(call), datagram=crossing.start
        )
    return None
