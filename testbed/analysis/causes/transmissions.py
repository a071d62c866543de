"""Rules for segments that take sequence space: SYN, data, FIN, and the probes that look like them."""

from __future__ import annotations

from testbed.analysis.calls.call_effects import switched_on
from testbed.analysis.calls.endpoint_calls import duration, names
from testbed.analysis.causes.endpoint import Side, Why, bytes_of
from testbed.analysis.causes.release import held
from testbed.model import Call, Crossing


def connect(side: Side, packet: Crossing) -> Why | None:
    """Explain the first SYN by a connect or a send with MSG_FASTOPEN.

    With TCP_FASTOPEN_CONNECT a connect only notes the peer, and the first write sends the SYN with its bytes.
    """
    if "S" not in packet.flags or packet.ack is not None or side.snd_max is not None:
        return None
    if not side.known:
        return None if side.observed else Why(f"opens the connection; {side.unseen}")
    makers = [call for call in side.connects if call.start <= packet.time]
    if not makers:
        return None
    data = f", with {packet.length} bytes" if packet.length else ""
    writers = [share.call for share in side.writers(packet) if share.call is not makers[0]] if packet.length else []
    data += f" of {names(writers)}" if writers else ""
    return Why(f"{names(makers[:1])} opens the connection{data}", (makers[0].n, *(call.n for call in writers)))


def syn_ack(side: Side, packet: Crossing) -> Why | None:
    """Explain a SYN+ACK that answers a SYN (again, if the SYN came again)."""
    syn = side.unanswered_syn
    if "S" not in packet.flags or packet.ack is None or syn is None:
        return None
    return Why(f"accepts the SYN #{syn.n}", packets=(syn.n,))


def syn_again(side: Side, packet: Crossing) -> Why | None:
    """Explain a SYN or SYN+ACK that was sent before and not answered."""
    if "S" not in packet.flags or side.snd_max is None:
        return None
    before = side.previous(packet)
    if before is None:
        return None
    what = "SYN" if packet.ack is None else "SYN+ACK"
    return Why(
        f"the {what} #{before.n} again after {duration(packet.time - before.time)}: no answer came",
        tuple(call.n for call in side.connects[:1]),
        (before.n,),
    )


def window_probe(side: Side, packet: Crossing) -> Why | None:
    """Explain a segment below SND.NXT without data while the peer's window is zero."""
    if not _is_probe(side, packet) or side.peer_window != 0:
        return None
    offset = max((side.snd_max or 1) - 1, 0)
    waiting = [share.call for share in side.streams.stream(side.flow, side.host, "out").covering(offset, offset + 1)]
    behind = f"; {names(waiting)} waits" if waiting else ""
    return Why(f"the peer's window is 0: asks for another, {_pause(side, packet)}{behind}")


def keepalive_probe(side: Side, packet: Crossing) -> Why | None:
    """Explain the same while the window is open, where SO_KEEPALIVE was set."""
    if not _is_probe(side, packet):
        return None
    at = f"no data, sequence number {packet.seq} = next - 1, {_pause(side, packet)}"
    if not side.observed:
        return Why(f"{at}; {side.unseen} to show SO_KEEPALIVE")
    setters = [call for call in side.calls if switched_on(call, "SO_KEEPALIVE")]
    if not setters:  # an accepted socket inherits it from its listener
        own = side.streams.flows[side.flow].endpoint(side.host)
        setters = [
            call
            for socket in side.streams.sockets[side.host]
            if socket.listening and socket.local and socket.local.port == own.port
            for call in socket.calls
            if switched_on(call, "SO_KEEPALIVE")
        ]
    if not setters:
        return None
    return Why(f"{at}; SO_KEEPALIVE by {names(setters[:1])}", (setters[0].n,) if setters[0] in side.calls else ())


def probe_without_reason(side: Side, packet: Crossing) -> Why | None:
    """Say that a segment has a probe's form, but nothing that was logged explains it."""
    if not _is_probe(side, packet):
        return None
    return Why("has the form of a keep-alive probe, but no logged call set SO_KEEPALIVE and the window is not 0")


