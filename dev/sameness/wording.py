"""What the check found, as JSON and for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dev.sameness.document_difference import Findings, Group
from dev.sameness.known_differences import MISSING

_LONG = 240  # characters of a value that are shown
_SHOWN = 60  # groups of texts and of differences that people are shown; JSON has all


def plain(
    findings: Findings, entries: Sequence[str], touched: Sequence[str], trees: Mapping[str, str]
) -> dict[str, Any]:
    """Return everything found as JSON; most frequent first, texts with other figures before those only reworded."""
    rows = [*findings.structured, *findings.intended]
    asked = zip(trees.items(), entries, strict=True)
    texts = sorted(findings.texts.items(), key=lambda each: (not each[0][0], -each[1].count))
    return {
        "same": not findings.differences and not touched,
        "trees": {which: {"tree": name, "entry": entry} for (which, name), entry in asked},
        "inputs": dict(findings.items),
        "values": findings.values,
        "texts": findings.texts_compared,
        "crashed": findings.crashed,
        "tally": dict(findings.tally),
        "differences": [
            {"path": path, **_group(group)}
            for path, group in sorted(findings.differences.items(), key=lambda each: -each[1].count)
        ],
        "touched": list(touched),
        "known": [
            {"path": row.path, "reason": row.reason, **_group(findings.known.get(number, Group()))}
            for number, row in enumerate(rows)
        ],
        "reworded": [
            {"path": path, "figures_differ": figures, **_group(group)} for (figures, path, _, _), group in texts
        ],
    }


def _group(group: Group) -> dict[str, Any]:
    return {
        "count": group.count,
        "inputs": len(group.items),
        "examples": [
            {"input": each.item, "at": each.at, "old": _json(each.old), "new": _json(each.new)}
            for each in group.examples
        ],
    }


def _json(value: object) -> object:
    return repr(MISSING) if value is MISSING else value


def text(report: Mapping[str, Any]) -> str:
    """Return the report for people."""
    return "".join(f"{line}\n" for line in _lines(report))


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    for which, told in report["trees"].items():
        yield f"{which}: {told['tree']} (asked through {told['entry']})"
    for what, groups in (("value differs", report["differences"]), ("known difference", report["known"])):
        for group in groups[:_SHOWN]:
            yield f"\n{what}: {group['path']}: {group['count']} times in {group['inputs']} inputs"
            if "reason" in group:
                yield f"  because: {group['reason']}"
            yield from _examples(group)
        if len(groups) > _SHOWN:
            yield f"... and {len(groups) - _SHOWN} more paths"
    yield from (f"\nan evaluation changed its input: {name}" for name in report["touched"])
    for group in report["reworded"][:_SHOWN]:
        what = "text with other figures" if group["figures_differ"] else "text"
        yield f"\n{what}: {group['path']}: {group['count']} times in {group['inputs']} inputs"
        yield from _examples(group)
    if len(report["reworded"]) > _SHOWN:
        yield f"... and {len(report['reworded']) - _SHOWN} more texts (--json has all)"
    yield ""
    inputs, tally = ([f"{count} {name}" for name, count in report[part].items()] for part in ("inputs", "tally"))
    yield f"compared: {', '.join(inputs)}; {report['values']} values, {report['texts']} texts in {report['seconds']} s"
    if report["crashed"]:
        yield f"of these {report['crashed']} crash the old tree: nothing of them was compared but the crash"
    yield f"in them: {', '.join(tally)}"
    counts = [sum(group["count"] for group in report[part]) for part in ("differences", "known", "reworded")]
    yield f"values that differ: {counts[0]}; known to: {counts[1]}; texts that differ: {counts[2]}"
    yield "the same" if report["same"] else "NOT the same"


def _examples(group: Mapping[str, Any]) -> Iterator[str]:
    for each in group["examples"]:
        yield f"  {each['input']}, {each['at']}"
        yield f"    old: {_cut(each['old'])}"
        yield f"    new: {_cut(each['new'])}"


def _cut(value: object) -> str:
    shown = str(value)
    return shown if len(shown) <= _LONG else f"{shown[:_LONG]}... ({len(shown)} characters)"
