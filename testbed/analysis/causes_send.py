"""Rules for segments that take sequence space: SYN, data, FIN, their repeats, and the probes that look like them."""

from __future__ import annotations

from testbed.analysis.calls import switched_on
from testbed.analysis.causes_calls import Ender, duration, names
from testbed.analysis.causes_side import Side, Why, numbers, sack_blocks, sequence_length
from testbed.model import Call, Crossing

_RTO_MIN = 200_000_000  # TCP_RTO_MIN: a retransmission that long after the last ACK is not known to be that ACK's doing


def connect(side: Side, packet: Crossing) -> Why | None:
    """Explain the first SYN by a connect or a send with MSG_FASTOPEN."""
    if "S" not in packet.flags or packet.ack is not None or side.snd_max is not None:
        return None
    if not side.known:
        return None if side.observed else Why(f"opens the connection; {side.unseen}")
    makers = [call for call in side.connects if call.start <= _left(packet)]
    if not makers:
        return None
    data = f", with {packet.length} bytes" if packet.length else ""
    return Why(f"{names(makers[:1])} opens the connection{data}", (makers[0].n,))


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
        f"the {what} #{before.n} again after {_since(before, packet)}: no answer came",
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


def fast_retransmission(side: Side, packet: Crossing) -> Why | None:
    """Explain bytes sent again because ACKs since then show that later ones arrived (RFC 5681, 6675, 8985)."""
    before = _repeated(side, packet)
    if before is None:
        return None
    end = packet.seq + sequence_length(packet)
    hints = [
        ack for ack in side.sacks if _came(ack) > _left(before) and any(right > end for _, right in sack_blocks(ack))
    ]
    if not hints and packet.seq == side.una:
        repeated = [ack for ack in side.duplicates if _came(ack) > _left(before)]
        hints = repeated if len(repeated) >= 3 else []
    if not hints or _left(packet) - _came(hints[-1]) >= _RTO_MIN:
        return None
    side.repair_until = max(side.repair_until, side.snd_max or 0)
    packets = tuple(ack.n for ack in hints)
    return Why(
        f"{_bytes(packet)} again ({_since(before, packet)} after #{before.n}): {numbers(packets)} show that later "
        f"bytes arrived{_by(side, packet)}",
        _callers(side, packet),
        packets,
    )


def recovery(side: Side, packet: Crossing) -> Why | None:
    """Explain bytes that were out when a loss was found, sent again when an ACK moved on (RFC 6582, 5681 3.1)."""
    before = _repeated(side, packet)
    ack = side.una_moved
    if before is None or ack is None or packet.seq >= side.repair_until or _came(ack) <= _left(before):
        return None
    if _left(packet) - _came(ack) >= _RTO_MIN:
        return None
    return Why(
        f"{_bytes(packet)} again ({_since(before, packet)} after #{before.n}): #{ack.n} acknowledged the "
        f"bytes before, these were out when the loss was found{_by(side, packet)}",
        _callers(side, packet),
        (ack.n,),
    )


def tail_loss_probe(side: Side, packet: Crossing) -> Why | None:
    """Explain the last segment sent again while an earlier one is unacknowledged (a timeout would repeat that)."""
    before = _repeated(side, packet)
    if before is None or packet.seq + sequence_length(packet) != side.snd_max or packet.seq <= side.una:
        return None
    return Why(
        f"{_bytes(packet)} again, {_since(before, packet)} after #{before.n}: the last ones, although earlier ones "
        f"are unacknowledged{_by(side, packet)}",
        _callers(side, packet),
        (before.n,),
    )


def timeout(side: Side, packet: Crossing) -> Why | None:
    """Explain the first unacknowledged bytes sent again, where a tail-loss probe is excluded."""
    before = _repeated(side, packet)
    if before is None or packet.seq > side.una:
        return None
    times = side.repeats.get(packet.seq, 0)
    tail = packet.seq + sequence_length(packet) == side.snd_max
    if tail and not times:
        return None  # one segment is out, sent again once: a probe and a timeout look the same
    side.repair_until = max(side.repair_until, side.snd_max or 0)
    return Why(
        f"{_bytes(packet)} again (repeat {times + 1}), {_since(before, packet)} after #{before.n}: not acknowledged"
        f"{_by(side, packet)}",
        _callers(side, packet),
        (before.n,),
    )


def retransmission(side: Side, packet: Crossing) -> Why | None:
    """Explain any other bytes that were sent before."""
    before = _repeated(side, packet)
    if before is None:
        return None
    return Why(
        f"{_bytes(packet)} again, {_since(before, packet)} after #{before.n}, no ACK between: a tail-loss probe or "
        f"a timeout{_by(side, packet)}",
        _callers(side, packet),
        (before.n,),
    )


