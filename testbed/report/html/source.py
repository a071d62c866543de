"""What a page is made of, as values: nothing here reads a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from testbed.model import Analysis, Host, Labels

if TYPE_CHECKING:
    from testbed.capture.columns import Capture


@dataclass(frozen=True, slots=True)
class Clock:
    """How the server's clock runs against the client's: ``server = client + offset + drift * time since the start``.

    ``offset`` and ``error`` are ns, ``drift`` is in parts per million. Crossings are on the aligned time line, which is
    the client's clock; a run of our own has one clock (all 0).
    """

    offset: int = 0
    error: int = 0
    drift_ppm: float = 0.0
    one: bool = True


@dataclass(frozen=True, slots=True)
class Source:
    """One run, or two captures, to be shown.

    ``meta`` is what :func:`testbed.evaluate.meta` returns, what it lacks is left out. Without ``captures`` the header
    fields that only they hold are not shown. ``labels`` are optional data of others. ``printed`` holds what programs
    printed by the artefact's name (``client.out``). ``conditions`` are (name, value) pairs that say under which the
    run was made.
    """

    analysis: Analysis
    meta: Mapping[str, Any]
    captures: Mapping[Host, Capture] = field(default_factory=dict)
    labels: Labels = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)
    printed: Mapping[str, str] = field(default_factory=dict)
    conditions: tuple[tuple[str, str], ...] = ()
