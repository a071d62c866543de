"""Why bytes that a call wrote never left its host: what held them, or what ended the connection before."""

from __future__ import annotations

from collections.abc import Mapping

from testbed.analysis.calls.call_effects import has_flag, option_set, switched_on
from testbed.analysis.calls.endpoint_calls import names
from testbed.analysis.calls.sockets import ObservedSocket
from testbed.analysis.calls.streams import Share, Streams
from testbed.analysis.causes.release import OPTIONS_MOST
from testbed.model import HOSTS, Call, Crossing, Host, peer_of


def unsent_calls(streams: Streams, resets: Mapping[tuple[int, Host], Crossing]) -> dict[tuple[Host, int], str]:
    """Return, for each call of whose bytes no segment carries some or all, how many and why.

    ``resets`` holds, for each flow and host, the first RST that the host sent or got.
    """
    found = {}
    for host in HOSTS:
        for socket in streams.sockets[host]:
            if socket.protocol != "tcp" or socket.flow is None:
                continue
            sent = streams.wire(socket.flow, host, "sent")
            for share in streams.stream(socket.flow, host, "out").shares:
                missing = share.end - share.start - sent.covered(share.start, share.end)
                if missing:
                    why = _why(streams, socket, share, resets.get((socket.flow, host)))
                    of = "" if missing == share.end - share.start else f" of its {share.end - share.start:,}"
                    each = "bytes" if missing != 1 else "byte"
                    found[host, share.call.n] = (
                        f"its {missing:,} {each} never left the host: {why}"
                        if not of
                        else f"{missing:,}{of} bytes never left the host: {why}"
                    )
    return found


def _why(streams: Streams, socket: ObservedSocket, share: Share, reset: Crossing | None) -> str:
    assert socket.flow is not None  # noqa: S101 - the caller has looked
    held = _held(streams, socket.flow, socket, share)
    if reset is not None:
        until = f", until RST #{reset.n} of the {reset.sender} broke the connection off"
        return f"{held}{until}" if held else f"RST #{reset.n} of the {reset.sender} had broken the connection off"
    return held or "still queued at the end"


def _held(streams: Streams, flow: int, socket: ObservedSocket, share: Share) -> str:
    """Say what held bytes back that nothing had let go by the end; empty if that cannot be told."""
    ours = [each for each in streams.by_sender.get((flow, socket.host), ()) if each.length]
    theirs = streams.by_sender.get((flow, peer_of(socket.host)), ())
    came = [each for each in theirs if each.arrived is not None and each.ack is not None and "R" not in each.flags]
    acked = max((each.ack or 0 for each in came), default=0)
    waits = next((each for each in reversed(ours) if each.end <= share.end and each.seq + each.length > acked), None)
    last = came[-1] if came else None
    if last is not None and "S" not in last.flags and last.window == 0:
        return f"the peer's window was full (#{last.n} offers 0)"
    cork = _last(socket, "TCP_CORK")
    if cork is not None and switched_on(cork, "TCP_CORK"):
        return f"held by TCP_CORK ({names([cork])})"
    if has_flag(share.call, "MSG_MORE"):
        return f"held by MSG_MORE of {names([share.call])}"
    nodelay = _last(socket, "TCP_NODELAY")
    full = next((each.options.get("mss", 0) for each in theirs if "S" in each.flags), 0)
    small = share.end - max(share.start, streams.wire(flow, socket.host, "sent").high) < full - OPTIONS_MOST
    if waits is not None and small and not (nodelay is not None and switched_on(nodelay, "TCP_NODELAY")):
        return f"held by Nagle's algorithm, as #{waits.n} was not acknowledged"
    return ""


def _last(socket: ObservedSocket, option: str) -> Call | None:
    return next((call for call in reversed(socket.calls) if option_set(call, option)), None)
