"""A comparison as JSON: plain values, times in ns, frames counted from 1 as Wireshark does."""

from __future__ import annotations

from typing import Any

import numpy as np

from testbed.model.arrays import Int64
from testbed.model.findings import Diagnosis
from testbed.model.ip import TCP
from testbed.pairing.between_taps import what_lies_between
from testbed.pairing.change_values import details
from testbed.pairing.compare_captures import Comparison
from testbed.pairing.fates import CHANGE_NAMES, RowFate
from testbed.pairing.flow_summary import (
    NAMES,
    close_text,
    display_filter,
    flow_mapping,
    handshake_text,
    opener_end,
    protocol_name,
    terminated_ends,
)
from testbed.pairing.icmp_errors import ErrorsAbout, errors_of_pairs
from testbed.pairing.needed_retransmissions import Needed
from testbed.pairing.negative_delay import negative_delays
from testbed.pairing.same import count_differences, inconclusive, nothing_to_compare
from testbed.pairing.sender_guess import Origins
from testbed.pairing.statistics import QUANTILES
from testbed.pairing.suspect_flows import suspect_pairs
from testbed.pairing.terminated import TerminatedFlow
from testbed.report.json.diagnosis_json import diagnosis_to_json
from testbed.report.json.figures_json import course, flow_figures, has_figures
from testbed.report.text.between_text import between_text
from testbed.report.text.change_text import change_text
from testbed.report.text.comparison_reasons import negative_text, nothing_text, origin_evidence
from testbed.report.text.icmp_text import error_text
from testbed.wireshark.label_names import Label, label_names

VERSION = 1
_SHOWN = 100  # packets that differ, and frames whose labels do


def to_json(
    compared: Comparison, paths: tuple[str, str], differs: tuple[str, ...], diagnosis: Diagnosis | None = None
) -> dict[str, Any]:
    """Return all that a comparison found but for the single crossings; ``differs`` are the categories that count."""
    ways = [direction(compared, from_one=from_one) for from_one in (True, False)]
    return {
        "version": VERSION,
        "same": not differs and not inconclusive(compared) and not nothing_to_compare(compared),
        "inconclusive": inconclusive(compared),
        "between": between(compared),
        "differs": list(differs),
        "captures": {
            name: _capture(compared, which, path) for which, (name, path) in enumerate(zip(NAMES, paths, strict=True))
        },
        "diagnosis": diagnosis_to_json(diagnosis),
        "reasons": [nothing_text(reason) for reason in compared.reasons],
        "clock": clock(compared),
        "counts": count_differences(compared),
        "directions": {f"{NAMES[k]} to {NAMES[1 - k]}": each for k, each in enumerate(ways)},
        "round_trip": round_trip((ways[0]["delay"], ways[1]["delay"])),
        "altered": altered_fields(compared),
        "differences": differences(compared),
        "labels": labels(compared),
        "terminated": [terminated(compared, each) for each in compared.terminated],
        "over_time": {f"{NAMES[k]} to {NAMES[1 - k]}": course(compared, from_one=not k) for k in (0, 1)},
        "flows": _flows(compared),
        "alone": {name: [alone(compared, which, k) for k in compared.alone[which].tolist()]
                  for which, name in enumerate(NAMES)},
        "ambiguous": {name: [alone(compared, which, k) for k in compared.pairs.ambiguous[which]]
                      for which, name in enumerate(NAMES)},
    }  # fmt: skip


def _flows(compared: Comparison) -> list[dict[str, Any]]:
    errors = errors_of_pairs(compared)
    told = [
        flow(compared, pair) | {"icmp_errors": [icmp_error(each) for each in errors.get(pair, ())]}
        for pair in range(len(compared.pairs))
    ]
    if has_figures(compared):
        return [one | {"figures": more} for one, more in zip(told, flow_figures(compared), strict=True)]
    return [one | {"figures": None} for one in told]


def _capture(compared: Comparison, which: int, path: str) -> dict[str, Any]:
    packets, flows = compared.packets[which], compared.flows[which]
    first, last = packets.span
    return {
        "path": path,
        "links": list(packets.links),
        "frames": packets.frames,
        "packets": len(packets),
        "flows": len(flows),
        "first": first,
        "last": last,
        "other": packets.other,
        "partial": packets.partial,
    }


def clock(compared: Comparison) -> dict[str, Any]:
    """Return how the server's clock differs from the client's; ``negative`` explains delays below 0."""
    before = negative_delays(compared)
    return {
        "exact": compared.clock.exact,
        "unfit": compared.clock.unfit,
        "suspect_flows": suspect_pairs(compared) if compared.clock.unfit else [],
        "pieces": [
            {
                "start": piece.start,
                "offset": piece.offset,
                "error": piece.error,
                "drift_ppm": piece.drift * 1e6,
                "drift_error_ppm": None if piece.drift_error is None else piece.drift_error * 1e6,
            }
            for piece in compared.clock.pieces
        ],
        "negative": {"packets": before.packets, "least": before.least, "why": negative_text(before)}
        if before
        else None,
    }


