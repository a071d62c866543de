"""What ``invoke doctor`` finds out, one fact at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DoctorFinding:
    """One fact. ``works`` None: not needed now, or not known.

    ``needed``: nothing runs on ``engine`` without it, or nothing at all where that is empty.
    """

    what: str
    works: bool | None
    detail: str
    to_do: str = ""
    needed: bool = False
    engine: str = ""


def usable(findings: Iterable[DoctorFinding], engines: Iterable[str]) -> bool:
    """Say whether scenarios can be run here: on one of the engines at least."""
    broken = {finding.engine for finding in findings if finding.needed and finding.works is False}
    return "" not in broken and not broken.issuperset(engines)
