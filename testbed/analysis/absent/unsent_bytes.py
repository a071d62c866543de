"""Why bytes that a call wrote never left its host: what held them, or what ended the connection before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from testbed.analysis.absent.broken_off import End, ended_by
from testbed.analysis.calls.call_effects import has_flag, option_set, switched_on
from testbed.analysis.calls.sockets import ObservedSocket
from testbed.analysis.calls.streams import Share, Streams
from testbed.analysis.causes.endpoint import OPTIONS_MOST
from testbed.model import HOSTS, Call, Host, PacketRef, call_ref, peer_of
from testbed.model.absences import NoPacket, NoPacketReason

_FOREVER = 1 << 63


def unsent_calls(streams: Streams, ends: Mapping[tuple[int, Host], End]) -> dict[tuple[Host, int], NoPacket]:
    """Return, for each call of whose bytes no segment carries some or all, how many and why.

    ``ends`` holds, for each flow and host, what ended the connection there.
    """
    found = {}
    for host in HOSTS:
        for socket in streams.sockets[host]:
            if socket.protocol != "tcp" or socket.flow is None:
                continue
            sent = streams.wire(socket.flow, host, "sent")
            for share in streams.stream(socket.flow, host, "out").shares:
                written = share.end - share.start
                unsent = written - sent.covered(share.start, share.end)
                if unsent:
                    why = _why(streams, socket, share, ends.get((socket.flow, host)))
                    found[host, share.call.n] = replace(why, unsent=unsent, written=written)
    return found


def _why(streams: Streams, socket: ObservedSocket, share: Share, end: End | None) -> NoPacket:
    assert socket.flow is not None  # noqa: S101 - the caller has looked
    held = _held(streams, socket.flow, socket, share, until=_FOREVER if end is None else end.time)
    if held is None:
        held = NoPacket(_ended(end))
    return replace(held, **ended_by(end))


def _ended(end: End | None) -> NoPacketReason:
    if end is None:
        return NoPacketReason.STILL_QUEUED
    known = end.reset is not None or end.gave_up is not None
    return NoPacketReason.RESET_BEFORE if known else NoPacketReason.CONNECTION_ENDED


def _held(streams: Streams, flow: int, socket: ObservedSocket, share: Share, until: int) -> NoPacket | None:
    """Return what held bytes that nothing had released ``until`` (ns) the end; None if that is not known."""
    ours = [each for each in streams.by_sender.get((flow, socket.host), ()) if each.length]
    theirs = streams.by_sender.get((flow, peer_of(socket.host)), ())
    came = [
        each
        for each in theirs
        if each.arrived is not None and each.arrived <= until and each.ack is not None and "R" not in each.flags
    ]
    acked = max((each.ack or 0 for each in came), default=0)
    waits = next((each for each in reversed(ours) if each.end <= share.end and each.seq + each.length > acked), None)
    last = came[-1] if came else None
    if last is not None and "S" not in last.flags and last.window == 0:
        return NoPacket(NoPacketReason.PEER_WINDOW_FULL, packet=PacketRef(last.n))
    cork = _last(socket, "TCP_CORK")
    if cork is not None and switched_on(cork, "TCP_CORK"):
        return NoPacket(NoPacketReason.HELD_BY_CORK, call_ref(cork))
    if has_flag(share.call, "MSG_MORE"):
        return NoPacket(NoPacketReason.HELD_BY_MORE, call_ref(share.call))
    nodelay = _last(socket, "TCP_NODELAY")
    full = next((each.options.get("mss", 0) for each in theirs if "S" in each.flags), 0)
    small = share.end - max(share.start, streams.wire(flow, socket.host, "sent").high) < full - OPTIONS_MOST
    if waits is not None and small and not (nodelay is not None and switched_on(nodelay, "TCP_NODELAY")):
        return NoPacket(NoPacketReason.HELD_BY_NAGLE, packet=PacketRef(waits.n))
    return None


def _last(socket: ObservedSocket, option: str) -> Call | None:
    return next((call for call in reversed(socket.calls) if option_set(call, option)), None)
