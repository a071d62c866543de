"""All crossings of a comparison as CSV, one line for each row of its table."""

from __future__ import annotations

import csv
from typing import TextIO

from testbed.pairing.change_values import details
from testbed.pairing.compare_captures import Comparison
from testbed.pairing.fates import RowFate, change_names
from testbed.pairing.flow_summary import NAMES
from testbed.pairing.negative_delay import negative_delays
from testbed.pairing.sender_guess import Origins
from testbed.report.text.change_text import change_text
from testbed.report.text.comparison_reasons import negative_text, origin_text
from testbed.wireshark.label_names import label_names

HEADER = (
    "flow", "sender", "fate", "client_frame", "server_frame", "client_time_ns", "server_time_ns", "delay_ns",
    "delay_error_ns", "first_byte", "bytes", "reordered", "altered", "client_labels", "server_labels", "values",
    "origin", "negative_because",
)  # fmt: skip
_AT_ONCE = 1 << 16


def write_csv(compared: Comparison, out: TextIO) -> None:
    """Write the crossings; ``flow`` is the index of the flow in the JSON, times are those of the captures.

    ``values`` are those of the altered fields, as sent and as arrived: ``window: 502 -> 77; ttl: 61 -> 33``. ``origin``
    is who sent a packet that appeared, ``negative_because`` explains a delay below 0.
    """
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    table = compared.table
    labels = compared.statistics.labels
    origins = Origins(*compared.packets, table)
    before = negative_delays(compared)
    because = negative_text(before) if before else ""
    names: dict[int, str] = {}
    changes: dict[int, str] = {}
    for start in range(0, len(table), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        ends = []
        for packets, items in zip(compared.packets, (table.one[some], table.two[some]), strict=True):
            seen = (items >= 0).tolist()
            frames, times = (packets.frame[items] + 1).tolist(), packets.time[items].tolist()
            ends.append(
                [(frame, time) if there else ("", "") for there, frame, time in zip(seen, frames, times, strict=True)]
            )
        columns = (
            (table.place[some] >> 1).tolist(),
            table.sent_at_one[some].tolist(),
            table.fate[some].tolist(),
            *ends,
            table.timed[some].tolist(),
            table.delay[some].tolist(),
            table.error[some].tolist(),
            table.skip[some].tolist(),
            table.length[some].tolist(),
            table.reordered[some].tolist(),
            table.changes[some].tolist(),
            labels[0][some].tolist(),
            labels[1][some].tolist(),
        )
        rows = enumerate(zip(*columns, strict=True), start)
        for row, (
            flow,
            at_one,
            fate,
            one,
            two,
            timed,
            delay,
            error,
            skip,
            length,
            late,
            changed,
            first,
            second,
        ) in rows:
            for value in (first, second):
                if value not in names:
                    names[value] = " ".join(label_names(value))
            if changed not in changes:
                changes[changed] = ", ".join(change_names(changed))
            writer.writerow((
                flow, NAMES[0 if at_one else 1], RowFate(fate).text, one[0], two[0], one[1], two[1],
                delay if timed else "", error if timed and error >= 0 else "", skip, length,
                "yes" if late else "", changes[changed], names[first], names[second],
                "; ".join(f"{what}: {sent} -> {arrived}" for what, sent, arrived
                          in map(change_text, details(*compared.packets, table, row))) if changed else "",
                origin_text(origin) if (origin := origins.of(row)) else "", because if timed and delay < 0 else "",
            ))  # fmt: skip
