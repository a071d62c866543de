"""Rules for segments that take sequence space: SYN, data, FIN, and the probes that look like them."""

from __future__ import annotations

from testbed.analysis.calls.call_effects import switched_on
from testbed.analysis.causes.endpoint import Explanation, TcpEndpoint, arrival_time, carried
from testbed.analysis.causes.release import AT_ONCE, release
from testbed.analysis.causes.rule_set import BoundRules
from testbed.model import Call, CauseName, Crossing, Evidence, PacketRef, call_ref, call_refs
from testbed.model.evidence import Duration, Part, Quantity

RULES: BoundRules[TcpEndpoint] = BoundRules()


@RULES.explains(CauseName.CONNECT)
def connect(endpoint: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Explain the first SYN by a connect or a send with MSG_FASTOPEN.

    With TCP_FASTOPEN_CONNECT a connect only notes the peer, and the first write sends the SYN with its bytes.
    """
    if "S" not in packet.flags or packet.ack is not None or endpoint.snd_max is not None:
        return None
    if not endpoint.known:
        if endpoint.observed:
            return None
        return Explanation((f"opens the connection; {endpoint.unknown_because}",))
    makers = [call for call in endpoint.connects if call.start <= packet.time]
    if not makers:
        return None
    shares = endpoint.writers(packet) if packet.length else ()
    writers = [share.call for share in shares if share.call is not makers[0]]
    data: Evidence = (", with ", Quantity(packet.length, "byte")) if packet.length else ()
    of: Evidence = (" of ", call_refs(writers)) if writers else ()
    evidence = (call_ref(makers[0]), " opens the connection", *data, *of)
    return Explanation(evidence, (makers[0].n, *(call.n for call in writers)))


@RULES.explains(CauseName.SYN_ACK)
def syn_ack(endpoint: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Explain a SYN+ACK that answers a SYN (again, if the SYN came again)."""
    syn = endpoint.unanswered_syn
    if "S" not in packet.flags or packet.ack is None or syn is None:
        return None
    timer = endpoint.snd_max is not None and packet.time - arrival_time(syn) >= AT_ONCE
    evidence = ("accepts the SYN ", PacketRef(syn.n))
    return Explanation(evidence, packets=(syn.n,), alternatives=(CauseName.SYN_RETRANSMISSION,) if timer else ())


@RULES.explains(CauseName.SYN_RETRANSMISSION)
def syn_again(endpoint: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Explain a SYN or SYN+ACK that was sent before and not answered."""
    if "S" not in packet.flags or endpoint.snd_max is None:
        return None
    before = endpoint.previous(packet)
    if before is None:
        return None
    what = "the SYN " if packet.ack is None else "the SYN+ACK "
    again = (what, PacketRef(before.n), " again after ", Duration(packet.time - before.time))
    return Explanation(
        (*again, *_unanswered(endpoint, packet)),
        tuple(call.n for call in endpoint.connects[:1]),
        (before.n,),
    )


def _unanswered(endpoint: TcpEndpoint, packet: Crossing) -> Evidence:
    """Return why a SYN or SYN+ACK counts as unanswered; the ACK of a SYN+ACK may have come and not been taken."""
    answer = endpoint.una_moved
    if packet.ack is None or answer is None:
        return (": no answer came",)
    setter = endpoint.option("TCP_DEFER_ACCEPT", packet.time)
    if setter is not None and switched_on(setter, "TCP_DEFER_ACCEPT"):
        return (
            ": TCP_DEFER_ACCEPT (",
            call_ref(setter),
            ") waits for data, the ACK ",
            PacketRef(answer.n),
            " had none",
        )
    return (": the listener did not take the ACK ", PacketRef(answer.n))


@RULES.explains(CauseName.WINDOW_PROBE)
def window_probe(endpoint: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Explain a segment below SND.NXT without data while the peer's window is zero, or what fills a small window.

    The timer sends less than a segment where no more fits (RFC 9293 section 3.8.6.2.1, tcp_write_wakeup).
    """
    if _fills_window_late(endpoint, packet):
        written = endpoint.writers(packet)
        rest = (carried(packet), " fill what the peer's window leaves; less than a segment, they waited for the timer")
        begun = any(packet.time - call.start < AT_ONCE for call in endpoint.pushing(packet.time))  # or it sent them
        others = (CauseName.DATA,) if begun else ()
        return Explanation(rest, tuple(dict.fromkeys(share.call.n for share in written)), alternatives=others)
    if not _is_probe(endpoint, packet) or endpoint.peer_window != 0:
        return None
    offset = max((endpoint.snd_max or 1) - 1, 0)
    written = endpoint.streams.stream(endpoint.flow, endpoint.host, "out").covering(offset, offset + 1)
    behind: Evidence = ("; ", call_refs(share.call for share in written), " waits") if written else ()
    # what tells of room has this form too, where the peer took back a byte of its window (tcp_acceptable_seq)
    grows = endpoint.last_window is not None and endpoint.window(packet) > endpoint.last_window
    return Explanation(
        ("the peer's window is 0: asks for another, ", *_pause(endpoint, packet), *behind),
        alternatives=(CauseName.WINDOW_UPDATE,) if grows else (),
    )


@RULES.explains(CauseName.KEEP_ALIVE_PROBE)
def keepalive_probe(endpoint: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Explain the same while the window is open, where SO_KEEPALIVE was set."""
    if not _is_probe(endpoint, packet) or (endpoint.observed and endpoint.una < (endpoint.snd_max or 0)):
        return None  # tcp_keepalive_timer sends none while something is out
    at = (f"no data, sequence number {packet.seq} = next - 1, ", *_pause(endpoint, packet))
    if not endpoint.observed:
        return Explanation((*at, f"; {endpoint.unknown_because} to show SO_KEEPALIVE"))
    setter = endpoint.switched_on_by("SO_KEEPALIVE", packet.time)
    if setter is None:
        return None
    evidence = (*at, "; SO_KEEPALIVE by ", call_ref(setter))
    return Explanation(evidence, (setter.n,) if setter in endpoint.calls else ())


@RULES.explains(CauseName.PROBE)
def probe_without_reason(endpoint: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Say that a segment has a probe's form, but nothing that was logged explains it.

    An ACK has it too where the peer took back a byte of its window (tcp_acceptable_seq).
    """
    if not _is_probe(endpoint, packet) or endpoint.pending or endpoint.unexpected:
        return None
    return Explanation(
        ("has the form of a keep-alive probe, but no logged call set SO_KEEPALIVE and the window is not 0",)
    )


@RULES.explains(CauseName.DATA)
def data(endpoint: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Explain new bytes by the calls that wrote them, by byte range."""
    if packet.length and not endpoint.observed:
        fin_too = " and the FIN" if "F" in packet.flags else ""
        return Explanation((carried(packet), f"{fin_too}; {endpoint.unknown_because}"))
    return _written(endpoint, packet, CauseName.DATA)


@RULES.explains(CauseName.CORK_TIMEOUT)
def cork_timeout(endpoint: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Explain new bytes that TCP_CORK held until a timer ran out (tcp_probe_timer, tcp_write_wakeup)."""
    return _written(endpoint, packet, CauseName.CORK_TIMEOUT) if endpoint.corks else None


@RULES.explains(CauseName.MORE_TIMEOUT)
def more_timeout(endpoint: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Explain new bytes that MSG_MORE held until a timer ran out (tcp_probe_timer, tcp_write_wakeup)."""
    return _written(endpoint, packet, CauseName.MORE_TIMEOUT) if endpoint.more else None


def _written(endpoint: TcpEndpoint, packet: Crossing, rule: CauseName) -> Explanation | None:
    """Explain new bytes if what released them makes this the cause."""
    if not packet.length or not endpoint.observed:
        return None
    shares = endpoint.writers(packet)
    unfinished = _unfinished(endpoint, packet) if not shares or shares[-1].end < packet.end else None
    if not shares and unfinished is None:
        return None
    released = release(endpoint, packet, shares[-1].call if shares else None)
    if released.rule is not rule:
        return None
    covered = sum(min(share.end, packet.end) - max(share.start, packet.start, 0) for share in shares)
    evidence: list[Part] = [carried(packet)]
    if shares:
        evidence += [" of ", call_refs(share.call for share in shares)]
    if unfinished is not None:
        evidence += [", written by ", call_ref(unfinished), ", which never returned"]
    elif covered < packet.length:
        evidence += ["; ", Quantity(packet.length - covered, "byte"), " of it were written by no logged call"]
    if any(share.ambiguous for share in shares):
        evidence.append(" (other bytes fit there as well: their order is not certain)")
    calls = [share.call.n for share in shares] + [call.n for call in released.calls]
    if unfinished is not None:
        calls.append(unfinished.n)
    if "F" in packet.flags:
        ender = endpoint.fin_ender(packet.time)
        evidence += ["; FIN: ", *ender.evidence] if ender else ["; no logged call explains the FIN"]
        if ender is not None and ender.call is not None:
            calls.append(ender.call.n)
    again = (CauseName.FAST_RETRANSMISSION, CauseName.RECOVERY, CauseName.PATH_MTU)
    return Explanation(
        (*evidence, *released.evidence),
        tuple(dict.fromkeys(calls)),
        released.packets,
        released.effects,
        alternatives=(*released.alternatives, *(again if endpoint.may_be_lost_in_queue(packet) else ())),
        sent_by=released.by,
    )


@RULES.explains(CauseName.UNLOGGED_DATA)
def unlogged_data(endpoint: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Say that no logged call wrote the bytes of a segment."""
    if not packet.length:
        return None
    maybe = "stdio on the descriptor, a static program or io_uring may have"
    reason = maybe if endpoint.known else endpoint.unknown_because
    return Explanation(("no logged call wrote ", carried(packet), f": {reason}"))


@RULES.explains(CauseName.FIN)
def fin(endpoint: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Explain a FIN by the call that ended the sending direction."""
    if "F" not in packet.flags:
        return None
    if not endpoint.observed:
        sent = Quantity(packet.end, "byte")
        return Explanation(("ends its direction after ", sent, f"; {endpoint.unknown_because}"))
    ender = endpoint.fin_ender(packet.time)
    if ender is None or ender.call is None or ender.by_exit:
        return None
    return Explanation(ender.evidence, (ender.call.n,))


@RULES.explains(CauseName.EXIT)
def exit_fin(endpoint: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Explain a FIN by the end of the process that held the socket (do_exit closes its files).

    An exec that closes the socket does so as it returns (task_work), or before that where a tracer stops it.
    """
    ender = endpoint.fin_ender(packet.time) if "F" in packet.flags else None
    if ender is None:
        return None
    calls = (ender.call.n,) if ender.call is not None else ()
    by_exec = ender.call is not None and ender.call.name == "execve"
    return Explanation(ender.evidence, calls, alternatives=(CauseName.FIN,) if by_exec else ())


def _unfinished(endpoint: TcpEndpoint, packet: Crossing) -> Call | None:
    """Return a write that never returned: it may have written what the others did not."""
    return next((call for call in endpoint.unfinished_writes if call.start <= packet.time), None)


def _fills_window_late(endpoint: TcpEndpoint, packet: Crossing) -> bool:
    last = endpoint.last_arrival
    if not 0 < packet.length < endpoint.full or packet.seq != endpoint.snd_max or last is None:
        return False
    fills = packet.seq + packet.length == endpoint.send_edge and endpoint.una == packet.seq
    return fills and "F" not in packet.flags and packet.time - arrival_time(last) >= endpoint.rto_min // 2


def _is_probe(endpoint: TcpEndpoint, packet: Crossing) -> bool:
    at = endpoint.snd_max
    # tcp_xmit_probe_skb: one that says so has the next number, as an ACK has
    urgent = "U" in packet.flags and not (endpoint.pending or endpoint.probes or endpoint.unexpected)
    return (
        packet.flags in (".", ".U") and not packet.length and at is not None and packet.seq in (at - 1, at - 1 + urgent)
    )


def _pause(endpoint: TcpEndpoint, packet: Crossing) -> Evidence:
    last = endpoint.last_sent
    return (Duration(packet.time - last.time), " after its last packet") if last is not None else ("first of all",)
