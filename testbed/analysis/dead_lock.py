"""Connections on which both programs wait for each other for ever: both are in a write, and neither reads.

Each end's receive buffer is full (its last segment offers a window of 0), so that the peer's bytes stay in the peer's
send buffer, whose write cannot return; nothing that is on its way can change that.
"""

from __future__ import annotations

from collections.abc import Iterator

from testbed.analysis.calls.call_effects import moves_bytes
from testbed.analysis.calls.streams import Streams
from testbed.model import HOSTS, Call, Crossing, Host, Joined, call_ref
from testbed.model.call_table import going
from testbed.model.verdicts import DeadLock

_WRITES = going("out")
_LONG = 1_000_000_000
"""A write that returned after so long (ns), by SO_SNDTIMEO or a signal, had been blocked."""


def dead_locks(joined: Joined, streams: Streams) -> Iterator[DeadLock]:
    """Yield the TCP connections that came to a dead-lock of both ends, where the calls of both are known."""
    for flow in joined.flows:
        if flow.protocol != "tcp":
            continue
        blocked = {host: _blocked(streams, flow.index, host) for host in HOSTS}
        client, server = blocked["client"], blocked["server"]
        if client is None or server is None:
            continue
        since = max(client.start, server.start)
        until = min((call.end for call in (client, server) if call.end is not None), default=None)
        if until is not None and until <= since:
            continue
        stuck = all(
            _window(streams, flow.index, host, until) == 0 and not _reads(streams, flow.index, host, since, until)
            for host in HOSTS
        )
        if stuck:
            yield DeadLock(flow.index, (call_ref(client), call_ref(server)))


def _blocked(streams: Streams, flow: int, host: Host) -> Call | None:
    """Return the host's last write if it never returned, or only after long."""
    writes = [call for call in streams.calls.get((flow, host), ()) if call.name in _WRITES]
    if not writes:
        return None
    last = max(writes, key=lambda call: (call.start, call.n))
    return last if last.end is None or last.end - last.start >= _LONG else None


def _window(streams: Streams, flow: int, host: Host, until: int | None) -> int | None:
    """Return the window in the last segment that a host sent before ``until``, or before it ended the connection."""
    found: Crossing | None = None
    for packet in streams.by_sender.get((flow, host), ()):
        if packet.sent is None or (until is not None and packet.sent > until) or set(packet.flags) & set("FR"):
            break
        found = packet
    return found.window if found is not None else None


def _reads(streams: Streams, flow: int, host: Host, since: int, until: int | None) -> bool:
    return any(
        moves_bytes(call, "in") and call.end is not None and call.end > since and (until is None or call.start < until)
        for call in streams.calls.get((flow, host), ())
    )
