"""Rules for RST: which state change, arrival or timer made the kernel reset the connection.

Linux sends two kinds. ``tcp_send_active_reset`` (a call, an exit, a timer) sets ACK and the next sequence number.
``tcp_v4_send_reset`` answers a segment: without ACK, its sequence number is that segment's ACK (RFC 9293 section
3.10.7.1); to a SYN, with ACK and sequence number 0.
"""

from __future__ import annotations

from testbed.analysis.calls.call_effects import disconnects, is_accept, is_close, option_value, resets_on_close
from testbed.analysis.causes.endpoint import Explanation, TcpEndpoint, arrival_time
from testbed.analysis.causes.rule_set import BoundRules
from testbed.model import CAUSES, Call, CauseKind, CauseName, Crossing, Evidence, PacketRef, call_ref
from testbed.model.causes import Refusal
from testbed.model.evidence import Duration, Quantity

RULES: BoundRules[TcpEndpoint] = BoundRules()


@RULES.explains(CauseName.CLOSED_PORT)
def closed_port(endpoint: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Explain a RST to a SYN: no socket listens there, the listener would not take it, or it came too late."""
    syn = endpoint.unanswered_syn
    if "R" not in packet.flags or syn is None:
        return None
    refuses = ("refuses the SYN ", PacketRef(syn.n))
    if endpoint.snd_max is not None:
        if packet.raw_seq != 0 or packet.ack != syn.seq + syn.sequence_length:
            return None
        evidence: Evidence = (*refuses, ": the connection had ended")
        return Explanation(evidence, packets=(syn.n,), refusal=Refusal.CONNECTION_ENDED)
    listeners = _listener_calls(endpoint, packet, "listen")
    own = endpoint.streams.flows[endpoint.flow].endpoint(endpoint.host)
    if not endpoint.observed:
        evidence, refusal = (*refuses, ": nothing takes connections on ", own), Refusal.NOT_OBSERVED
    elif listeners:
        made = call_ref(listeners[-1])
        evidence = (*refuses, ": ", own, " takes no connection, although ", made, " had been made")
        refusal = Refusal.NOT_ACCEPTED
    else:
        evidence, refusal = (*refuses, ": nothing listens on ", own), Refusal.NOTHING_LISTENS
    return Explanation(evidence, packets=(syn.n,), refusal=refusal)


@RULES.explains(CauseName.RESET_ANSWER)
def answer(endpoint: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Explain a RST without ACK: it answers a segment that no socket takes."""
    if packet.flags != "R":
        return None
    culprit = endpoint.by_ack.get(packet.seq)
    if culprit is None or endpoint.snd_max is None:
        culprit = endpoint.last_arrival
    if culprit is None:
        return None
    closes = [call for call in endpoint.closes if call.start <= packet.time]
    reason: Evidence
    if closes:
        reason = (": it came after ", call_ref(closes[-1]))
    elif endpoint.known:
        reason = (": the socket was gone",)
    else:
        reason = (f": no socket takes it; {endpoint.unknown_because}",)
    of: Evidence = ("the ", Quantity(culprit.length, "byte"), " of ") if culprit.length else ()
    if endpoint.queued:  # while it waited to leave others came
        return Explanation(("answers ", PacketRef(culprit.n), " or what came before it", *reason))
    return Explanation(("answers ", *of, PacketRef(culprit.n), *reason), packets=(culprit.n,))


@RULES.explains(CauseName.RESET_LINGER)
def lingering(endpoint: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Explain a RST by close with SO_LINGER on and zero seconds, or by connect to AF_UNSPEC (tcp_disconnect).

    So does a close after the FIN was sent, with a negative TCP_LINGER2: nobody waits for the peer's (FIN-WAIT-2).
    """
    ended = _disconnecting(endpoint, packet)
    if ended is not None:
        return Explanation((call_ref(ended), " to AF_UNSPEC ends the connection"), (ended.n,))
    close = _closing(endpoint, packet)
    if close is None or endpoint.unread_at(packet.time) > 0:
        return None  # __tcp_close looks for unread bytes first
    setter, what = _lingers(endpoint, close.start), " with SO_LINGER 0 ("
    if setter is None and endpoint.fin_sent:
        setter, what = _waits_for_no_fin(endpoint, close.start), " with a negative TCP_LINGER2 ("
    if setter is None:
        return None
    evidence = (call_ref(close), what, call_ref(setter), ")")
    return Explanation(evidence, (*((setter.n,) if setter in endpoint.calls else ()), close.n))


@RULES.explains(CauseName.RESET_UNREAD)
def unread(endpoint: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Explain a RST by close while bytes waited to be read (RFC 2525 section 2.17, __tcp_close)."""
    close = _closing(endpoint, packet)
    count = endpoint.unread_at(packet.time) if close is not None else 0
    if close is None or (count <= 0 and not endpoint.urgent):
        return None
    if count <= 0:  # nothing else is left for which a close resets; which urgent byte was passed over is not known
        return Explanation((call_ref(close), " with unread bytes: urgent ones had come"), (close.n,))
    if endpoint.uses_stdio:
        return Explanation((call_ref(close), " with unread bytes; standard I/O may have read some"), (close.n,))
    # an urgent byte may have been passed over, and what came during the close may have come too late for it
    late = sum(each.length for each in endpoint.pending if arrival_time(each) > close.start)
    lingers = count <= max(endpoint.urgent, late) and _lingers(endpoint, close.start) is not None
    others = (CauseName.RESET_LINGER,) if lingers else ()
    return Explanation((call_ref(close), " with ", Quantity(count, "unread byte")), (close.n,), alternatives=others)


@RULES.explains(CauseName.RESET_LISTENER)
def listener_closed(endpoint: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Explain a RST of a connection that was never accepted by the listener's close (inet_csk_listen_stop)."""
    if "R" not in packet.flags or not endpoint.observed or any(not is_accept(call) for call in endpoint.calls):
        return None
    closes = _listener_calls(endpoint, packet, "close")
    if not closes:
        return None
    evidence = (call_ref(closes[-1]), " closed the listener; nobody had accepted this connection")
    return Explanation(evidence, (closes[-1].n,))


@RULES.explains(CauseName.USER_TIMEOUT)
def user_timeout(endpoint: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Explain a RST after a probe that nobody answered by TCP_USER_TIMEOUT (tcp_keepalive_timer, RFC 5482)."""
    probe, last = _unanswered_probe(endpoint, packet), endpoint.last_arrival
    if probe is None or last is None:
        return None
    setter = endpoint.switched_on_by("TCP_USER_TIMEOUT", packet.time)
    if setter is None:
        return None
    silence = Duration(packet.time - arrival_time(last))
    limit = Duration(option_value(setter)[0] * 1_000_000)
    evidence = (
        *("gives up: nothing came for ", silence, ", since ", PacketRef(last.n), "; "),
        *(call_ref(setter), " had set TCP_USER_TIMEOUT to ", limit),
    )
    return Explanation(evidence, packets=(probe.n,))


@RULES.explains(CauseName.KEEP_ALIVE_TIMEOUT)
def unanswered_probes(endpoint: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Explain a RST after the last keep-alive probe that nobody answered (tcp_keepalive_timer)."""
    probe = _unanswered_probe(endpoint, packet)
    if probe is None or packet.time - probe.time < _LEAST_INTERVAL:
        return None
    waited = Duration(packet.time - probe.time)
    evidence = ("gives up: no answer to the probe ", PacketRef(probe.n), ", ", waited, " before")
    return Explanation(evidence, packets=(probe.n,))


_LEAST_INTERVAL = 900_000_000
"""TCP_KEEPINTVL is at least a second (ns)."""


def _unanswered_probe(endpoint: TcpEndpoint, packet: Crossing) -> Crossing | None:
    """Return the timer's probe that was sent last before a RST, if nothing came since."""
    last, rule = endpoint.last_sent, endpoint.last_cause
    if "R" not in packet.flags or last is None or rule is None:
        return None
    if not CAUSES[rule].probe or CAUSES[rule].kind is not CauseKind.TIMER:
        return None
    answered = endpoint.last_arrival is not None and endpoint.last_arrival.time > last.time
    return None if answered else last


@RULES.explains(CauseName.RESET_EXIT)
def exit_reset(endpoint: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Explain a RST by the end of the process that held the socket, with bytes unread or SO_LINGER 0."""
    if "R" not in packet.flags or not endpoint.observed or _closing(endpoint, packet) is not None:
        return None
    if not endpoint.known:
        if not _listener_calls(endpoint, packet, "listen"):
            return None
        ended = "no logged call closed the listener: its process ended, and nobody had accepted this connection"
        return Explanation((ended,))
    ender = endpoint.ender(packet.time)
    count = endpoint.unread_at(packet.time)
    lingers = _lingers(endpoint, packet.time) is not None
    if ender is None or not ender.by_exit or (count <= 0 and not lingers):
        return None
    reason = Quantity(count, "unread byte") if count > 0 else "SO_LINGER 0"
    return Explanation((*ender.evidence, ", with ", reason), (ender.call.n,) if ender.call is not None else ())


@RULES.explains(CauseName.RESET_UNSEEN)
def unseen_reset(endpoint: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Explain a RST with ACK from a host without an observer: a call, an exit or a timer of its own."""
    if "R" not in packet.flags or endpoint.observed:
        return None
    came = Quantity(endpoint.arrived, "byte")
    return Explanation(("resets the connection after ", came, f" had arrived; {endpoint.unknown_because}"))


def _lingers(endpoint: TcpEndpoint, time: int) -> Call | None:
    """Return the setsockopt by which a close at ``time`` resets: SO_LINGER on with zero seconds, not unset since."""
    setter = endpoint.option("SO_LINGER", time)
    return setter if setter is not None and resets_on_close(setter) else None


def _waits_for_no_fin(endpoint: TcpEndpoint, time: int) -> Call | None:
    """Return the setsockopt of a negative TCP_LINGER2 that holds at ``time``."""
    setter = endpoint.option("TCP_LINGER2", time)
    value = option_value(setter)[:1] if setter is not None else ()
    return setter if value and value[0] < 0 else None


def _disconnecting(endpoint: TcpEndpoint, packet: Crossing) -> Call | None:
    """Return the connect to AF_UNSPEC in which a RST left, or after which it waited in the interface's queue."""
    if "R" not in packet.flags or packet.ack is None:
        return None
    made = [call for call in endpoint.calls if disconnects(call) and call.start <= packet.time]
    going = (call for call in made if call.end is None or call.end >= packet.time or endpoint.queued)
    return next(going, None)


def _closing(endpoint: TcpEndpoint, packet: Crossing) -> Call | None:
    """Return the close that had given up the socket's last descriptor."""
    ender = endpoint.ender(packet.time) if "R" in packet.flags else None
    return ender.call if ender is not None and not ender.by_exit else None


def _listener_calls(endpoint: TcpEndpoint, packet: Crossing, name: str) -> list[Call]:
    own = endpoint.streams.flows[endpoint.flow].endpoint(endpoint.host)
    return [
        call
        for socket in endpoint.streams.sockets[endpoint.host]
        if socket.listening and socket.local is not None and socket.local.port == own.port
        for call in socket.calls
        if call.start <= packet.time and (is_close(call) if name == "close" else call.name == name)
    ]
