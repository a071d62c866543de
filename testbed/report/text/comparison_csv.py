"""All crossings of a comparison as CSV, one line for each row of its table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from testbed.model.arrays import Bool, Int32, Int64, distinct
from testbed.pairing.change_values import details
from testbed.pairing.compare_captures import Comparison
from testbed.pairing.fates import RowFate, change_names
from testbed.pairing.flow_summary import NAMES
from testbed.pairing.negative_delay import negative_delays
from testbed.pairing.packet_table import PacketTable
from testbed.pairing.sender_guess import Origins
from testbed.report.text.change_text import change_text
from testbed.report.text.comparison_reasons import negative_text, origin_text
from testbed.report.text.csv_rows import EMPTY, CsvColumn, by_texts, csv_rows, library_for, quoted
from testbed.wireshark.label_names import label_names

HEADER = (
    "flow", "sender", "fate", "client_frame", "server_frame", "client_time_ns", "server_time_ns", "delay_ns",
    "delay_error_ns", "first_byte", "bytes", "reordered", "altered", "client_labels", "server_labels", "values",
    "origin", "negative_because",
)  # fmt: skip
_AT_ONCE = 1 << 16


def write_csv(compared: Comparison, out: BinaryIO) -> None:
    """Write the crossings; ``flow`` is the index of the flow in the JSON, times are those of the captures.

    ``values`` are those of the altered fields, as sent and as arrived: ``window: 502 -> 77; ttl: 61 -> 33``. ``origin``
    is who sent a packet that appeared, ``negative_because`` explains a delay below 0.
    """
    out.write(",".join(HEADER).encode() + b"\n")
    code = library_for(len(compared.table))
    origins = Origins(*compared.packets, compared.table)
    negative = negative_delays(compared)
    because = negative_text(negative) if negative else ""
    starts = range(0, len(compared.table), _AT_ONCE)
    out.writelines(csv_rows(_columns(compared, start, origins, because), code) for start in starts)


def _columns(compared: Comparison, start: int, origins: Origins, because: str) -> list[CsvColumn]:
    """Return the fields of some rows from ``start`` on, in the order of the header."""
    table, (one, two) = compared.table, compared.packets
    some = slice(start, start + _AT_ONCE)
    timed, delay, error = table.timed[some], table.delay[some], table.error[some]
    changes, fates = table.changes[some], table.fate[some]
    first, second = (labels[some] for labels in compared.statistics.labels)
    return [
        CsvColumn(table.place[some] >> 1),
        _either(table.sent_at_one[some], NAMES[0], NAMES[1]),
        _named(fates, lambda fate: RowFate(fate).text),
        _seen(table.one[some], one, lambda items: one.frame[items].astype(np.int64) + 1),
        _seen(table.two[some], two, lambda items: two.frame[items].astype(np.int64) + 1),
        _seen(table.one[some], one, lambda items: one.time[items]),
        _seen(table.two[some], two, lambda items: two.time[items]),
        CsvColumn(np.where(timed, delay, EMPTY)),
        CsvColumn(np.where(timed & (error >= 0), error, EMPTY)),
        CsvColumn(table.skip[some].astype(np.int64)),
        CsvColumn(table.length[some].astype(np.int64)),
        _either(table.reordered[some], "yes", ""),
        _named(changes, lambda value: ", ".join(change_names(value))),
        _named(first, lambda value: " ".join(label_names(value))),
        _named(second, lambda value: " ".join(label_names(value))),
        _told(changes > 0, lambda k: _values(compared, start + k)),
        _told(fates == RowFate.APPEARED, lambda k: _origin(origins, start + k)),
        _either(timed & (delay < 0), because, ""),
    ]


def _seen(items: Int32, packets: PacketTable, of: Callable[[Int32], Int64]) -> CsvColumn:
    """Return what ``of`` says of the items of one capture, where it has them."""
    return CsvColumn(np.where(items >= 0, of(items), EMPTY) if len(packets) else np.full(len(items), EMPTY, np.int64))


def _either(mask: Bool, there: str, else_: str) -> CsvColumn:
    return CsvColumn(mask.astype(np.int64), [quoted(else_), quoted(there)])


def _named(values: NDArray[Any], name: Callable[[int], str]) -> CsvColumn:
    """Return the names of values of which there are few."""
    kinds = distinct(values)
    return CsvColumn(np.searchsorted(kinds, values), [quoted(name(kind)) for kind in kinds.tolist()])


def _told(mask: Bool, tell: Callable[[int], str]) -> CsvColumn:
    """Return what ``tell`` says of the rows of a mask, by their position; nothing of the others."""
    rows = np.flatnonzero(mask)
    told = by_texts(("", *map(tell, rows.tolist())))
    values = np.zeros(len(mask), np.int64)
    values[rows] = told.values[1:]
    return CsvColumn(values, told.texts)


def _values(compared: Comparison, row: int) -> str:
    told = map(change_text, details(*compared.packets, compared.table, row))
    return "; ".join(f"{what}: {sent} -> {arrived}" for what, sent, arrived in told)


def _origin(origins: Origins, row: int) -> str:
    origin = origins.of(row)
    return origin_text(origin) if origin else ""
