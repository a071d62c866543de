"""The page of a campaign: scenarios by variants, how often which kind of run occurred, and a link to a run of each.

Runs of one scenario that have everything in common are a **kind**; it has one letter and one colour in all variants of
the scenario, A the most frequent, so that two bars can be compared by eye.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from testbed.campaign.campaign_summary import FacetDifference, RunKind, ShareCheck, Summary, Variant
from testbed.campaign.task_list import label
from testbed.model import Outcome
from testbed.report.html import assemble
from testbed.report.html.fit import LIMIT
from testbed.report.text.terminal_text import counted, escape

MOST_KINDS = 24
"""Kinds of runs that are told of a variant; the others are counted."""

_MOST_DETAILS = 6000  # kinds that are told on a page: enough to see all of most, and few megabytes
_MOST_LINKS = 4  # links in a cell
_MOST_COLUMNS = 6  # of a table with few rows
_MOST_RUNS = 12  # runs that are named of a kind
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_COLOURS = 8
_OTHERS = "others"
_NARROWEST = 0.5  # per cent of a bar: less could not be seen
_LETTER_ROOM = 7.0  # per cent of a bar in which a letter can be read


@dataclass(frozen=True, slots=True)
class About:
    """What a page says of a campaign besides its summary.

    ``name`` is that of its directory, ``summaries`` are the scenarios' own. ``pages`` are the run directories (below
    ``runs/``) that have a page to link to.
    """

    name: str
    repeat: int
    keep: str
    summaries: Mapping[str, str]
    pages: Collection[str]


@dataclass(frozen=True, slots=True)
class BarPiece:
    """A piece of a bar, in per cent of its width; ``colour`` is a style's name, ``letter`` empty where it is narrow."""

    at: float
    width: float
    colour: str
    letter: str
    outcome: str


@dataclass(frozen=True, slots=True)
class RunLink:
    """A run by the last part of its directory's name; ``href`` is empty where it has no page."""

    text: str
    href: str


@dataclass(frozen=True, slots=True)
class KindView:
    """A kind of runs: ``facets`` are (name, lines, whether they differ from those of the variant's most frequent)."""

    letter: str
    colour: str
    signature: str
    count: int
    share: str
    outcome: str
    facets: tuple[tuple[str, Sequence[str], bool], ...]
    runs: tuple[RunLink, ...]
    more_runs: int


@dataclass(frozen=True, slots=True)
class VariantView:
    """A cell of the matrix and its details; ``n`` is the variant's number in the campaign.

    ``kinds`` are those of the bar, of which the first ``told`` are told in full.
    """

    n: int
    variant: Variant
    settings: tuple[tuple[str, str], ...]
    pieces: tuple[BarPiece, ...]
    kinds: tuple[KindView, ...]
    told: int
    more_kinds: int
    more_runs: int
    said: str

    @property
    def links(self) -> tuple[KindView, ...]:
        """The kinds that the cell names."""
        return self.kinds[:_MOST_LINKS]

    @property
    def checks(self) -> tuple[ShareCheck, ...]:
        """The expectations that are judged over many runs."""
        return self.variant.checks


