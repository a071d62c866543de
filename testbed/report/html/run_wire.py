"""The packets of a run as a ladder shows them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from testbed.analysis.label_check import labels_of
from testbed.model import HOSTS, Crossing, Host
from testbed.model.arrays import Int64
from testbed.model.kernel_log import Agreement
from testbed.report.html import kernel_columns
from testbed.report.html.findings_card import named_packets
from testbed.report.html.fit import kept
from testbed.report.html.marks import PacketMark, marks
from testbed.report.html.packet_columns import ENDS
from testbed.report.html.page_source import PageSource, ShownPackets

_OFFERED = (
    PacketMark.LOST,
    PacketMark.APPEARED,
    PacketMark.ALTERED,
    PacketMark.RETRANSMITTED,
    PacketMark.REORDERED,
    PacketMark.UNKNOWN,
)


def of_run(source: PageSource) -> Callable[[int], ShownPackets]:
    """Return a function that gives at most so many packets of a run."""
    joined, causes = source.analysis.inputs.joined, source.analysis.causes
    every = np.array(marks(joined.crossings, causes, source.labels), np.int64)
    flows = np.array([-1 if one.flow is None else one.flow for one in joined.crossings], np.int64)
    named = named_packets(source.analysis.diagnosis)
    offered = (*_OFFERED, PacketMark.MISLABELLED) if any(source.labels.values()) else _OFFERED
    kernel = source.analysis.kernel
    if kernel is not None:
        offered = (*offered, PacketMark.CONTRADICTED)
        every[[each.agreement is Agreement.CONTRADICTED for each in kernel.assessments]] |= PacketMark.CONTRADICTED

    def at_most(most: int) -> ShownPackets:
        places = kept(every, flows, most, named)
        crossings = [joined.crossings[place] for place in places.tolist()]
        return ShownPackets(
            flows=joined.flows,
            crossings=crossings,
            total=len(joined.crossings),
            marks=every[places].tolist(),
            counts={int(mark): int(np.count_nonzero(every & mark)) for mark in offered},
            fates=[one.fate.value for one in crossings],
            ways=[HOSTS.index(one.sender) for one in crossings],
            causes=[causes[place] for place in places.tolist()],
            labels={host: _labels(source, crossings, host) for host in HOSTS},
            ends=_ends(source, crossings),
            kernel=None if kernel is None else kernel_columns.of_packets(kernel, causes, places.tolist()),
        )

    return at_most


def _labels(source: PageSource, crossings: list[Crossing], host: Host) -> list[str]:
    return [", ".join(labels_of(one, source.labels).get(host, ())) for one in crossings]


def _ends(source: PageSource, crossings: list[Crossing]) -> dict[str, tuple[Int64, Int64]]:
    """Return header fields from the captures; what was not seen counts as 0."""
    if not source.captures:
        return {}
    seen = {
        "client": np.array([(one.at_client or 0) - 1 for one in crossings], np.int64),
        "server": np.array([(one.at_server or 0) - 1 for one in crossings], np.int64),
    }

    def column(host: Host, name: str) -> Int64:
        rows = seen[host]
        values = getattr(source.captures[host], name).astype(np.int64)
        return np.where(rows >= 0, values[rows], 0) if len(values) else np.zeros(len(rows), np.int64)

    return {name: (column("client", name), column("server", name)) for name, _, _ in ENDS}
