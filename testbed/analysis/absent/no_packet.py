"""Why a call caused no packet, where a reader would expect one: connect, accept, sends, shutdown, close."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

from testbed.analysis.absent.broken_off import End, broken_off, ended_by
from testbed.analysis.absent.unsent_bytes import unsent_calls
from testbed.analysis.calls.call_effects import (
    STARTED,
    connect_error,
    disconnects,
    is_accept,
    moves_bytes,
    option_set,
    option_value,
    shutdown_how,
    shuts_writing,
    starts_connection,
    succeeded,
)
from testbed.analysis.calls.datagram_calls import sent_datagrams
from testbed.analysis.calls.sockets import ObservedSocket
from testbed.analysis.calls.streams import Streams
from testbed.model import HOSTS, Call, Cause, Crossing, Host, Joined, PacketRef, call_ref, peer_of
from testbed.model.absences import NoPacket, NoPacketReason
from testbed.model.causes import Basis
from testbed.model.hosts import HostAddresses

R = NoPacketReason
_UNANSWERED = frozenset({None, "EINPROGRESS", "ECONNREFUSED", "ETIMEDOUT"})
"""Results of a connect that has sent a SYN."""
_REPEATED = {"EALREADY": R.BEING_OPENED, "EISCONN": R.ALREADY_OPEN}


def calls_without_packet(
    joined: Joined,
    streams: Streams,
    causes: Sequence[Cause],
    sysctls: Mapping[Host, Mapping[str, str]] = MappingProxyType({}),
    queued: Collection[Host] = (),
    addresses: Mapping[Host, HostAddresses] = MappingProxyType({}),
) -> dict[tuple[Host, int], NoPacket]:
    """Return the reason for each call from which a packet could be expected and which caused none.

    A call of whose bytes only some left is included, with how many did not, and why. ``causes`` are aligned with the
    crossings, ``sysctls``, ``queued`` and ``addresses`` as in :class:`testbed.model.Inputs`.
    """
    caused: set[tuple[Host, int]] = set()
    for packet, cause in zip(joined.crossings, causes, strict=True):
        caused.update((packet.sender, n) for n in cause.calls)
    ends = broken_off(joined.crossings, streams)
    run = _Run(streams, caused, unsent_calls(streams, ends), sysctls, queued, addresses, _not_said(joined, causes))
    found: dict[tuple[Host, int], NoPacket] = {}
    for host in HOSTS:
        for socket in streams.sockets[host]:
            for call in socket.calls:
                if call.host == host and (host, call.n) not in caused:
                    end = _end_before(ends, streams.flow_of.get((host, call.n)), call)
                    reason = run.unsent.get((host, call.n)) or _reason(run, socket, call, end)
                    if reason:
                        found[host, call.n] = reason
    return {**run.unsent, **found}


class _Run(NamedTuple):
    """What the reasons are found in; ``caused`` are the calls that caused a packet, ``unsent`` those that did not."""

    streams: Streams
    caused: set[tuple[Host, int]]
    unsent: Mapping[tuple[Host, int], NoPacket]
    sysctls: Mapping[Host, Mapping[str, str]]
    queued: Collection[Host]
    addresses: Mapping[Host, HostAddresses]
    not_said: Mapping[tuple[int, Host], tuple[Crossing, ...]]
    """Packets with bytes, in time order, of which it is not known in the course of what they were sent."""


def _not_said(joined: Joined, causes: Sequence[Cause]) -> Mapping[tuple[int, Host], tuple[Crossing, ...]]:
    found: dict[tuple[int, Host], list[Crossing]] = defaultdict(list)
    for packet, cause in zip(joined.crossings, causes, strict=True):
        known = cause.sent_by is not None or cause.basis is Basis.KERNEL
        if packet.flow is not None and packet.sent is not None and packet.length and not known:
            found[packet.flow, packet.sender].append(packet)
    return {key: tuple(packets) for key, packets in found.items()}


def _end_before(ends: Mapping[tuple[int, Host], End], flow: int | None, call: Call) -> End | None:
    """Return what had broken the connection off at the call's host when it was made or while it lasted."""
    end = ends.get((flow, call.host)) if flow is not None else None
    return None if end is None or (call.end is not None and end.time > call.end) else end


def _reason(run: _Run, socket: ObservedSocket, call: Call, end: End | None) -> NoPacket | None:
    if is_accept(call):
        return _accept(call)
    if starts_connection(call) and call.name == "connect":
        return _connect(run, socket, call)
    if shutdown_how(call) is not None:
        return _shutdown(run, socket, call, end)
    if call.name in ("close", "closesocket", "fclose"):
        return _close(run, socket, call, end)
    if call.direction == "out" or call.name.startswith("send"):
        return _send(run, socket, call, end)
    return None


