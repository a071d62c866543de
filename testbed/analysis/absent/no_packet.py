"""Calls that caused no packet, and why, where a reader would expect one: connect, accept, sends, shutdown, close."""

from __future__ import annotations

from collections.abc import Iterable

from testbed.analysis.absent.unsent_bytes import unsent_calls
from testbed.analysis.calls.call_effects import (
    STARTED,
    is_accept,
    moves_bytes,
    shutdown_how,
    shuts_writing,
    starts_connection,
    succeeded,
)
from testbed.analysis.calls.endpoint_calls import names
from testbed.analysis.calls.sockets import ObservedSocket
from testbed.analysis.calls.streams import Streams
from testbed.analysis.causes.endpoint import came_at
from testbed.model import HOSTS, Call, Cause, Crossing, Host, Joined, peer_of

_REPEATED = {
    "EALREADY": "the connection was being opened already",
    "EISCONN": "the connection was open already",
}


def silent_calls(joined: Joined, streams: Streams, causes: Iterable[Cause]) -> dict[tuple[Host, int], str]:
    """Return the reason for each call from which a packet could be expected and which caused none.

    A call of whose bytes only some left is there as well, with how many did not, and why.
    """
    heard: set[tuple[Host, int]] = set()
    resets: dict[tuple[int, Host], Crossing] = {}
    for packet, cause in zip(joined.crossings, causes, strict=True):
        heard.update((packet.sender, n) for n in cause.calls)
        if packet.flow is not None and "R" in packet.flags:
            if packet.sent is not None:
                resets.setdefault((packet.flow, packet.sender), packet)
            if packet.arrived is not None:
                resets.setdefault((packet.flow, peer_of(packet.sender)), packet)
    unsent = unsent_calls(streams, resets)
    found: dict[tuple[Host, int], str] = {}
    for host in HOSTS:
        for socket in streams.sockets[host]:
            for call in socket.calls:
                if call.host == host and (host, call.n) not in heard:
                    flow = streams.flow_of.get((host, call.n))
                    reset = _first_reset(resets, flow, call)
                    reason = unsent.get((host, call.n)) or _reason(socket, call, heard, reset, streams)
                    if reason:
                        found[host, call.n] = reason
    return {**unsent, **found}


def _first_reset(resets: dict[tuple[int, Host], Crossing], flow: int | None, call: Call) -> Crossing | None:
    """Return the RST that had ended the connection for the call's host when it was made or while it lasted."""
    reset = resets.get((flow, call.host)) if flow is not None else None
    if reset is None:
        return None
    known = reset.time if reset.sender == call.host else came_at(reset)
    return None if call.end is not None and known > call.end else reset


def _reason(
    socket: ObservedSocket, call: Call, heard: set[tuple[Host, int]], reset: Crossing | None, streams: Streams
) -> str:
    if is_accept(call):
        return _accept(call)
    if starts_connection(call) and call.name == "connect":
        return _connect(socket, call, heard)
    if shutdown_how(call) is not None:
        return _shutdown(socket, call, reset)
    if call.name in ("close", "fclose"):
        return _close(socket, call, heard, reset, streams)
    if call.direction == "out" or call.name.startswith("send"):
        return _send(socket, call, reset, streams)
    return ""


def _accept(call: Call) -> str:
    if succeeded(call):
        return "takes a connection that the kernel had opened already"
    if call.end is None:
        return "no connection came"
    return "no connection was waiting" if call.errno == "EAGAIN" else f"failed: {call.errno}"


def _connect(socket: ObservedSocket, call: Call, heard: set[tuple[Host, int]]) -> str:
    if socket.protocol == "udp":
        return "on a datagram socket it only notes the peer"
    if call.errno in _REPEATED:
        return _REPEATED[call.errno]
    earlier = [each for each in socket.calls if each.name == "connect" and each.start < call.start]
    if earlier and (call.host, earlier[0].n) in heard:
        return f"{names(earlier[:1])} had opened the connection"
    if call.errno is not None:
        return f"failed before a SYN left: {call.errno}"
    return f"no SYN of it was captured{_inside(socket)}"