def data(side: Side, packet: Crossing) -> Why | None:
    """Explain new bytes by the calls that wrote them, by byte range."""
    if not packet.length:
        return None
    if not side.observed:
        return Why(f"{_bytes(packet)}{' and the FIN' if 'F' in packet.flags else ''}; {side.unseen}")
    shares = side.writers(packet)
    unfinished = _unfinished(side, packet) if not shares or shares[-1].end < packet.end else None
    covered = sum(min(share.end, packet.end) - max(share.start, packet.start, 0) for share in shares)
    if not shares and unfinished is None:
        return None
    text = f"{_bytes(packet)} of {names([share.call for share in shares])}" if shares else _bytes(packet)
    if unfinished is not None:
        text += f", written by {names([unfinished])}, which never returned"
    elif covered < packet.length:
        text += f"; {packet.length - covered} bytes of it were written by no logged call"
    if any(share.ambiguous for share in shares):
        text += " (other threads wrote at the same time: their order is not certain)"
    held, packets, releasers = _held(side, packet, shares[-1].call if shares else None)
    calls = [share.call.n for share in shares] + [call.n for call in releasers]
    if unfinished is not None:
        calls.append(unfinished.n)
    if "F" in packet.flags:
        ender = fin_ender(side, packet)
        text += f"; FIN: {ender.text}" if ender else "; no logged call explains the FIN"
        if ender is not None and ender.call is not None:
            calls.append(ender.call.n)
    return Why(text + held, tuple(dict.fromkeys(calls)), packets)


def unlogged_data(side: Side, packet: Crossing) -> Why | None:
    """Say that bytes are on the wire that no logged call wrote."""
    if not packet.length:
        return None
    reason = "stdio on the descriptor, a static program or io_uring may have" if side.known else side.unseen
    return Why(f"no logged call wrote {_bytes(packet)}: {reason}")


def fin(side: Side, packet: Crossing) -> Why | None:
    """Explain a FIN by the call that ended the sending direction."""
    if "F" not in packet.flags:
        return None
    if not side.observed:
        return Why(f"ends its direction after {_total(packet)}; {side.unseen}")
    ender = fin_ender(side, packet)
    if ender is None or ender.call is None or ender.by_exit:
        return None
    return Why(ender.text, (ender.call.n,))


def exit_fin(side: Side, packet: Crossing) -> Why | None:
    """Explain a FIN by the end of the process that held the socket (do_exit closes its files)."""
    ender = fin_ender(side, packet) if "F" in packet.flags else None
    return Why(ender.text, (ender.call.n,) if ender.call is not None else ()) if ender is not None else None


def fin_ender(side: Side, packet: Crossing) -> Ender | None:
    """Find what ended the sending direction by the time the FIN left; None if the socket is unknown."""
    left = _left(packet)
    for call in side.shutdowns:
        if call.start <= left:
            return Ender(call, f"{names([call])} ended the sending direction")
    return side.ender(left)


def _total(packet: Crossing) -> str:
    return f"{packet.end} byte{'s' * (packet.end != 1)}"


def _held(side: Side, packet: Crossing, last: Call | None) -> tuple[str, tuple[int, ...], list[Call]]:
    """Say what let bytes go that left only after their call had returned: a later call, an ACK, or a timer."""
    left = _left(packet)
    if last is None or last.end is None or last.end >= left:
        return "", (), []
    releasers = [call for call in side.flushes if call.start <= left and (call.end is None or call.end >= left)]
    if releasers:
        return f"; let go by {names(releasers)}", (), releasers
    waited = duration(left - last.end)
    arrival = side.last_arrival
    if arrival is not None and _came(arrival) > last.end:
        return f"; it waited {waited} and left after #{arrival.n} arrived", (arrival.n,), []
    return f"; it left {waited} after the call returned", (), []


def _unfinished(side: Side, packet: Crossing) -> Call | None:
    """Return a write that never returned: it may have written what the others did not."""
    return next((call for call in side.unfinished_writes if call.start <= _left(packet)), None)


def _repeated(side: Side, packet: Crossing) -> Crossing | None:
    """Return the earlier transmission if all that the segment carries was sent before."""
    length = sequence_length(packet)
    if not length or side.snd_max is None or packet.seq + length > side.snd_max:
        return None
    return side.previous(packet)


def _is_probe(side: Side, packet: Crossing) -> bool:
    return packet.flags == "." and not packet.length and side.snd_max is not None and packet.seq == side.snd_max - 1


def _callers(side: Side, packet: Crossing) -> tuple[int, ...]:
    calls = [share.call.n for share in side.writers(packet)] if packet.length else []
    if "F" in packet.flags:
        ender = fin_ender(side, packet)
        if ender is not None and ender.call is not None:
            calls.append(ender.call.n)
    return tuple(dict.fromkeys(calls))


def _by(side: Side, packet: Crossing) -> str:
    calls = [share.call for share in side.writers(packet)] if packet.length else []
    return f"; written by {names(calls)}" if calls else ""


def _bytes(packet: Crossing) -> str:
    if not packet.length:
        return "the FIN" if "F" in packet.flags else "nothing"
    if packet.length == 1:
        return f"byte {packet.start}"
    return f"bytes {packet.start}-{packet.end - 1}"


def _pause(side: Side, packet: Crossing) -> str:
    last = side.last_sent
    return f"{duration(_left(packet) - _left(last))} after its last packet" if last is not None else "first of all"


def _since(before: Crossing, packet: Crossing) -> str:
    return duration(_left(packet) - _left(before))


def _left(packet: Crossing) -> int:
    return packet.time if packet.sent is None else packet.sent


def _came(packet: Crossing) -> int:
    return packet.time if packet.arrived is None else packet.arrived
