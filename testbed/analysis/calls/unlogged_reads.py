"""Bytes that a program has read by calls that nobody logged: standard I/O, a system call made directly, io_uring."""

from __future__ import annotations

from collections.abc import Iterable

from testbed.analysis.calls.call_effects import moves_bytes
from testbed.analysis.calls.streams import Streams
from testbed.model import Crossing, Host, peer_of


def unlogged_reads(streams: Streams, flow: int, receiver: Host, crossings: Iterable[Crossing]) -> int:
    """Return how many bytes of a TCP connection must have been read by calls that are not in the receiver's log.

    The kernel answers a close with bytes unread by a RST (RFC 2525 section 2.17, __tcp_close). So where a close sent a
    FIN, all that the FIN acknowledges had been read. 0 where nothing of that kind is certain.
    """
    fin = next((each for each in crossings if each.sender == receiver and "F" in each.flags), None)
    if fin is None or fin.sent is None or fin.ack is None or not streams.knows(flow, receiver):
        return 0
    calls = streams.calls[flow, receiver]
    if any(call.name == "shutdown" and call.start <= fin.sent for call in calls):
        return 0  # it may have sent the FIN, and a shutdown does not look at what is unread
    logged = sum(call.length for call in calls if moves_bytes(call, "in") and call.start <= fin.sent)
    came = streams.wire(flow, peer_of(receiver), "arrived").covered(0, max(fin.ack - 1, 0))
    urgent = sum("U" in each.flags for each in crossings if each.sender != receiver)
    return max(came - logged - urgent, 0)
