"""What a benchmark says: a ratio of two things that were measured in turn in the same run, and the limit of it.

Seconds say nothing on a shared machine, so they are printed and never judged. Of pairs of neighbours the median of the
ratios counts: what slows the machine for a while slows both of a pair.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

Say = Callable[[str], None]
"""Gets lines of details for people: seconds, bytes, rates."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """One ratio with its limit, which it must not exceed, or with ``at_least`` must reach; None: there is no limit."""

    bench: str
    """The benchmark's name, as `invoke bench` takes it."""
    what: str
    """What was measured."""
    beside: str
    """What was measured in turn with it: the ratio is to this."""
    value: float
    limit: float | None
    at_least: bool = False
    pairs: tuple[float, ...] = field(default=())
    """The ratio of each pair; empty where both were measured as one."""

    @property
    def kept(self) -> bool:
        """Whether the limit is kept."""
        if self.limit is None:
            return True
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def of_pairs(
    bench: str,
    what: str,
    beside: str,
    pairs: tuple[Sequence[float], Sequence[float]],
    limit: float | None,
    at_least: bool = False,
) -> Ratio:
    """Return the median ratio of pairs: what was measured, and its neighbours of what ran beside it."""
    each = tuple(one / other for one, other in zip(*pairs, strict=True))
    return Ratio(bench, what, beside, statistics.median(each), limit, at_least, each)


def in_turns(measures: Mapping[str, Callable[[], float]], turns: int, warm_up: int = 1) -> dict[str, list[float]]:
    """Measure all ``turns`` times in turn, each turn the other way round; the first ``warm_up`` turns do not count."""
    taken: dict[str, list[float]] = {name: [] for name in measures}
    for turn in range(warm_up + turns):
        for name in list(measures)[:: -1 if turn % 2 else 1]:
            figure = measures[name]()
            if turn >= warm_up:
                taken[name].append(figure)
    return taken


def spread(values: Sequence[float], unit: str = "s", times: float = 1.0, digits: int = 2) -> str:
    """Return the median of figures and what they lie between, for a line of details."""
    low, middle, high = (f"{times * each:.{digits}f}" for each in (min(values), statistics.median(values), max(values)))
    return f"{middle} {unit} ({low} to {high})"


HEADS = ("benchmark", "what", "beside", "ratio", "pairs", "limit", "")


def rows(ratios: Sequence[Ratio]) -> list[tuple[str, ...]]:
    """Return the cells of a table of ratios, one row each."""
    return [
        (
            each.bench,
            each.what,
            each.beside,
            f"{each.value:.3g}",
            f"{min(each.pairs):.3g} to {max(each.pairs):.3g}" if each.pairs else "",
            "none" if each.limit is None else f"at {'least' if each.at_least else 'most'} {each.limit:g}",
            "" if each.kept else "NOT KEPT",
        )
        for each in ratios
    ]


def table(ratios: Sequence[Ratio]) -> list[str]:
    """Return the lines of a table for a terminal."""
    cells = [HEADS, *rows(ratios)]
    widths = [max(len(row[n]) for row in cells) for n in range(len(HEADS))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
