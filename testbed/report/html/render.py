"""The page of one run: a single HTML file that opens from the file system and asks the network for nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from testbed.analysis.causes import OTHER_RULES, TCP_RULES
from testbed.model import HOSTS, Analysis, Crossing, Delay, Host, LedgerRow, Outcome, Program, peer_of
from testbed.report.html import calls, packets, pages
from testbed.report.html.ledger_picture import HEIGHT, WIDTH, pictures
from testbed.report.html.marks import Mark
from testbed.report.html.pack import Packer
from testbed.report.html.source import Source
from testbed.report.html.words import Piece, pieces
from testbed.report.plain import counted, duration

LIMIT = 10_000_000
"""A page has at most so many bytes."""

MOST_PACKETS = 120_000
"""Of a longer run the first and the last packets are in the page, and those between that are remarkable."""

_PAYLOAD = 0.24  # of the limit: payload hardly compresses, and base64 makes 4 bytes of 3
_MOST_OF_ONE = 65_536
_SHORTEST = 8
_REMARKABLE = 10_000
_OUTPUT = 64_000  # characters of what a program printed
_META = ("scenario", "summary", "run_id", "engine", "started")
_ROWS = 200  # ledger rows in the table
_SCRIPTS = ("data", "text", "model", "filter", "rows", "draw", "ladder", "panel", "plot", "state", "app")


def render(source: Source, *, limit: int = LIMIT) -> str:
    """Return the page, at most ``limit`` bytes: payloads are cut first, then packets; the page says so."""
    crossings = source.analysis.inputs.joined.crossings
    most = MOST_PACKETS
    while True:
        kept = _kept(crossings, most)
        for payload in (_payload_limit(crossings, kept, int(limit * _PAYLOAD)), _SHORTEST):
            page = _page(source, kept, payload)
            if len(page.encode()) <= limit or most < 2:
                return page
        most = min(most, len(crossings)) // 2


def _page(source: Source, kept: NDArray[np.int64], payload_limit: int) -> str:
    analysis = source.analysis
    every_call = [call for host in HOSTS for call in analysis.inputs.calls.get(host, ())]
    times = [analysis.inputs.joined.crossings[k].time for k in kept[:1].tolist()]
    base = min([call.start for call in every_call] + times, default=0)
    packer = Packer()
    about = packets.put(packer, source, kept, base, payload_limit)
    calls.put(packer, analysis, base)
    data = packer.pack(_head(source, base, len(kept)) | {"packets": about})
    return pages.page(
        "run.html.j2",
        scripts=_SCRIPTS,
        styles=("base", "run", "print"),
        data=data,
        title=f"{source.meta.get('scenario', 'comparison')}: {analysis.outcome.value}",
        **_words(source, about, len(kept)),
    )


def _head(source: Source, base: int, kept: int) -> dict[str, Any]:
    inputs = source.analysis.inputs
    used = {cause.rule for cause in source.analysis.causes}
    rules = {rule.name: [rule.what, rule.source] for rule in TCP_RULES}
    rules |= {rule.name: [rule.what, rule.source] for rule in OTHER_RULES}
    clock = source.clock
    return {
        "base": str(base),  # ns since the epoch: too large for a JavaScript number
        "hosts": list(HOSTS),
        "observed": [inputs.observed.get(host, "none") for host in HOSTS],
        "flows": [
            {"protocol": flow.protocol, "client": str(flow.client), "server": str(flow.server)}
            for flow in inputs.joined.flows
        ],
        "names": {flow.endpoint(host).address: host for flow in inputs.joined.flows for host in HOSTS},
        "rules": {name: about for name, about in rules.items() if name in used},
        "clock": {"one": clock.one, "offset": clock.offset, "error": clock.error, "drift": clock.drift_ppm},
        "total": len(inputs.joined.crossings),
        "cut": len(inputs.joined.crossings) - kept,
    }


# ------------------------------------------------------------------ what is left out


def _kept(crossings: Sequence[Crossing], most: int) -> NDArray[np.int64]:
    """Return the positions of the crossings that the page holds, in order."""
    count = len(crossings)
    if count <= most:
        return np.arange(count)
    ends = max(most // 2 - min(_REMARKABLE, most // 4), 1)
    middle = (k for k in range(ends, count - ends) if crossings[k].fate != "crossed" or crossings[k].changes)
    remarkable = [k for k, _ in zip(middle, range(_REMARKABLE), strict=False)]
    return np.array([*range(ends), *remarkable, *range(count - ends, count)], np.int64)


def _payload_limit(crossings: Sequence[Crossing], kept: NDArray[np.int64], room: int) -> int:
    """Return how many bytes of each payload are stored so that all fit into ``room`` bytes."""
    lengths = np.array([len(crossings[k].payload) for k in kept.tolist()], np.int64)
    for limit in (_MOST_OF_ONE, 16_384, 4096, 1500, 512, 256, 128, 64, 32, 24, 16):
        if int(np.minimum(lengths, limit).sum()) <= room:
            return limit
    return _SHORTEST


# ------------------------------------------------------------------ what stands in the page without a script


@dataclass(frozen=True, slots=True)
class Evidence:
    """A chip under the verdict: words, the place or selection that it leads to, how grave it is."""

    text: str
    target: str
    style: str = ""


def _words(source: Source, about: dict[str, Any], kept: int) -> dict[str, Any]:
    analysis = source.analysis
    joined = analysis.inputs.joined
    many = len(joined.flows) > 1
    return {
        "meta": dict.fromkeys(_META, "") | dict(source.meta),
        "analysis": analysis,
        "outcome": analysis.outcome.value,
        "pass_": analysis.outcome is Outcome.PASS,
        "evidence": list(_evidence(analysis, about["counts"])),
        "reasons": _reasons(source),
        "pictures": pictures(analysis.ledger, many_flows=many),
        "picture_size": (WIDTH, HEIGHT),
        "ledger": analysis.ledger[:_ROWS],
        "ledger_more": max(len(analysis.ledger) - _ROWS, 0),
        "closing": _closing(analysis),
        "many_flows": many,
        "delays": [(host, peer_of(host), analysis.delays[host]) for host in HOSTS if _measured(analysis, host)],
        "programs": [(program, _ending(program)) for program in analysis.inputs.programs],
        "printed": [(name, text[:_OUTPUT], len(text)) for name, text in source.printed.items() if text],
        "conditions": source.conditions,
        "total": len(joined.crossings),
        "kept": kept,
        "payload_limit": about["payload_limit"],
        "payload_cut": about["payload_cut"],
        "has_labels": bool(source.labels),
        "duration": lambda ns: duration(ns).replace("us", "µs"),
        "counted": counted,
    }


def _evidence(analysis: Analysis, counts: dict[int, int]) -> Iterator[Evidence]:
    """Where the verdict can be checked: the ledger, the packets that differ, what ended the connection."""
    yield Evidence("ledger", "#ledger")
    for bit, preset in ((Mark.LOST, "lost"), (Mark.ALTERED, "altered"), (Mark.APPEARED, "appeared")):
        if counts.get(bit):
            yield Evidence(f"{counted(counts[bit], 'packet')} {preset}", f"preset={preset}", "bad")
    if counts.get(Mark.UNKNOWN):
        yield Evidence(f"{counted(counts[Mark.UNKNOWN], 'packet')} of unknown cause", "preset=unknown", "doubtful")
    seen: set[str] = set()
    for host, parts in _closing(analysis):
        for part in parts:
            if part.target and part.target not in seen and len(seen) < 4:
                seen.add(part.target)
                yield Evidence(f"{host} {part.text}" if ":" in part.target else part.text, f"sel={part.target}")
    failed = sum(1 for check in analysis.checks if check.ok is False)
    if failed:
        yield Evidence(f"{counted(failed, 'expectation')} failed", "#expectations", "bad")
    elif analysis.checks:
        held = sum(1 for check in analysis.checks if check.ok)
        yield Evidence(f"{held} of {counted(len(analysis.checks), 'expectation')} held", "#expectations")


def _closing(analysis: Analysis) -> list[tuple[Host, list[Piece]]]:
    """How each connection ended, once for each sentence, with the host that the sentence is about."""
    found: dict[str, tuple[Host, list[Piece]]] = {}
    for row in analysis.ledger:
        if row.close and row.close not in found and len(found) < 4:
            host = _subject(row)
            parts = pieces(row.close, host, analysis.inputs.calls.get(host, ()), len(analysis.inputs.joined.crossings))
            found[row.close] = (host, parts)
    return list(found.values())


def _subject(row: LedgerRow) -> Host:
    return next((host for host in HOSTS if f"by {host}" in row.close), row.sender)


def _reasons(source: Source) -> list[str]:
    """Say what is not as it should be; what the analysis repeats among its reasons is said once."""
    inputs = source.analysis.inputs
    every = [*source.analysis.reasons, *inputs.failures, *inputs.incomplete, *source.meta.get("notes", ())]
    return list(dict.fromkeys(every))


def _measured(analysis: Analysis, host: Host) -> bool:
    delay: Delay | None = analysis.delays.get(host)
    return delay is not None and delay.count > 0


def _ending(program: Program) -> str:
    if program.stopped_by_us:
        return f"stopped: {program.stopped_by_us}"
    return f"ended by {program.signal}" if program.signal else f"exit status {program.exit_status}"
