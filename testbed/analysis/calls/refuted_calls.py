"""Logged calls that the host's own capture refutes: a program can write into the log of its host, or a clock is wrong.

Only what cannot be true of any program is told: bytes that were read before they came or that never came, bytes that
left before any call had them to write. What a program makes up within these limits is not noticed (docs/security.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from testbed.analysis.calls.streams import Streams
from testbed.model import Host, Joined, LedgerRow, peer_of

SLACK = 100_000_000
"""Nanoseconds: observers and captures read the same clock, but debuggers' logs are late, and a clock may be set."""


def refuted_calls(joined: Joined, ledger: Sequence[LedgerRow], streams: Streams) -> Iterator[str]:
    """Yield a sentence for each direction of a TCP connection whose log and capture cannot both be true."""
    tcp = {flow.index for flow in joined.flows if flow.protocol == "tcp"}
    for row in ledger:
        if row.flow not in tcp:
            continue
        yield from _read(row, streams)
        yield from _written(row, streams)


def _read(row: LedgerRow, streams: Streams) -> Iterator[str]:
    reader = peer_of(row.sender)
    arrived = [
        crossing.arrived
        for crossing in streams.by_sender.get((row.flow, row.sender), ())
        if crossing.arrived is not None and crossing.payload and not crossing.discarded
    ]
    if row.read.bytes is not None and row.read.bytes > (row.arrived.bytes or 0):
        yield _refuted(reader, f"{row.read.bytes} bytes were read, its capture has {row.arrived.bytes or 0}")
        return
    ends = [share.call.end for share in streams.stream(row.flow, reader, "in").shares if share.call.end is not None]
    if ends and arrived and min(ends) < min(arrived) - SLACK:
        yield _refuted(reader, f"bytes were read {_ms(min(arrived) - min(ends))} before its capture has any")


def _written(row: LedgerRow, streams: Streams) -> Iterator[str]:
    starts = [share.call.start for share in streams.stream(row.flow, row.sender, "out").shares]
    sent = [
        crossing.sent
        for crossing in streams.by_sender.get((row.flow, row.sender), ())
        if crossing.sent is not None and crossing.payload
    ]
    if row.written.bytes is not None and starts and sent and min(sent) < min(starts) - SLACK:
        yield _refuted(row.sender, f"bytes left {_ms(min(starts) - min(sent))} before any were written")


def _refuted(host: Host, what: str) -> str:
    return f"{host}: the log of its calls contradicts its capture: {what} (a program that forges its log, or a clock?)"


def _ms(ns: int) -> str:
    return f"{ns / 1e6:.0f} ms"
