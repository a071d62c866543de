"""Connections on which a host sent and its observer recorded no call, and which observer would record it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from testbed.analysis.calls.streams import Streams
from testbed.model import Cause, CauseKind, Crossing, Host

_MOST = 3  # ports that are named
_WOULD = {
    "probe": "`strace` would see it (a static or Go program behind another?)",
    "gdb": "`strace` would see it (a child of the program, which gdb does not follow?)",
    "winsock": "`trace` would see its system calls (a child of the program, or ReadFile and WriteFile on a socket?)",
    "strace": "no observer would see it (io_uring?)",
}
"""By observer: which one would see the calls that it does not, and whose they may be."""


def unobserved_connections(
    crossings: Sequence[Crossing], causes: Sequence[Cause], streams: Streams, observed: Mapping[Host, str]
) -> Iterator[str]:
    """Yield a sentence for each host that sent what no rule explains on connections without any call.

    ``causes`` are aligned with the crossings, ``observed`` as in :class:`testbed.model.Inputs`.
    """
    packets: Counter[tuple[Host, int]] = Counter(
        (crossing.sender, crossing.flow)
        for crossing, cause in zip(crossings, causes, strict=True)
        if crossing.flow is not None and crossing.sent is not None and cause.kind is CauseKind.UNKNOWN
    )
    for host, observer in observed.items():
        if observer not in _WOULD:
            continue
        flows = [flow for (sender, flow) in packets if sender == host and not streams.knows(flow, host)]
        if not flows:
            continue
        ports = ", ".join(str(streams.flows[flow].endpoint(host).port) for flow in flows[:_MOST])
        more = f" and {len(flows) - _MOST} more" if len(flows) > _MOST else ""
        number = sum(packets[host, flow] for flow in flows)
        have = f"{number} packets have" if number > 1 else "1 packet has"
        yield f"{host}: the {observer} saw no call on port {ports}{more}, {have} no known cause: {_WOULD[observer]}"
