"""A campaign's summary for people and for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from rich.console import Console

from testbed.campaign.campaign_summary import RunKind, Summary, Variant
from testbed.report.text.terminal_text import counted, escape

FORMAT: Final = "bothends-campaign/1"
MOST_KINDS = 8
_SAID = ("segments", "packets", "causes", "fates", "ledger", "checks", "error")


def to_json(summary: Summary, directory: str) -> dict[str, Any]:
    """Return the summary as a JSON object."""
    return {
        "format": FORMAT,
        "directory": directory,
        "engine": summary.engine,
        "outcome": summary.outcome.value,
        "exit_code": summary.outcome.exit_code,
        "variants": [
            {
                **asdict(variant),
                "kinds": [{**asdict(kind), "example": kind.example} for kind in variant.kinds],
                "checks": [{**asdict(check), "sure": check.sure} for check in variant.checks],
                "outcome": variant.outcome.value,
                "outcomes": dict(variant.outcomes),
            }
            for variant in summary.variants
        ],
        "differences": {
            scenario: [{"facet": each.facet, "variants": dict(each.lines)} for each in differences]
            for scenario, differences in summary.differences.items()
        },
    }


def render(summary: Summary, directory: str, console: Console) -> None:
    """Print each variant's kinds of runs, the most frequent first, and where the variants differ."""
    for line in lines(summary, directory):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def lines(summary: Summary, directory: str) -> list[str]:
    """Return the summary as plain lines."""
    found: list[str] = []
    for variant in summary.variants:
        found += [*variant_lines(variant), ""]
    for scenario, differences in summary.differences.items():
        if not differences:
            continue
        found.append(f"{scenario}: where its variants differ (the most frequent run of each)")
        for difference in differences:
            found.append(f"  {difference.facet}")
            width = max(len(label) for label in difference.lines)
            for label, told in difference.lines.items():
                first, *rest = told or ["-"]
                found.append(f"    {escape(label):<{width}}  {escape(first)}")
                found += [f"    {'':<{width}}  {escape(line)}" for line in rest]
        found.append("")
    found.append(f"{summary.outcome.value}; kept in {directory}")
    return found


def variant_lines(variant: Variant) -> list[str]:
    """Return one variant's part of the summary: its kinds of runs, the most frequent first, and its shares."""
    found = [f"{escape(variant.name)}: {variant.tally}"]
    common = _common(variant)
    for number, kind in enumerate(variant.kinds[:MOST_KINDS]):
        share = f"{kind.count / variant.runs:7.1%}"
        example = f"  {kind.example}" if kind.example else ""
        found.append(f"  {kind.count:>7,} {share}  {kind.outcome}{example}")
        found += [f"{'':20}{line}" for line in _facets(kind, common if number else ())]
    if len(variant.kinds) > MOST_KINDS:
        rest = sum(kind.count for kind in variant.kinds[MOST_KINDS:])
        found.append(f"  {rest:>7,} runs of {counted(len(variant.kinds) - MOST_KINDS, 'other kind')}")
    for check in variant.checks:
        sign = {True: "holds", False: "FAILS", None: "undecided"}[check.ok]
        found.append(f"  {sign}: {escape(check.text)}")
        found.append(f"         in {check.held:,} of {check.of:,} runs ({check.sure}); {escape(check.where)}")
    return found


def _common(variant: Variant) -> tuple[str, ...]:
    """Return the facets that all kinds of runs share: told once, with the first."""
    if not variant.kinds:
        return ()
    first = variant.kinds[0].facets
    return tuple(name for name in first if all(kind.facets.get(name) == first[name] for kind in variant.kinds))


def _facets(kind: RunKind, leave_out: tuple[str, ...]) -> list[str]:
    found = []
    for name in _SAID:
        told = [] if name in leave_out else kind.facets.get(name, [])
        found += [f"{name if not number else '':<9} {escape(line)}" for number, line in enumerate(told)]
    return found