def _shutdown(socket: ObservedSocket, call: Call, reset: Crossing | None) -> str:
    if call.errno == "ENOTCONN":
        return f"the connection had ended: RST #{reset.n}" if reset is not None else "the socket is not connected"
    if call.errno is not None:
        return f"failed: {call.errno}"
    if shutdown_how(call) == "SHUT_RD":
        return "SHUT_RD only ends reading here; TCP has no way to tell the peer"
    if socket.protocol == "udp":
        return "a datagram socket has no connection to end"
    if socket.listening:
        return "it only stops listening"
    earlier = [each for each in socket.calls if shuts_writing(each) and each.start < call.start]
    if earlier:
        return f"{names(earlier[:1])} had ended the direction already"
    return _broken(reset) or "no FIN of it was captured"


def _close(
    socket: ObservedSocket, call: Call, heard: set[tuple[Host, int]], reset: Crossing | None, streams: Streams
) -> str:
    if call.errno is not None:
        return f"failed: {call.errno}"
    if socket.protocol == "udp":
        return "a datagram socket has no connection to end"
    if socket.listening:
        return "only stops listening"
    if socket.peer is None and socket.flow is None:
        return "the socket was not connected"
    earlier = [each for each in socket.calls if shuts_writing(each) and (each.host, each.n) in heard]
    if earlier and earlier[0].start < call.start:
        return f"{names(earlier[:1])} had sent the FIN"
    if reset is not None:
        return _broken(reset)
    later = [hold for hold in socket.holds if hold.ended is None or hold.ended.start > call.start]
    closers = [hold.ended for hold in later if hold.ended is not None]
    if closers:
        last = max(closers, key=lambda each: (each.start, each.n))
        return f"another descriptor of the socket was open until {names([last])}"
    if any(hold.used for hold in later):
        return "another descriptor of the socket was still open"
    failed = [each for each in socket.calls if each.name == "connect" and each.errno is not None]
    if failed and failed[-1].errno in STARTED and not _answered(socket, call, streams):
        return f"the connection was not open yet (SYN_SENT): nothing had answered {names(failed[-1:])}"
    if failed:
        return f"the connection was never open: {names(failed[-1:])} gave {failed[-1].errno}"
    gone = [each for each in socket.calls if each.errno == "ETIMEDOUT" and each.start < call.start]
    if gone:
        return f"the connection was gone: {names(gone[-1:])} gave ETIMEDOUT"
    return f"no FIN of it was captured{_inside(socket)}"


def _answered(socket: ObservedSocket, call: Call, streams: Streams) -> bool:
    """Say whether anything of the peer's had come before the call returned."""
    theirs = streams.by_sender.get((socket.flow, peer_of(socket.host)), ()) if socket.flow is not None else ()
    return any(each.arrived is not None and (call.end is None or each.arrived < call.end) for each in theirs)


def _send(socket: ObservedSocket, call: Call, reset: Crossing | None, streams: Streams) -> str:
    if call.errno == "EPIPE":
        ended = [each for each in socket.calls if shuts_writing(each) and each.start < call.start]
        if ended:
            return f"{names(ended[:1])} had ended the sending direction (EPIPE)"
        return f"the connection had ended: {_broken(reset)} (EPIPE)" if reset else "the connection had ended (EPIPE)"
    if call.errno == "EAGAIN":
        return "the send buffer was full (EAGAIN)"
    if call.errno is not None:
        return f"failed: {call.errno}{', ' + _broken(reset) if reset is not None else ''}"
    if call.end is None and not call.length:
        return "never returned, and none of its bytes left"
    if socket.protocol == "udp":
        return "its datagram never reached the wire"
    if not moves_bytes(call, "out"):
        return "0 bytes: there is nothing to send"
    if streams.flow_of.get((call.host, call.n)) is None:
        return f"no packet of its connection was captured{_inside(socket)}"
    return "its bytes left in a packet that no rule gives to it"


def _inside(socket: ObservedSocket) -> str:
    """Say if both ends of a connection are on one host: what is sent to an own address goes over the loopback."""
    within = socket.local is not None and socket.peer is not None and socket.local.address == socket.peer.address
    return ": both of its ends are on this host" if within else ""


def _broken(reset: Crossing | None) -> str:
    return f"RST #{reset.n} of the {reset.sender} had broken the connection off" if reset is not None else ""
