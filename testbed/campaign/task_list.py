"""What a campaign is to do: tasks, each one run of one variant. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from testbed.scenario.variants import combinations


@dataclass(frozen=True, slots=True)
class ScenarioSource:
    """A scenario as it was when the campaign began. ``shown`` is the file's name in messages."""

    name: str
    path: str
    shown: str
    text: str


@dataclass(frozen=True, slots=True)
class Task:
    """One run: a scenario's name, a variant's number among its variants, and which repeat, from 0."""

    scenario: str
    variant: int
    repeat: int

    @property
    def key(self) -> str:
        """Its name in the campaign's files; the same task has the same name after a resume."""
        return f"{self.scenario}/{self.variant}/{self.repeat}"


@dataclass(frozen=True, slots=True)
class Plan:
    """A campaign: scenarios, the settings of their variants in order, and how often each is run."""

    sources: tuple[ScenarioSource, ...]
    variants: Mapping[str, tuple[Mapping[str, Any], ...]]
    repeat: int
    engine: str
    keep: str

    def tasks(self) -> Iterator[Task]:
        """Yield all tasks, the variants in turn: after any stop each has about as many runs."""
        for repeat in range(self.repeat):
            for source in self.sources:
                for variant in range(len(self.variants[source.name])):
                    yield Task(source.name, variant, repeat)

    def __len__(self) -> int:
        return self.repeat * sum(len(self.variants[source.name]) for source in self.sources)


def variants(matrix: Mapping[str, Sequence[Any]], settings: Mapping[str, Sequence[Any]]) -> tuple[dict[str, Any], ...]:
    """Return the settings of every variant: those of the matrix, with the command line's over them."""
    return tuple(combinations({**matrix, **settings}))


def label(settings: Mapping[str, Any]) -> str:
    """Return a variant's name for people: ``observe.client=probe link.delay=5ms``; empty for the only one."""
    return " ".join(
        f"{path}={value if isinstance(value, str) else json.dumps(value)}" for path, value in settings.items()
    )
