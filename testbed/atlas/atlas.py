"""The Atlas as a value: conditions and entries; what of it is kept as JSON, and where two of them differ. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from testbed.atlas.call_facts import PictureRow, compared, facts, rows, timers
from testbed.atlas.groups import group_of
from testbed.model import Analysis
from testbed.model.errors import UsageError
from testbed.model.outcomes import Outcome
from testbed.report.evidence_text import sentence

FORMAT: Final = "bothends-atlas/1"


@dataclass(frozen=True, slots=True)
class Kind:
    """One way in which a scenario went: in how many runs, what of it is compared, and for people calls and timers."""

    runs: int
    compared: Mapping[str, list[str]]
    calls: tuple[dict[str, Any], ...]
    timers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A scenario in one variant. ``picture`` and ``ladder`` are of one of its runs and not kept as JSON."""

    scenario: str
    variant: str
    summary: str
    about: str
    tags: tuple[str, ...]
    path: str
    sysctls: Mapping[str, Mapping[str, str]]
    kinds: tuple[Kind, ...]
    picture: tuple[PictureRow, ...] = ()
    ladder: tuple[str, ...] = ()
    outcomes: Mapping[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Scenario and variant."""
        return f"{self.scenario} [{self.variant}]" if self.variant else self.scenario

    @property
    def anchor(self) -> str:
        """Its place in a page."""
        return "".join(char if char.isalnum() else "-" for char in self.name.lower()).strip("-")


@dataclass(frozen=True, slots=True)
class Atlas:
    """All entries by name, and what they were measured on: kernel, engine, sysctls that all have in common."""

    conditions: Mapping[str, str]
    sysctls: Mapping[str, str]
    entries: tuple[Entry, ...]


def kind_of(analysis: Analysis, runs: int, *, exact: bool = True) -> Kind:
    """Return what one run shows, in ``runs`` of the runs; ``exact`` as in :func:`compared`."""
    found = [
        {
            "host": fact.host,
            "call": fact.name,
            "text": fact.text,
            "packets": list(fact.packets),
            "nothing": sentence(fact.why),
        }
        for fact in facts(analysis)
    ]
    later = [
        f"{host} {rule}{f' ({count} times)' if count > 1 else ''}: {text}"
        for host, rule, count, text in timers(analysis)
    ]
    return Kind(runs, compared(analysis, exact=exact), tuple(_once(found)), tuple(later))


def _once(found: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield calls; of several in a row that did the same to the wire the first, with how many there were."""
    last: dict[str, Any] | None = None
    for each in found:
        same = last is not None and {**last, "times": 0} == {**each, "times": 0}
        if last is not None and same:
            last["times"] += 1
            continue
        if last is not None:
            yield last
        last = {**each, "times": 1}
    if last is not None:
        yield last


def picture_of(analysis: Analysis) -> tuple[PictureRow, ...]:
    """Return the rows of a run's picture."""
    return tuple(rows(analysis))


def to_json(atlas: Atlas) -> dict[str, Any]:
    """Return the measured facts as a JSON object; without times."""
    return {
        "format": FORMAT,
        "conditions": dict(atlas.conditions),
        "sysctls": dict(atlas.sysctls),
        "entries": [
            {
                "scenario": entry.scenario,
                "variant": entry.variant,
                "group": group_of(entry.tags).anchor,
                "summary": entry.summary,
                "sysctls": {host: dict(own) for host, own in entry.sysctls.items()},
                "outcomes": dict(entry.outcomes),
                "kinds": [
                    {
                        "runs": kind.runs,
                        "calls": list(kind.calls),
                        "timers": list(kind.timers),
                        "compared": {name: list(lines) for name, lines in kind.compared.items()},
                    }
                    for kind in entry.kinds
                ],
            }
            for entry in atlas.entries
        ],
    }


@dataclass(frozen=True, slots=True)
class ScenarioDifference:
    """A scenario of which no run went as one of the other Atlas did: lines only there, lines only here, by name."""

    name: str
    lines: tuple[str, ...]


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[ScenarioDifference]:
    """Compare two Atlases as JSON. Raises UsageError where the earlier one is none.

    A scenario that may legally go in several ways has several kinds: it is the same where one of them is in both.
    """
    if not isinstance(before, Mapping) or before.get("format") != FORMAT:
        raise UsageError("this is no Atlas", hint=f"a file that `invoke atlas` wrote: format {FORMAT}")
    olds, news = ({(each["scenario"], each["variant"]): each for each in atlas["entries"]} for atlas in (before, now))
    found = []
    for key in sorted(olds.keys() | news.keys()):
        name = f"{key[0]} [{key[1]}]" if key[1] else key[0]
        if key not in news or key not in olds:
            found.append(
                ScenarioDifference(
                    name, ("only in the earlier Atlas" if key not in news else "not in the earlier Atlas",)
                )
            )
            continue
        theirs, ours = ([kind["compared"] for kind in each[key]["kinds"]] for each in (olds, news))
        if not theirs and not ours:
            continue
        if not theirs or not ours:
            when, entry = ("before", olds[key]) if not theirs else ("now", news[key])
            found.append(ScenarioDifference(name, (f"{when}: {_why_none(entry)}",)))
        elif not any(kind in theirs for kind in ours):
            found.append(ScenarioDifference(name, tuple(_lines(theirs, ours))))
    return found


def _why_none(entry: Mapping[str, Any]) -> str:
    """Say why a scenario has no run that shows anything."""
    only_unsupported = set(entry.get("outcomes", ())) == {Outcome.UNSUPPORTED}
    return "it cannot be run there (unsupported)" if only_unsupported else "no run of it could be carried through"


def _lines(theirs: list[dict[str, list[str]]], ours: list[dict[str, list[str]]]) -> Iterator[str]:
    before, now = theirs[0], ours[0]
    for name in dict.fromkeys((*before, *now)):
        gone = [line for line in before.get(name, []) if line not in now.get(name, [])]
        new = [line for line in now.get(name, []) if line not in before.get(name, [])]
        yield from (f"{name}: - {line}" for line in gone)
        yield from (f"{name}: + {line}" for line in new)
        if not gone and not new and before.get(name) != now.get(name):
            yield f"{name}: in another order or number"