def _accept(call: Call) -> NoPacket:
    if succeeded(call):
        return NoPacket(R.TAKES_OPEN_CONNECTION)
    if call.end is None:
        return NoPacket(R.NO_CONNECTION_CAME)
    return NoPacket(R.NO_CONNECTION_WAITING) if call.errno == "EAGAIN" else _failed(call)


def _failed(call: Call, end: End | None = None) -> NoPacket:
    return NoPacket(R.FAILED, errno=call.errno or "", **ended_by(end))


def _connect(run: _Run, socket: ObservedSocket, call: Call) -> NoPacket | None:
    if socket.protocol == "udp":
        return NoPacket(R.NOTES_PEER)
    if call.errno in _REPEATED:
        return NoPacket(_REPEATED[call.errno])
    earlier = [each for each in socket.calls if each.name == "connect" and each.start < call.start]
    if earlier and (call.host, earlier[0].n) in run.caused:
        return NoPacket(R.OPENED_BEFORE, call_ref(earlier[0]))
    if _on_one_host(run, socket) and call.errno in _UNANSWERED:
        return NoPacket(R.SAME_HOST, errno=call.errno or "")
    if call.errno is not None and call.errno not in STARTED:
        return NoPacket(R.FAILED_BEFORE_SYN, errno=call.errno)
    return None if disconnects(call) else NoPacket(R.SYN_NOT_CAPTURED)


def _shutdown(run: _Run, socket: ObservedSocket, call: Call, end: End | None) -> NoPacket:
    if call.errno == "ENOTCONN":
        never = end is None and socket.flow is None
        return NoPacket(R.NOT_CONNECTED if never else R.CONNECTION_ENDED, **ended_by(end))
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
    perhaps = _sent_meanwhile(run, socket, call)
    if perhaps is not None:
        return perhaps
    return NoPacket(R.FIN_NOT_CAPTURED) if end is None else _ended(end)


def _sent_meanwhile(run: _Run, socket: ObservedSocket, call: Call) -> NoPacket | None:
    """Return that a packet of the connection left while a call was in progress, and may have been sent by it.

    Where it has to wait in the host's own queue it may have left later.
    """
    packets = run.not_said.get((socket.flow, call.host), ()) if socket.flow is not None else ()
    end = None if call.host in run.queued else call.end
    meanwhile = (each for each in packets if call.start <= each.time and (end is None or each.time <= end))
    first = next(meanwhile, None)
    return None if first is None else NoPacket(R.MAY_HAVE_SENT, packet=PacketRef(first.n))


def _ended(end: End) -> NoPacket:
    """Return that the connection had been broken off before the call."""
    if end.gave_up is not None:
        return NoPacket(R.CONNECTION_GONE, end.gave_up.call)
    if end.reset is None:
        return NoPacket(R.CONNECTION_ENDED)
    return NoPacket(R.RESET_BEFORE, reset=end.reset)


def _close(run: _Run, socket: ObservedSocket, call: Call, end: End | None) -> NoPacket:
    if call.errno is not None:
        return _failed(call)
    if socket.protocol == "udp":
        return NoPacket(R.NO_CONNECTION_TO_END)
    if socket.listening:
        return NoPacket(R.STOPS_LISTENING)
    if socket.peer is None and socket.flow is None:
        return NoPacket(R.NOT_CONNECTED)
    earlier = [each for each in socket.calls if shuts_writing(each) and (each.host, each.n) in run.caused]
    if earlier and earlier[0].start < call.start:
        return NoPacket(R.FIN_SENT_BEFORE, call_ref(earlier[0]))
    if end is not None:  # a RST that came during the call may have come after what the call sent
        return (_sent_meanwhile(run, socket, call) if end.time > call.start else None) or _ended(end)
    later = [each for each in socket.descriptors if each.ended is None or each.ended.start > call.start]
    closers = [each.ended for each in later if each.ended is not None]
    if closers:
        return NoPacket(R.OPEN_UNTIL, call_ref(max(closers, key=lambda each: (each.start, each.n))))
    if any(each.used or each.held for each in later):
        return NoPacket(R.STILL_OPEN)
    perhaps = _sent_meanwhile(run, socket, call)
    if perhaps is not None:
        return perhaps
    waiting = [reason for each in socket.calls if (reason := run.unsent.get((each.host, each.n))) is not None]
    if waiting and _answered(socket, call, run.streams):
        behind = sum(reason.unsent for reason in waiting)
        return replace(waiting[-1], behind=behind, unsent=0, written=0)
    return _never_open(run, socket, call)