def between(compared: Comparison) -> dict[str, Any]:
    """Return what lies between both taps."""
    found = what_lies_between(compared)
    return {
        "text": between_text(found),
        "same_place": found.same_place,
        "in_line": found.in_line,
        "hops": dict(zip(NAMES, (way.hops for way in found.ways), strict=True)),
        "rewritten": dict(found.rewritten),
        "balanced": found.balanced,
        "changed": [
            {"field": each.field.value, "sent": each.before, "arrived": each.after, "flows": each.flows}
            for each in found.changed
        ],
        "terminated": found.terminated,
        "longest_pause": found.pause
        and {
            "flow": found.pause.pair,
            "lasted": found.pause.lasted,
            "ended_by": NAMES[found.pause.ended_by],
            "on_the_way": found.pause.on_the_way,
        },
    }


def terminated(compared: Comparison, each: TerminatedFlow) -> dict[str, Any]:
    """Return two connections, one in each capture, that carry the bytes of one exchange."""
    return {
        "ends": dict(zip(NAMES, terminated_ends(compared, each), strict=True)),
        "same_name": each.same_name,
        "streams": {
            name: {
                "relation": stream.relation.value,
                "bytes": dict(zip(NAMES, stream.sizes, strict=True)),
                "delay": stream.delay,
            }
            for name, stream in zip(("from_opener", "to_opener"), each.streams, strict=True)
        },
    }


def direction(compared: Comparison, *, from_one: bool) -> dict[str, Any]:
    """Return totals of all packets sent at one end."""
    statistics = compared.statistics
    places = np.flatnonzero(statistics.sent_at_one == from_one)
    table = compared.table
    delays = table.delay.compress(table.timed & (table.sent_at_one == from_one))
    delays.sort()
    active = places[statistics.begin[places] >= 0]
    payload = int(statistics.payload[places].sum())
    took = int(statistics.end[active].max()) - int(statistics.begin[active].min()) if len(active) else 0
    return {
        "packets": dict(zip(NAMES, statistics.packets[places].sum(axis=0).tolist(), strict=True)),
        "fates": _fates(statistics.fates[places].sum(axis=0)),
        "altered": int(statistics.altered[places].sum()),
        "reordered": int(statistics.reordered[places].sum()),
        "bytes": payload,
        "duration": took,
        "throughput": _throughput(payload, took),
        "delay": _delays([int(delays[round((len(delays) - 1) * each)]) for each in QUANTILES]) if len(delays) else None,
        "retransmissions": _repeats(statistics.repeats[places].sum(axis=0)),
    }


def round_trip(delays: tuple[dict[str, int] | None, dict[str, int] | None]) -> dict[str, int] | None:
    """Return the network's round trip (ns): the delays of both directions together, in which no offset counts."""
    there, back = delays
    if there is None or back is None:
        return None
    return {name: there[name] + back[name] for name in ("minimum", "median")}


def _throughput(payload: int, took: int) -> float | None:
    """Return payload that crossed in bits per second of the time from a direction's first to its last packet."""
    return round(payload * 8 * 10**9 / took, 3) if took else None


def _fates(counts: Int64) -> dict[str, int]:
    return {fate.text: int(counts[fate]) for fate in RowFate if counts[fate]}


def _delays(values: list[int]) -> dict[str, int]:
    return dict(zip(("minimum", "median", "p95", "p99", "maximum"), values, strict=True))


def _repeats(counts: Int64) -> dict[str, int]:
    return {
        "needed": int(counts[Needed.YES]),
        "not_needed": int(counts[Needed.NO]),
        "unknown": int(counts[Needed.UNKNOWN]),
    }


def altered_fields(compared: Comparison) -> dict[str, int]:
    """Return how many packets were altered in each field."""
    changes = compared.table.changes[compared.table.changes > 0]
    counts = {name: int(np.count_nonzero(changes & int(change))) for change, name in CHANGE_NAMES.items()}
    return {name: count for name, count in counts.items() if count}


def odd_rows(compared: Comparison) -> Int64:
    """Return the rows of the table that are more than a packet that crossed."""
    table = compared.table
    return np.flatnonzero((table.fate >= RowFate.LOST) | (table.changes > 0) | table.reordered)


def differences(compared: Comparison) -> dict[str, Any]:
    """Return how many packets, or byte ranges, did not simply cross, and the first of them."""
    rows = odd_rows(compared)
    origins = Origins(*compared.packets, compared.table)
    return {"count": len(rows), "examples": [row_plain(compared, origins, row) for row in rows[:_SHOWN].tolist()]}


