"""Rules for RST: which state change, arrival or timer made the kernel break the connection off.

Linux sends two kinds. ``tcp_send_active_reset`` (a call, an exit, a timer) sets ACK and the next sequence number.
``tcp_v4_send_reset`` answers a segment: without ACK, its sequence number is that segment's ACK (RFC 9293 section
3.10.7.1); to a SYN, with ACK and sequence number 0.
"""

from __future__ import annotations

from testbed.analysis.calls.call_effects import is_accept, is_close, option_value, resets_on_close, switched_on
from testbed.analysis.calls.endpoint_calls import duration, names
from testbed.analysis.causes.endpoint import Side, Why, came_at, sequence_length
from testbed.model import Call, Crossing


def closed_port(side: Side, packet: Crossing) -> Why | None:
    """Explain a RST to a SYN: no socket listens there, the listener would not take it, or it came too late."""
    syn = side.unanswered_syn
    if "R" not in packet.flags or syn is None:
        return None
    if side.snd_max is not None:
        late = packet.raw_seq == 0 and packet.ack == syn.seq + sequence_length(syn)
        return Why(f"refuses the SYN #{syn.n}: the connection had ended", packets=(syn.n,)) if late else None
    listeners = _listener_calls(side, packet, "listen")
    own = side.streams.flows[side.flow].endpoint(side.host)
    if not side.observed:
        reason = f"nothing takes connections on {own}"
    elif listeners:
        reason = f"{own} takes no connection, although {names(listeners[-1:])} had been made"
    else:
        reason = f"nothing listens on {own}"
    return Why(f"refuses the SYN #{syn.n}: {reason}", packets=(syn.n,))


def answer(side: Side, packet: Crossing) -> Why | None:
    """Explain a RST without ACK: it answers a segment that no socket takes."""
    if packet.flags != "R":
        return None
    culprit = side.by_ack.get(packet.seq)
    if culprit is None or side.snd_max is None:
        culprit = side.last_arrival
    if culprit is None:
        return None
    closes = [call for call in side.closes if call.start <= packet.time]
    if closes:
        reason = f"it came after {names(closes[-1:])}"
    elif side.known:
        reason = "the socket was gone"
    else:
        reason = f"no socket takes it; {side.unseen}"
    what = f"the {culprit.length} bytes of #{culprit.n}" if culprit.length else f"#{culprit.n}"
    return Why(f"answers {what}: {reason}", packets=(culprit.n,))


def lingering(side: Side, packet: Crossing) -> Why | None:
    """Explain a RST by close with SO_LINGER on and zero seconds (tcp_close, __tcp_close)."""
    close = _closing(side, packet)
    setters = [call for call in side.calls if resets_on_close(call)] if close is not None else []
    if close is None or not setters:
        return None
    return Why(f"{names([close])} with SO_LINGER 0 ({names(setters[-1:])})", (setters[-1].n, close.n))


def unread(side: Side, packet: Crossing) -> Why | None:
    """Explain a RST by close while bytes waited to be read (RFC 2525 section 2.17, __tcp_close)."""
    close = _closing(side, packet)
    if close is None:
        return None
    count = side.unread_at(packet.time)
    return Why(f"{names([close])} with {count} unread byte{'s' * (count != 1)}", (close.n,)) if count > 0 else None


def listener_closed(side: Side, packet: Crossing) -> Why | None:
    """Explain a RST of a connection nobody had accepted by the listener's close (inet_csk_listen_stop)."""
    if "R" not in packet.flags or not side.observed or any(not is_accept(call) for call in side.calls):
        return None
    closes = _listener_calls(side, packet, "close")
    if not closes:
        return None
    return Why(f"{names(closes[-1:])} closed the listener; nobody had accepted this connection", (closes[-1].n,))


def user_timeout(side: Side, packet: Crossing) -> Why | None:
    """Explain a RST after a probe that nobody answered by TCP_USER_TIMEOUT (tcp_keepalive_timer, RFC 5482)."""
    probed = unanswered_probes(side, packet)
    setters = [call for call in side.calls if switched_on(call, "TCP_USER_TIMEOUT") and call.start <= packet.time]
    if probed is None or not setters:
        return None
    last = side.last_arrival
    if last is None:
        return None
    since = f"nothing came for {duration(packet.time - came_at(last))}, since #{last.n}"
    limit = duration(option_value(setters[-1])[0] * 1_000_000)
    return Why(f"gives up: {since}; {names(setters[-1:])} had set TCP_USER_TIMEOUT to {limit}", (), probed.packets)


def unanswered_probes(side: Side, packet: Crossing) -> Why | None:
    """Explain a RST after the last keep-alive probe that nobody answered (tcp_keepalive_timer)."""
    last = side.last_sent
    if "R" not in packet.flags or last is None or side.last_rule not in ("keep-alive-probe", "window-probe"):
        return None
    if side.last_arrival is not None and side.last_arrival.time > last.time:
        return None
    return Why(f"gives up: no answer to the probe #{last.n}, {duration(packet.time - last.time)} before", (), (last.n,))


def exit_reset(side: Side, packet: Crossing) -> Why | None:
    """Explain a RST by the end of the process that held the socket, with bytes unread or SO_LINGER 0."""
    if "R" not in packet.flags or not side.observed or _closing(side, packet) is not None:
        return None
    if not side.known:
        if not _listener_calls(side, packet, "listen"):
            return None
        return Why("no logged call closed the listener: its process ended, and nobody had accepted this connection")
    ender = side.ender(packet.time)
    count = side.unread_at(packet.time)
    lingers = any(resets_on_close(call) for call in side.calls)
    if ender is None or not ender.by_exit or (count <= 0 and not lingers):
        return None
    reason = "SO_LINGER 0" if lingers else f"{count} unread byte{'s' * (count != 1)}"
    return Why(f"{ender.text}, with {reason}", (ender.call.n,) if ender.call is not None else ())


def unseen_reset(side: Side, packet: Crossing) -> Why | None:
    """Explain a RST with ACK from a host without an observer: a call, an exit or a timer of its own."""
    if "R" not in packet.flags or side.observed:
        return None
    count = side.arrived
    return Why(f"breaks the connection off after {count} bytes had arrived; {side.unseen}")


def _closing(side: Side, packet: Crossing) -> Call | None:
    """Return the close that had given up the socket's last descriptor."""
    ender = side.ender(packet.time) if "R" in packet.flags else None
    return ender.call if ender is not None and not ender.by_exit else None


def _listener_calls(side: Side, packet: Crossing, name: str) -> list[Call]:
    own = side.streams.flows[side.flow].endpoint(side.host)
    return [
        call
        for socket in side.streams.sockets[side.host]
        if socket.listening and socket.local is not None and socket.local.port == own.port
        for call in socket.calls
        if call.start <= packet.time and (is_close(call) if name == "close" else call.name == name)
    ]
