"""Connections and datagrams of which a host's observer recorded no call, and which observer would record it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from testbed.analysis.calls.streams import Streams
from testbed.model import Cause, CauseKind, CauseName, Crossing, Host

_MOST = 3  # ports that are named
_WOULD = {
    "probe": "`strace` would see it (a static or Go program behind another?)",
    "gdb": "`strace` would see it (a child of the program, which gdb does not follow?)",
    "winsock": "`trace` would see its system calls (a child of the program, or ReadFile and WriteFile on a socket?)",
    "strace": "no observer would see it (io_uring?)",
}
"""By observer: which one would see the calls that it does not, and whose they may be."""
_WOULD_DATAGRAM = "`trace` or `strace` would see it (a system call by syscall(2)?)"


def unobserved_connections(
    crossings: Sequence[Crossing], causes: Sequence[Cause], streams: Streams, observed: Mapping[Host, str]
) -> Iterator[str]:
    """Yield a sentence for each host that sent what no rule explains on connections without any call, or a datagram.

    A datagram is one call: one that no call wrote was written by a call that was not seen, whatever else was.

    ``causes`` are aligned with the crossings, ``observed`` as in :class:`testbed.model.Inputs`.
    """
    packets: Counter[tuple[Host, int]] = Counter(
        (crossing.sender, crossing.flow)
        for crossing, cause in zip(crossings, causes, strict=True)
        if crossing.flow is not None and crossing.sent is not None and cause.kind is CauseKind.UNKNOWN
    )
    datagrams = Counter(
        (crossing.sender, crossing.flow)
        for crossing, cause in zip(crossings, causes, strict=True)
        if crossing.flow is not None
        and cause.rule is CauseName.UNLOGGED_DATA
        and streams.flows[crossing.flow].protocol == "udp"
    )
    for host, observer in observed.items():
        if observer not in _WOULD:
            continue
        for (sender, flow), number in datagrams.items():
            if sender == host and streams.knows(flow, host):
                which = "a datagram was" if number == 1 else f"{number} datagrams were"
                port = streams.flows[flow].endpoint(host).port
                said = f"{which} sent from port {port} without a call that the {observer} saw"
                yield f"{host}: {said}: {_WOULD_DATAGRAM}"
        flows = [flow for (sender, flow) in packets if sender == host and not streams.knows(flow, host)]
        if not flows:
            continue
        ports = ", ".join(str(streams.flows[flow].endpoint(host).port) for flow in flows[:_MOST])
        more = f" and {len(flows) - _MOST} more" if len(flows) > _MOST else ""
        number = sum(packets[host, flow] for flow in flows)
        have = f"{number} packets have" if number > 1 else "1 packet has"
        yield f"{host}: the {observer} saw no call on port {ports}{more}, {have} no known cause: {_WOULD[observer]}"