@dataclass(frozen=True, slots=True)
class ScenarioView:
    """A row of the matrix."""

    name: str
    summary: str
    variants: tuple[VariantView, ...]
    differences: tuple[FacetDifference, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """Scenarios that have the same variants; a column is a variant, as (setting, value) pairs."""

    columns: tuple[tuple[tuple[str, str], ...], ...]
    rows: tuple[ScenarioView, ...]

    @property
    def tall(self) -> bool:
        """Whether the table is shown with a row for each variant: pages are scrolled downwards."""
        return len(self.columns) > max(_MOST_COLUMNS, len(self.rows))


def render(summary: Summary, about: About, *, limit: int = LIMIT) -> str:
    """Return the page, at most ``limit`` bytes where that is possible: fewer kinds are told then, and it is said."""
    most = min(max(_MOST_DETAILS // max(len(summary.variants), 1), 1), MOST_KINDS)
    while True:
        scenarios = tuple(_scenarios(summary, about, most))
        page = assemble.page(
            "campaign.html.j2",
            scripts=("campaign",),
            styles=("base", "campaign"),
            data="",
            title=f"{about.name}: {summary.outcome.value}",
            outcome=summary.outcome.value,
            headline=_headline(summary),
            outcomes=_outcomes(summary),
            about=about,
            summary=summary,
            grids=_grids(scenarios),
            scenarios=scenarios,
            settings=_settings(scenarios),
            missing=sum(max(variant.wanted - variant.runs, 0) for variant in summary.variants),
            seconds=sum(variant.seconds for variant in summary.variants),
            differing=sum(len(variant.kinds) > 1 for variant in summary.variants),
            counted=counted,
        )
        if len(page.encode()) <= limit or most == 1:
            return page
        most //= 2


def _headline(summary: Summary) -> str:
    runs = sum(variant.runs for variant in summary.variants)
    scenarios = len({variant.scenario for variant in summary.variants})
    varied = f" in {counted(len(summary.variants), 'variant')}" if len(summary.variants) > scenarios else ""
    found = Counter[str]()
    for variant in summary.variants:
        found.update(variant.outcomes)
    ended = ", ".join(f"{found[one.value]:,} {one.value}" for one in Outcome if found[one.value])
    return f"{counted(runs, 'run')} of {counted(scenarios, 'scenario')}{varied}: {ended or 'none'}"


def _outcomes(summary: Summary) -> list[tuple[str, int]]:
    """How many variants had each outcome, those that there are."""
    found = Counter(variant.outcome.value for variant in summary.variants)
    return [(one.value, found[one.value]) for one in Outcome if found[one.value]]


def _grids(scenarios: Sequence[ScenarioView]) -> list[Grid]:
    """Put scenarios with the same variants into one table; the largest first."""
    groups: dict[tuple[tuple[tuple[str, str], ...], ...], list[ScenarioView]] = {}
    for scenario in scenarios:
        groups.setdefault(tuple(view.settings for view in scenario.variants), []).append(scenario)
    return sorted((Grid(columns, tuple(rows)) for columns, rows in groups.items()), key=lambda grid: -len(grid.rows))


def _settings(scenarios: Sequence[ScenarioView]) -> dict[str, list[str]]:
    """Return the settings that have several values, and these in order."""
    found: dict[str, dict[str, None]] = {}
    for scenario in scenarios:
        for view in scenario.variants:
            for path, value in view.settings:
                found.setdefault(path, {})[value] = None
    return {path: list(values) for path, values in found.items() if len(values) > 1}


def _scenarios(summary: Summary, about: About, most: int) -> Iterator[ScenarioView]:
    by_name: dict[str, list[tuple[int, Variant]]] = {}
    for n, variant in enumerate(summary.variants):
        by_name.setdefault(variant.scenario, []).append((n, variant))
    for name, variants in by_name.items():
        counts: Counter[str] = Counter()
        for _, variant in variants:
            for kind in variant.kinds:
                counts[kind.signature] += kind.count
        order = {signature: k for k, (signature, _) in enumerate(counts.most_common())}
        views = tuple(_variant(n, variant, order, about.pages, most) for n, variant in variants)
        yield ScenarioView(name, about.summaries.get(name, ""), views, summary.differences.get(name, ()))


def _variant(n: int, variant: Variant, order: Mapping[str, int], linked: Collection[str], most: int) -> VariantView:
    rest = variant.kinds[most:]
    shown = variant.kinds[: max(most, _MOST_LINKS)]
    kinds = tuple(_kind(kind, variant, order[kind.signature], linked) for kind in shown)
    return VariantView(
        n=n,
        variant=variant,
        settings=tuple(_shown(path, value) for path, value in variant.settings.items()),
        pieces=tuple(_pieces(variant, kinds)),
        kinds=kinds,
        told=most,
        more_kinds=len(rest),
        more_runs=sum(kind.count for kind in rest),
        said="; ".join(f"{kind.letter} {kind.outcome} {kind.share}" for kind in kinds[:6]) or "no run",
    )


def _shown(path: str, value: object) -> tuple[str, str]:
    return escape(path), escape(label({path: value}).removeprefix(f"{path}="))


def _kind(kind: RunKind, variant: Variant, place: int, linked: Collection[str]) -> KindView:
    usual = variant.kinds[0].facets
    return KindView(
        letter=_letter(place),
        colour=_colour(place),
        signature=kind.signature,
        count=kind.count,
        share=_share(kind.count, variant.runs),
        outcome=kind.outcome,
        facets=tuple(
            (name, kind.facets.get(name, ()), kind.facets.get(name, ()) != usual.get(name, ()))
            for name in dict.fromkeys([*usual, *kind.facets])
            if name != "outcome" and (kind.facets.get(name) or usual.get(name))
        ),
        runs=tuple(_link(directory, linked) for directory in kind.kept[:_MOST_RUNS]),
        more_runs=max(len(kind.kept) - _MOST_RUNS, 0),
    )


def _link(directory: str, linked: Collection[str]) -> RunLink:
    # A path below the page's own place whatever it holds: a colon or a slash in front would lead elsewhere.
    href = f"runs/{quote(directory)}/report.html" if directory in linked else ""
    return RunLink(directory.rpartition("/")[2].rpartition("-")[2] or directory, href)


def _letter(place: int) -> str:
    return _LETTERS[place] if place < len(_LETTERS) else str(place + 1)


def _colour(place: int) -> str:
    return f"kind{place}" if place < _COLOURS else _OTHERS


def _share(count: int, runs: int) -> str:
    """Return a share in per cent that is 0% or 100% only where it is exactly that."""
    value = 100 * count / runs
    return f"{value:.0f}%" if value == round(value) else f"{min(max(value, 0.01), 99.99):.3g}%"


def _pieces(variant: Variant, kinds: Sequence[KindView]) -> Iterator[BarPiece]:
    """Cut a bar into the kinds that are told and one piece for all others; what is missing of the plan stays empty."""
    wanted = max(variant.wanted, variant.runs)
    rest = variant.runs - sum(kind.count for kind in kinds)
    parts = [(kind.count, kind.colour, kind.letter, kind.outcome) for kind in kinds]
    parts += [(rest, _OTHERS, "", "")] if rest else []
    at = 0.0
    for count, colour, letter, outcome in parts:
        width = 100 * count / wanted
        yield BarPiece(
            at=round(min(at, 100 - _NARROWEST), 3),
            width=round(max(width, _NARROWEST), 3),
            colour=colour,
            letter=letter if width >= _LETTER_ROOM else "",
            outcome=outcome,
        )
        at += width
