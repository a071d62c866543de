"""What ``invoke clean`` finds."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Remains:
    """What was found. ``removed`` and ``failed`` are descriptions; ``alive`` and ``foreign`` are run ids left alone.

    ``foreign`` runs belong to another machine that uses the same engine; whether they live cannot be found out here.
    """

    removed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    alive: set[str] = field(default_factory=set)
    foreign: set[str] = field(default_factory=set)
