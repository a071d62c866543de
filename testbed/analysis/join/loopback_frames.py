"""The capture of a host's loopback: its packets, each captured once as it is sent and received in one go."""

from __future__ import annotations

import numpy as np

from testbed.analysis.join.lab_frames import sentinel_rows
from testbed.capture.columns import Capture
from testbed.model import Endpoint, Host
from testbed.model.ip import TCP
from testbed.model.loopback import MOST, SHOWN, Loopback, LoopbackPacket
from testbed.model.tcp import flag_letters


def loopback_packets(capture: Capture, host: Host) -> Loopback:
    """Return what the host sent to itself; the lab's own datagrams are left out."""
    rows = np.flatnonzero((capture.version > 0) & ~sentinel_rows(capture))
    packets = tuple(_packet(capture, host, row) for row in rows[:MOST].tolist())
    return Loopback(packets, len(rows), int(capture.payload_length[rows].sum()))


def _packet(capture: Capture, host: Host, row: int) -> LoopbackPacket:
    return LoopbackPacket(
        host=host,
        frame=row + 1,
        time=int(capture.time_ns[row]),
        source=Endpoint(capture.source(row), int(capture.sport[row])),
        destination=Endpoint(capture.destination(row), int(capture.dport[row])),
        protocol=capture.kind(row).lower(),
        flags=flag_letters(int(capture.flags[row])) if capture.transport[row] == TCP else "",
        length=int(capture.payload_length[row]),
        payload=capture.payload(row)[:SHOWN],
    )
