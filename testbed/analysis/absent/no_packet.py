"""Why a call caused no packet, where a reader would expect one: connect, accept, sends, shutdown, close."""

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
from testbed.analysis.calls.sockets import ObservedSocket
from testbed.analysis.calls.streams import Streams
from testbed.analysis.causes.endpoint import arrival_time
from testbed.model import HOSTS, Call, Cause, Crossing, Host, Joined, PacketRef, call_ref, peer_of
from testbed.model.absences import NoPacket, NoPacketReason, Reset

R = NoPacketReason
_REPEATED = {"EALREADY": R.BEING_OPENED, "EISCONN": R.ALREADY_OPEN}


def calls_without_packet(joined: Joined, streams: Streams, causes: Iterable[Cause]) -> dict[tuple[Host, int], NoPacket]:
    """Return the reason for each call from which a packet could be expected and which caused none.

    A call of whose bytes only some left is included, with how many did not, and why. ``causes`` are aligned with the
    crossings.
    """
    caused: set[tuple[Host, int]] = set()
    resets: dict[tuple[int, Host], Crossing] = {}
    for packet, cause in zip(joined.crossings, causes, strict=True):
        caused.update((packet.sender, n) for n in cause.calls)
        if packet.flow is not None and "R" in packet.flags:
            if packet.sent is not None:
                resets.setdefault((packet.flow, packet.sender), packet)
            if packet.arrived is not None:
                resets.setdefault((packet.flow, peer_of(packet.sender)), packet)
    unsent = unsent_calls(streams, {key: _reset(packet) for key, packet in resets.items()})
    found: dict[tuple[Host, int], NoPacket] = {}
    for host in HOSTS:
        for socket in streams.sockets[host]:
            for call in socket.calls:
                if call.host == host and (host, call.n) not in caused:
                    flow = streams.flow_of.get((host, call.n))
                    reset = _first_reset(resets, flow, call)
                    reason = unsent.get((host, call.n)) or _reason(socket, call, caused, reset, streams)
                    if reason:
                        found[host, call.n] = reason
    return {**unsent, **found}


def _reset(packet: Crossing) -> Reset:
    return Reset(PacketRef(packet.n), packet.sender)


def _first_reset(resets: dict[tuple[int, Host], Crossing], flow: int | None, call: Call) -> Reset | None:
    """Return the RST that had ended the connection for the call's host when it was made or while it lasted."""
    reset = resets.get((flow, call.host)) if flow is not None else None
    if reset is None:
        return None
    known = reset.time if reset.sender == call.host else arrival_time(reset)
    return None if call.end is not None and known > call.end else _reset(reset)


def _reason(
    socket: ObservedSocket, call: Call, caused: set[tuple[Host, int]], reset: Reset | None, streams: Streams
) -> NoPacket | None:
    if is_accept(call):
        return _accept(call)
    if starts_connection(call) and call.name == "connect":
        return _connect(socket, call, caused)
    if shutdown_how(call) is not None:
        return _shutdown(socket, call, reset)
    if call.name in ("close", "fclose"):
        return _close(socket, call, caused, reset, streams)
    if call.direction == "out" or call.name.startswith("send"):
        return _send(socket, call, reset, streams)
    return None


def _accept(call: Call) -> NoPacket:
    if succeeded(call):
        return NoPacket(R.TAKES_OPEN_CONNECTION)
    if call.end is None:
        return NoPacket(R.NO_CONNECTION_CAME)
    return NoPacket(R.NO_CONNECTION_WAITING) if call.errno == "EAGAIN" else _failed(call)


def _failed(call: Call, reset: Reset | None = None) -> NoPacket:
    return NoPacket(R.FAILED, errno=call.errno or "", reset=reset)


def _connect(socket: ObservedSocket, call: Call, caused: set[tuple[Host, int]]) -> NoPacket:
    if socket.protocol == "udp":
        return NoPacket(R.NOTES_PEER)
    if call.errno in _REPEATED:
        return NoPacket(_REPEATED[call.errno])
    earlier = [each for each in socket.calls if each.name == "connect" and each.start < call.start]
    if earlier and (call.host, earlier[0].n) in caused:
        return NoPacket(R.OPENED_BEFORE, call_ref(earlier[0]))
    if call.errno is not None:
        return NoPacket(R.FAILED_BEFORE_SYN, errno=call.errno)
    return NoPacket(R.SAME_HOST if _on_one_host(socket) else R.SYN_NOT_CAPTURED)


