"""How each direction of a TCP connection ended: FIN, RST, or not at all."""

from __future__ import annotations

from testbed.analysis.absent.broken_off import reset_origin, was_taken
from testbed.analysis.calls.endpoint_calls import EndpointCalls
from testbed.analysis.calls.streams import Streams
from testbed.model import HOSTS, Crossing, Fate, Flow, Host, peer_of
from testbed.model.ledgers import ConnectionEnd, ConnectionReset, Unobserved


def connection_end(
    flow: Flow, crossings: list[Crossing], sender: Host, streams: Streams, unlogged: int
) -> ConnectionEnd:
    """Return how one direction of a connection ended; ``unlogged`` as in :class:`ConnectionEnd`."""
    fins = [crossing for crossing in crossings if crossing.sender == sender and "F" in crossing.flags]
    resets = [each for each in crossings if "R" in each.flags and (_may_end(each) or was_taken(each, streams))]
    resets = [each for each in resets if not _came_late(each, resets) and not _came_after(each, crossings, streams)]
    opened = any(crossing.ack is not None and not set("SR") & set(crossing.flags) for crossing in crossings)
    acknowledged = _is_acknowledged(fins[0], crossings) if fins else None
    reset = None
    if all(_is_acknowledged_fin(crossings, host) for host in HOSTS):
        resets = [each for each in resets if each.ack is not None]  # the others answer what came after the end
    # the peer's RST after all was acknowledged ended the other direction
    if resets and (not acknowledged or resets[0].sender == sender):
        # one that was lost ended nothing, but for that of a socket that it ended itself
        ending = (each for each in resets if each.fate is not Fate.LOST or (opened and each.ack is not None))
        first = next(ending, resets[0])
        reset = ConnectionReset(first.n, first.sender, reset_origin(first), lost=first.fate is Fate.LOST)
    return ConnectionEnd(opened, acknowledged, reset, _unobserved(flow, sender, streams, opened=opened), unlogged)


def _may_end(reset: Crossing) -> bool:
    """Say whether a host's RST ended the connection there: not one that only refuses a SYN (tcp_v4_send_reset)."""
    return reset.sent is not None and (reset.raw_seq != 0 or reset.ack is None)


def _came_late(reset: Crossing, resets: list[Crossing]) -> bool:
    """Say whether a RST that answered for no socket came to a host that had broken the connection off itself."""
    if reset.ack is not None or reset.arrived is None:
        return False
    own = (each.sent for each in resets if each.sender != reset.sender and each.ack is not None)
    return any(sent is not None and sent < reset.arrived for sent in own)


def _came_after(reset: Crossing, crossings: list[Crossing], streams: Streams) -> bool:
    """Say whether a RST that no host sent came to one whose program had closed, and whose FIN was acknowledged."""
    if reset.sent is not None or reset.flow is None or reset.arrived is None:
        return False
    host = peer_of(reset.sender)
    before = [each for each in crossings if each.time < reset.arrived]
    calls = EndpointCalls(reset.flow, host, streams)
    closed = any(call.start < reset.arrived for call in calls.closes) and calls.ender(reset.arrived) is not None
    return closed and _is_acknowledged_fin(before, host)


def _is_acknowledged_fin(crossings: list[Crossing], sender: Host) -> bool:
    fins = [crossing for crossing in crossings if crossing.sender == sender and "F" in crossing.flags]
    return bool(fins) and _is_acknowledged(fins[0], crossings)


def _is_acknowledged(fin: Crossing, crossings: list[Crossing]) -> bool:
    after = fin.seq + fin.length + 1
    return any(
        crossing.sender != fin.sender
        and (crossing.acknowledges or 0) >= after
        and crossing.arrived is not None
        and not crossing.discarded
        for crossing in crossings
    )


def _unobserved(flow: Flow, sender: Host, streams: Streams, *, opened: bool) -> Unobserved | None:
    if not streams.observes(flow.index, sender):
        return Unobserved.NO_OBSERVER
    if not opened or streams.knows(flow.index, sender):
        return None
    return Unobserved.NOT_ACCEPTED if streams.listens(flow.index, sender) else Unobserved.NO_SOCKET