def _never_open(run: _Run, socket: ObservedSocket, call: Call) -> NoPacket:
    """Return why the last close of a socket sent no FIN: its connection was not open, or was gone."""
    failed = [each for each in socket.calls if each.name == "connect" and each.errno is not None]
    told = [each for each in socket.calls if connect_error(each) is not None]
    if told:
        return NoPacket(R.NEVER_OPEN, call_ref(told[-1]), errno=connect_error(told[-1]) or "")
    if failed and not _on_one_host(run, socket) and not _answered(socket, call, run.streams):
        return NoPacket(R.NOT_OPEN_YET, call_ref(failed[-1]))
    return NoPacket(R.SAME_HOST if _on_one_host(run, socket) else R.FIN_NOT_CAPTURED)


def _answered(socket: ObservedSocket, call: Call, streams: Streams) -> bool:
    """Say whether any packet of the peer's had come before the call returned."""
    theirs = streams.by_sender.get((socket.flow, peer_of(socket.host)), ()) if socket.flow is not None else ()
    return any(each.arrived is not None and (call.end is None or each.arrived < call.end) for each in theirs)


def _send(run: _Run, socket: ObservedSocket, call: Call, end: End | None) -> NoPacket:
    if call.errno == "EPIPE":
        ended = [each for each in socket.calls if shuts_writing(each) and each.start < call.start]
        if ended:
            return NoPacket(R.SENDING_ENDED_BEFORE, call_ref(ended[0]), errno=call.errno)
        return NoPacket(R.CONNECTION_ENDED, errno=call.errno, **ended_by(end))
    if call.errno == "EAGAIN":
        return _no_room(run, socket, call)
    if call.errno is not None:
        return _failed(call, end)
    if call.end is None and not call.length:
        return NoPacket(R.NEVER_RETURNED)
    if socket.protocol == "udp":
        held = next((each.held for each in sent_datagrams(socket) if call in each.calls), None)
        return NoPacket(R.DATAGRAM_NOT_SENT) if held is None else NoPacket(R.DATAGRAM_HELD, call_ref(held))
    if not moves_bytes(call, "out"):
        return NoPacket(R.NO_BYTES)
    if run.streams.flow_of.get((call.host, call.n)) is None:
        return NoPacket(R.SAME_HOST if _on_one_host(run, socket) else R.NOT_CAPTURED)
    return NoPacket(R.UNATTRIBUTED)


def _no_room(run: _Run, socket: ObservedSocket, call: Call) -> NoPacket:
    """Return why a send that does not wait took nothing (sk_stream_memory_free, tcp_stream_memory_free)."""
    starts = [each for each in socket.calls if each.name == "connect" and each.errno in STARTED]
    if socket.protocol == "tcp" and starts and not _answered(socket, call, run.streams):
        return NoPacket(R.NOT_OPEN_YET, call_ref(starts[-1]), errno="EAGAIN")
    setters = [each for each in socket.calls if option_set(each, "TCP_NOTSENT_LOWAT") and each.start < call.start]
    value = option_value(setters[-1])[:1] if setters else ()
    setter = call_ref(setters[-1]) if any(value) else None
    limit = value[0] if any(value) else int(run.sysctls.get(call.host, {}).get("net.ipv4.tcp_notsent_lowat", _NO_LIMIT))
    if socket.flow is not None and _unsent_at(run.streams, socket.flow, call) >= limit & _NO_LIMIT:
        return NoPacket(R.NOTSENT_LOWAT, setter, errno="EAGAIN")
    return NoPacket(R.SEND_BUFFER_FULL, errno="EAGAIN")


_NO_LIMIT = 0xFFFF_FFFF


def _unsent_at(streams: Streams, flow: int, call: Call) -> int:
    """Return how many bytes had been written and not sent when a call began."""
    written = sum(
        share.end - share.start
        for share in streams.stream(flow, call.host, "out").shares
        if share.call.start < call.start
    )
    ours = streams.by_sender.get((flow, call.host), ())
    return written - max((each.end for each in ours if each.length and each.time < call.start), default=0)


def _on_one_host(run: _Run, socket: ObservedSocket) -> bool:
    """Say whether both ends of a connection are on one host: what is sent to an own address goes over the loopback."""
    if socket.peer is None:
        return False
    loopback = socket.peer.address.startswith("127.") or socket.peer.address == "::1"
    own = run.addresses[socket.host].all if socket.host in run.addresses else ()
    return (
        loopback
        or socket.peer.address in own
        or (socket.local is not None and socket.local.address == socket.peer.address)
    )