def _shutdown(socket: ObservedSocket, call: Call, reset: Reset | None) -> NoPacket:
    if call.errno == "ENOTCONN":
        return NoPacket(R.NOT_CONNECTED if reset is None else R.CONNECTION_ENDED, reset=reset)
    if call.errno is not None:
        return _failed(call)
    if shutdown_how(call) == "SHUT_RD":
        return NoPacket(R.ENDS_READING_ONLY)
    if socket.protocol == "udp":
        return NoPacket(R.NO_CONNECTION_TO_END)
    if socket.listening:
        return NoPacket(R.STOPS_LISTENING)
    earlier = [each for each in socket.calls if shuts_writing(each) and each.start < call.start]
    if earlier:
        return NoPacket(R.SENDING_ENDED_BEFORE, call_ref(earlier[0]))
    return NoPacket(R.RESET_BEFORE, reset=reset) if reset is not None else NoPacket(R.FIN_NOT_CAPTURED)


def _close(
    socket: ObservedSocket, call: Call, caused: set[tuple[Host, int]], reset: Reset | None, streams: Streams
) -> NoPacket:
    if call.errno is not None:
        return _failed(call)
    if socket.protocol == "udp":
        return NoPacket(R.NO_CONNECTION_TO_END)
    if socket.listening:
        return NoPacket(R.STOPS_LISTENING)
    if socket.peer is None and socket.flow is None:
        return NoPacket(R.NOT_CONNECTED)
    earlier = [each for each in socket.calls if shuts_writing(each) and (each.host, each.n) in caused]
    if earlier and earlier[0].start < call.start:
        return NoPacket(R.FIN_SENT_BEFORE, call_ref(earlier[0]))
    if reset is not None:
        return NoPacket(R.RESET_BEFORE, reset=reset)
    later = [each for each in socket.descriptors if each.ended is None or each.ended.start > call.start]
    closers = [each.ended for each in later if each.ended is not None]
    if closers:
        return NoPacket(R.OPEN_UNTIL, call_ref(max(closers, key=lambda each: (each.start, each.n))))
    if any(each.used for each in later):
        return NoPacket(R.STILL_OPEN)
    return _never_open(socket, call, streams)


def _never_open(socket: ObservedSocket, call: Call, streams: Streams) -> NoPacket:
    """Return why the last close of a socket sent no FIN: its connection was not open, or was gone."""
    failed = [each for each in socket.calls if each.name == "connect" and each.errno is not None]
    if failed and failed[-1].errno in STARTED and not _answered(socket, call, streams):
        return NoPacket(R.NOT_OPEN_YET, call_ref(failed[-1]))
    if failed:
        return NoPacket(R.NEVER_OPEN, call_ref(failed[-1]), errno=failed[-1].errno or "")
    gone = [each for each in socket.calls if each.errno == "ETIMEDOUT" and each.start < call.start]
    if gone:
        return NoPacket(R.CONNECTION_GONE, call_ref(gone[-1]))
    return NoPacket(R.SAME_HOST if _on_one_host(socket) else R.FIN_NOT_CAPTURED)


def _answered(socket: ObservedSocket, call: Call, streams: Streams) -> bool:
    """Say whether any packet of the peer's had come before the call returned."""
    theirs = streams.by_sender.get((socket.flow, peer_of(socket.host)), ()) if socket.flow is not None else ()
    return any(each.arrived is not None and (call.end is None or each.arrived < call.end) for each in theirs)


def _send(socket: ObservedSocket, call: Call, reset: Reset | None, streams: Streams) -> NoPacket:
    if call.errno == "EPIPE":
        ended = [each for each in socket.calls if shuts_writing(each) and each.start < call.start]
        if ended:
            return NoPacket(R.SENDING_ENDED_BEFORE, call_ref(ended[0]), errno=call.errno)
        return NoPacket(R.CONNECTION_ENDED, errno=call.errno, reset=reset)
    if call.errno == "EAGAIN":
        return NoPacket(R.SEND_BUFFER_FULL, errno=call.errno)
    if call.errno is not None:
        return _failed(call, reset)
    if call.end is None and not call.length:
        return NoPacket(R.NEVER_RETURNED)
    if socket.protocol == "udp":
        return NoPacket(R.DATAGRAM_NOT_SENT)
    if not moves_bytes(call, "out"):
        return NoPacket(R.NO_BYTES)
    if streams.flow_of.get((call.host, call.n)) is None:
        return NoPacket(R.SAME_HOST if _on_one_host(socket) else R.NOT_CAPTURED)
    return NoPacket(R.UNATTRIBUTED)


def _on_one_host(socket: ObservedSocket) -> bool:
    """Say whether both ends of a connection are on one host: what is sent to an own address goes over the loopback."""
    return socket.local is not None and socket.peer is not None and socket.local.address == socket.peer.address
