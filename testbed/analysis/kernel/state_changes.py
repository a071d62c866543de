"""What caused each change of a connection's state: a call, a packet or a timer (RFC 9293 section 3.3.2).

One table says what can cause a transition, in the order in which it is looked for; the kernel says in which context it
happened. A packet is processed in a system call as well, when the socket was in use as it came (release_sock).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from testbed.analysis.calls.call_effects import is_close, shuts_writing, starts_connection
from testbed.analysis.calls.endpoint_calls import EndpointCalls
from testbed.analysis.kernel.kernel_endpoints import KernelEndpoint
from testbed.model import Call, Crossing, Evidence, PacketRef, call_ref
from testbed.model.kernel_log import KernelEvent, StateChange

Accepts = Callable[[Crossing], bool]
CALL, SYN, SYN_ACK, ACK, FIN, RST, TIMER = "call", "SYN", "SYN+ACK", "ACK", "FIN", "RST", "timer"
LATE = "data after the close"

_PACKETS: Mapping[str, Accepts] = {
    SYN: lambda packet: "S" in packet.flags,
    SYN_ACK: lambda packet: "S" in packet.flags and packet.ack is not None,
    ACK: lambda packet: packet.ack is not None and "R" not in packet.flags,
    FIN: lambda packet: "F" in packet.flags,
    RST: lambda packet: "R" in packet.flags,
    LATE: lambda packet: packet.sequence_length > 0 and not packet.discarded,
}

TRANSITIONS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("CLOSE", "SYN_SENT"): (CALL,),
    ("SYN_SENT", "ESTABLISHED"): (SYN_ACK,),
    ("SYN_SENT", "SYN_RECV"): (SYN,),
    ("LISTEN", "SYN_RECV"): (ACK, SYN),
    ("SYN_RECV", "ESTABLISHED"): (ACK,),
    ("SYN_RECV", "FIN_WAIT1"): (CALL,),
    ("ESTABLISHED", "FIN_WAIT1"): (CALL,),
    ("CLOSE_WAIT", "LAST_ACK"): (CALL,),
    ("SYN_RECV", "CLOSE_WAIT"): (FIN,),
    ("ESTABLISHED", "CLOSE_WAIT"): (FIN,),
    ("FIN_WAIT1", "FIN_WAIT2"): (ACK,),
    ("FIN_WAIT1", "CLOSING"): (FIN,),
    ("FIN_WAIT1", "CLOSE"): (LATE, RST, CALL, TIMER),
    ("FIN_WAIT2", "CLOSE"): (LATE, RST, FIN, CALL, TIMER),
    ("CLOSING", "CLOSE"): (RST, ACK, CALL, TIMER),
    ("LAST_ACK", "CLOSE"): (RST, ACK, CALL, TIMER),
}
_TO_CLOSE = (RST, CALL, TIMER)


def state_changes(
    endpoint: KernelEndpoint, calls: EndpointCalls, slack: int, *, ends_early: bool
) -> Iterator[StateChange]:
    """Yield every state change of one endpoint with its cause.

    ``ends_early``: the observer records that calls ended earlier than they did, as strace does by the time it takes to
    print their arguments.
    """
    for at, event in enumerate(endpoint.events):
        if event.name == "inet_sock_set_state" and event.fields["oldstate"] != event.fields["newstate"]:
            yield _change(endpoint, calls, at, event, slack, ends_early=ends_early)


def _change(
    endpoint: KernelEndpoint, calls: EndpointCalls, at: int, event: KernelEvent, slack: int, *, ends_early: bool
) -> StateChange:
    old, new = str(event.fields["oldstate"]), str(event.fields["newstate"])
    about = (event, endpoint.flow.index, old, new)
    causes = TRANSITIONS.get((old, new)) or (_TO_CLOSE if new == "CLOSE" else ())
    for cause in causes:
        if cause == CALL:
            found = _call(calls, event, slack, ends_early=ends_early)
            if found is not None:
                evidence, numbers = found
                return StateChange(*about, "call", evidence, calls=numbers)
        elif cause == TIMER:
            if event.interrupt:
                return StateChange(*about, "timer", _timer(endpoint, at))
        elif cause not in (RST, LATE) or _reset_reported(endpoint, at):
            packet = _packet(endpoint, event, cause, slack, calls)
            if packet is not None:
                return StateChange(*about, "packet", (f"{cause} ", PacketRef(packet.n)), packets=(packet.n,))
    return StateChange(*about, "unknown", ("no call, packet or timer explains it",))


def _packet(
    endpoint: KernelEndpoint, event: KernelEvent, cause: str, slack: int, calls: EndpointCalls
) -> Crossing | None:
    """Return the newest packet of a kind that had come; of RSTs that a call kept waiting the first, which ends it.

    Data, or a FIN behind some, that comes once the program has closed ends the connection as a RST does
    (tcp_rcv_state_process, tcp_reset), unless a RST came behind it.
    """
    arrived = endpoint.arrived_until(event.time + slack)
    came = [packet for packet in arrived if _PACKETS[cause](packet)]
    if cause == LATE and came:
        before = arrived[: arrived.index(came[0])]
        return None if any(map(_PACKETS[RST], before)) else came[0]
    if cause != RST or event.interrupt or not came:
        return came[0] if came else None
    going = [call.start for call in calls.calls if call.start <= event.time and _goes_on(call, event.time, slack)]
    waited = [packet for packet in came if going and packet.arrived is not None and packet.arrived >= min(going)]
    return waited[-1] if waited else came[0]


def _reset_reported(endpoint: KernelEndpoint, at: int) -> bool:
    """Say whether the kernel reported a RST that it took right before the change (tcp_reset)."""
    return any(event.name == "tcp_receive_reset" for event in endpoint.events[max(at - 2, 0) : at])


def _call(
    calls: EndpointCalls, event: KernelEvent, slack: int, *, ends_early: bool
) -> tuple[Evidence, tuple[int, ...]] | None:
    """Return what call the change was made in; without an observer, that it was made in one."""
    if event.interrupt:
        return None
    if not calls.observed:
        return (f"a call or the end of the program; {calls.unknown_because}",), ()
    wanted = starts_connection if event.fields["newstate"] == "SYN_SENT" else _ends_sending
    begun = [call for call in calls.calls if call.start <= event.time + slack]
    inside = [call for call in begun if wanted(call) and _goes_on(call, event.time, slack)]
    if ends_early and begun and wanted(begun[-1]):
        inside = begun[-1:]
    if inside:
        return (call_ref(inside[-1]),), (inside[-1].n,)
    if event.fields["newstate"] == "SYN_SENT":
        return None
    ender = calls.ender(event.time + slack)
    if ender is not None and ender.by_exit:
        return ender.evidence, (ender.call.n,) if ender.call is not None else ()
    if not calls.known:
        return ("nobody had accepted it, and the listener was closed",), ()
    return None


def _ends_sending(call: Call) -> bool:
    return is_close(call) or shuts_writing(call) or call.name == "connect"


def _goes_on(call: Call, time: int, slack: int) -> bool:
    return call.end is None or time <= call.end + slack


def _timer(endpoint: KernelEndpoint, at: int) -> Evidence:
    reset = next((event for event in reversed(endpoint.events[:at]) if event.name == "tcp_send_reset"), None)
    if reset is not None:
        return (f"a timer: {reset.fields.get('reason')}",)
    return ("a timer: the kernel gave up",)