def data(side: Side, packet: Crossing) -> Why | None:
    """Explain new bytes by the calls that wrote them, by byte range."""
    if packet.length and not side.observed:
        return Why(f"{bytes_of(packet)}{' and the FIN' if 'F' in packet.flags else ''}; {side.unseen}")
    return _written(side, packet, "")


def cork_timeout(side: Side, packet: Crossing) -> Why | None:
    """Explain new bytes that TCP_CORK held until a timer ran out (tcp_probe_timer, tcp_write_wakeup)."""
    return _written(side, packet, "cork-timeout") if side.corks else None


def more_timeout(side: Side, packet: Crossing) -> Why | None:
    """Explain new bytes that MSG_MORE held until a timer ran out (tcp_probe_timer, tcp_write_wakeup)."""
    return _written(side, packet, "more-timeout") if side.more else None


def _written(side: Side, packet: Crossing, rule: str) -> Why | None:
    """Explain new bytes whose release has this rule: empty, unless a timer let them go."""
    if not packet.length or not side.observed:
        return None
    shares = side.writers(packet)
    unfinished = _unfinished(side, packet) if not shares or shares[-1].end < packet.end else None
    if not shares and unfinished is None:
        return None
    released = held(side, packet, shares[-1].call if shares else None)
    if released.rule != rule:
        return None
    covered = sum(min(share.end, packet.end) - max(share.start, packet.start, 0) for share in shares)
    text = f"{bytes_of(packet)} of {names([share.call for share in shares])}" if shares else bytes_of(packet)
    if unfinished is not None:
        text += f", written by {names([unfinished])}, which never returned"
    elif covered < packet.length:
        text += f"; {packet.length - covered} bytes of it were written by no logged call"
    if any(share.ambiguous for share in shares):
        text += " (other bytes fit there as well: their order is not certain)"
    calls = [share.call.n for share in shares] + [call.n for call in released.calls]
    if unfinished is not None:
        calls.append(unfinished.n)
    if "F" in packet.flags:
        ender = side.fin_ender(packet.time)
        text += f"; FIN: {ender.text}" if ender else "; no logged call explains the FIN"
        if ender is not None and ender.call is not None:
            calls.append(ender.call.n)
    return Why(text + released.text, tuple(dict.fromkeys(calls)), released.packets)


def unlogged_data(side: Side, packet: Crossing) -> Why | None:
    """Say that bytes are on the wire that no logged call wrote."""
    if not packet.length:
        return None
    reason = "stdio on the descriptor, a static program or io_uring may have" if side.known else side.unseen
    return Why(f"no logged call wrote {bytes_of(packet)}: {reason}")


def fin(side: Side, packet: Crossing) -> Why | None:
    """Explain a FIN by the call that ended the sending direction."""
    if "F" not in packet.flags:
        return None
    if not side.observed:
        return Why(f"ends its direction after {_total(packet)}; {side.unseen}")
    ender = side.fin_ender(packet.time)
    if ender is None or ender.call is None or ender.by_exit:
        return None
    return Why(ender.text, (ender.call.n,))


def exit_fin(side: Side, packet: Crossing) -> Why | None:
    """Explain a FIN by the end of the process that held the socket (do_exit closes its files)."""
    ender = side.fin_ender(packet.time) if "F" in packet.flags else None
    return Why(ender.text, (ender.call.n,) if ender.call is not None else ()) if ender is not None else None


def _total(packet: Crossing) -> str:
    return f"{packet.end} byte{'s' * (packet.end != 1)}"


def _unfinished(side: Side, packet: Crossing) -> Call | None:
    """Return a write that never returned: it may have written what the others did not."""
    return next((call for call in side.unfinished_writes if call.start <= packet.time), None)


def _is_probe(side: Side, packet: Crossing) -> bool:
    return packet.flags == "." and not packet.length and side.snd_max is not None and packet.seq == side.snd_max - 1


def _pause(side: Side, packet: Crossing) -> str:
    last = side.last_sent
    return f"{duration(packet.time - last.time)} after its last packet" if last is not None else "first of all"
