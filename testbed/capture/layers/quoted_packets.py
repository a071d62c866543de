"""What ICMP errors quote: the addresses and ports of the packet that an error is about, as columns."""

from __future__ import annotations

import numpy as np

from testbed.capture.columns import NO_ROWS, Capture, Columns
from testbed.capture.gather import gather
from testbed.capture.layers.ip_headers import decode_ipv4, decode_ipv6
from testbed.model.arrays import Bool, Bytes, Int64
from testbed.model.ip import ICMP, ICMPV6, TCP, UDP

_ECHOS = {ICMP: (0, 8), ICMPV6: (128, 129)}


def decode_quoted(capture: Capture) -> tuple[Int64, Columns]:
    """Return the rows of ICMP errors that quote an IP header, and those headers, one for each.

    ``transport`` is that of TCP, UDP and echos whose ports or identifier are quoted, else 0.
    """
    rows = np.flatnonzero(capture.embedded_offset >= 0)
    if not len(rows):
        return rows, NO_ROWS
    quoted = Columns.empty(len(rows))
    start = capture.embedded_offset[rows]
    end = capture.payload_offset[rows] + capture.payload_captured[rows]
    own = start < len(capture.data)
    for buffer, base, mine in ((capture.data, 0, own), (capture.joined, len(capture.data), ~own)):
        if mine.any():
            _decode(buffer, quoted, np.flatnonzero(mine), start[mine] - base, end[mine] - base)
    known = quoted.version > 0
    if not known.all():
        rows, quoted = rows[known], _only(quoted, known)
    return rows, quoted


def _only(columns: Columns, chosen: Bool) -> Columns:
    names = [name for name, spec in Columns.__dataclass_fields__.items() if "dtype" in spec.metadata]
    return Columns(**{name: getattr(columns, name)[chosen] for name in names})


def _decode(buffer: Bytes, quoted: Columns, rows: Int64, start: Int64, end: Int64) -> None:
    quoted.offset[rows], quoted.wire[rows], quoted.captured[rows] = start, end - start, end - start
    version = gather(buffer, start, "u1") >> 4
    for number, decode_ip in ((4, decode_ipv4), (6, decode_ipv6)):
        mine = version == number
        if not mine.any():
            continue
        inner = decode_ip(buffer, quoted, rows[mine], start[mine], end[mine])
        inner = inner.only(quoted.fragment_offset[inner.rows] == 0)  # else there are no ports in it
        ported = inner.only(np.isin(inner.proto, (TCP, UDP)) & (inner.end - inner.start >= 4))
        quoted.sport[ported.rows] = gather(buffer, ported.start, ">u2")
        quoted.dport[ported.rows] = gather(buffer, ported.start + 2, ">u2")
        quoted.transport[ported.rows] = ported.proto
        for protocol, kinds in _ECHOS.items():
            echo = inner.only((inner.proto == protocol) & (inner.end - inner.start >= 8))
            echo = echo.only(np.isin(gather(buffer, echo.start, "u1"), kinds))
            quoted.icmp_type[echo.rows] = gather(buffer, echo.start, "u1")
            quoted.icmp_rest[echo.rows] = gather(buffer, echo.start + 4, ">u4")
            quoted.transport[echo.rows] = protocol