def row_plain(compared: Comparison, origins: Origins, row: int) -> dict[str, Any]:
    """Return what became of one packet, or byte range of one: altered fields with their values at both ends."""
    table = compared.table
    told: dict[str, Any] = {
        "flow": int(table.place[row]) >> 1,
        "sender": NAMES[0 if table.sent_at_one[row] else 1],
        "fate": RowFate(int(table.fate[row])).text,
        "reordered": bool(table.reordered[row]),
        "frames": {
            name: int(packets.frame[items[row]]) + 1 if items[row] >= 0 else None
            for name, packets, items in zip(NAMES, compared.packets, (table.one, table.two), strict=True)
        },
        "first_byte": int(table.skip[row]),
        "bytes": int(table.length[row]),
        "delay": int(table.delay[row]) if table.timed[row] else None,
        "altered": [
            dict(zip(("field", "sent", "arrived"), change_text(each), strict=True))
            for each in details(*compared.packets, table, row)
        ],
    }
    if (origin := origins.of(row)) is not None:
        told["origin"] = {"who": origin.who.value, "why": origin_evidence(origin)}
    return told


def label_totals(compared: Comparison) -> dict[str, dict[str, int]]:
    """Return how many packets of each file have which label."""
    totals = {}
    for name, flows in zip(NAMES, compared.flows, strict=True):
        sets = np.bincount(flows.labels)  # of labels that packets have at once
        which = np.arange(len(sets))
        counts = {each.name.lower(): int(sets[(which & int(each)) > 0].sum()) for each in Label if each.name}
        totals[name] = {label: count for label, count in counts.items() if count}
    return totals


def labels(compared: Comparison) -> dict[str, Any]:
    """Return each file's labels, and where those of one packet differ between both ends."""
    statistics, table = compared.statistics, compared.table
    examples = []
    for row in statistics.differ[:_SHOWN].tolist():
        frames = [int(packets.frame[items[row]]) + 1 for packets, items in zip(compared.packets, (table.one, table.two),
                                                                          strict=True)]  # fmt: skip
        told = [list(label_names(int(each[row]))) for each in statistics.labels]
        examples.append({"frames": dict(zip(NAMES, frames, strict=True)), **dict(zip(NAMES, told, strict=True))})
    only = {label: dict(zip(NAMES, counts, strict=True)) for label, counts in statistics.label_differences().items()}
    return {"totals": label_totals(compared), "differ": len(statistics.differ), "only_at": only, "examples": examples}


def flow(compared: Comparison, pair: int) -> dict[str, Any]:
    """Return what is known of a flow that both captures have."""
    pairs, statistics = compared.pairs, compared.statistics
    mapped = flow_mapping(compared, pair)
    protocol = int(compared.flows[0].protocol[pairs.a[pair]])
    ways = {}
    delays: list[dict[str, int] | None] = []
    for k, name in ((0, "from_opener"), (1, "to_opener")):
        place = 2 * pair + k
        delays.append(_delays(statistics.delay[place].tolist()) if _timed(compared, place) else None)
        took = int(statistics.end[place]) - int(statistics.begin[place])
        payload = int(statistics.payload[place])
        ways[name] = {
            "packets": dict(zip(NAMES, statistics.packets[place].tolist(), strict=True)),
            "fates": _fates(statistics.fates[place]),
            "altered": int(statistics.altered[place]),
            "reordered": int(statistics.reordered[place]),
            "bytes": payload,
            "duration": took,
            "throughput": _throughput(payload, took),
            "delay": delays[-1],
            "retransmissions": _repeats(statistics.repeats[place]),
        }
    result: dict[str, Any] = {
        "protocol": protocol_name(protocol),
        "opener": opener_end(compared, pair),
        "mapping": mapped.text,
        "ends": {name: list(ends) for name, ends in zip(NAMES, mapped.ends, strict=True)},
        "rewritten": list(mapped.rewritten),
        "matched_by": pairs.how[pair],
        **ways,
        "round_trip": round_trip((delays[0], delays[1])),
        "filter": {
            name: display_filter(compared, which, int((pairs.a, pairs.b)[which][pair]))
            for which, name in enumerate(NAMES)
        },
    }
    if protocol == TCP:
        took = int(statistics.handshake[pair])
        result["handshake"] = {"text": handshake_text(compared, pair), "rtt": took if took >= 0 else None}
        result["close"] = close_text(compared, pair)
    return result


def icmp_error(about: ErrorsAbout) -> dict[str, Any]:
    """Return what was said about a flow."""
    error = about.error
    return {
        "text": error_text(error),
        "type": error.type,
        "code": error.code,
        "mtu": error.mtu,
        "by": error.by,
        "packets": dict(zip(NAMES, about.packets, strict=True)),
        "misquoted": about.misquoted,
    }


def _timed(compared: Comparison, place: int) -> bool:
    return bool(compared.statistics.fates[place, : RowFate.MERGED + 1].sum())


def alone(compared: Comparison, which: int, number: int) -> dict[str, Any]:
    """Return a flow that only one capture has, or of which it is not clear which one it is."""
    packets, flows = compared.packets[which], compared.flows[which]
    ends = packets.ends[int(flows.conversation[number])]
    opener = int(flows.opener[number])
    return {
        "protocol": protocol_name(ends.protocol),
        "ends": [ends.end(opener), ends.end(1 - opener)],
        "about": None if ends.quoted is None else str(ends.quoted),
        "packets": int(flows.count[number]),
        "filter": display_filter(compared, which, number),
    }
