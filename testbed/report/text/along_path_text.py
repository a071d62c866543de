"""Several captures along one path on the terminal: what each part of the path did."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from testbed.pairing.between_taps import what_lies_between
from testbed.pairing.compare_captures import Comparison
from testbed.pairing.same import count_differences, inconclusive
from testbed.report.json import comparison_json as plain
from testbed.report.text.between_text import between_text


def render(hops: list[tuple[Comparison, tuple[str, str], tuple[str, ...]]], console: Console) -> None:
    """Print what lies between each capture and the next, what differs, and how long packets take."""
    for k, (compared, paths, differs) in enumerate(hops, 1):
        told = f"[bold]part {k}[/] {escape(paths[0])} to {escape(paths[1])}"
        console.print(f"{told}: {escape(between_text(what_lies_between(compared)))}", highlight=False, soft_wrap=True)
        counts = ", ".join(f"{count:,} {name}" for name, count in count_differences(compared).items() if count)
        if counts:
            console.print(f"  {counts}", highlight=False, soft_wrap=True)
        for name, from_one in (("there", True), ("back", False)):
            delay = plain.direction(compared, from_one=from_one)["delay"]
            if delay is not None:
                times = ", ".join(f"{each} {delay[each] / 1e6:.3f} ms" for each in ("minimum", "median", "maximum"))
                console.print(f"  delay {name}: {times}", highlight=False, soft_wrap=True)
        result = "[green]same[/]"
        if differs:
            result = f"[red]differs[/]: {', '.join(differs)}"
        elif unclear := inconclusive(compared):
            result = f"[yellow]inconclusive[/]: {unclear:,} packets or flows are ambiguous"
        console.print(f"  {result}", highlight=False, soft_wrap=True)
