"""What is compared apart: sentences; and what is known and intended to differ, each with its reason.

Paths are those of the documents that driver.py makes, without indices: ``run.result.crossings[].cause.evidence``;
``*`` stands for any one member. All that is not named here is a value and must be the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

TEXTS = (
    "*.errors[]",
    "run.result.reasons[]",
    "run.result.verdict[]",
    "run.result.incomplete[]",
    "run.result.hosts.*.calls[].silent",
    "run.result.crossings[].cause.evidence",
    "run.result.crossings[].kernel.said",
    "run.result.crossings[].link[]",
    "run.result.crossings[].note",
    "run.result.kernel.problems[]",
    "run.result.kernel.unmatched[]",
    "run.result.kernel.state_changes[].why",
    "run.result.ledger[].close",
    "run.result.ledger[].difference",
    "run.result.checks[].text",
    "run.result.checks[].expected",
    "run.result.checks[].actual",
    "pair.compared.captures.*.partial",
    "pair.compared.clock.negative.why",
    "pair.compared.differences.examples[].origin.why",
    "pair.compared.flows[].close",
    "pair.compared.flows[].handshake.text",
    "pair.compared.flows[].mapping",
    "pair.compared.reasons[]",
    "pair.packets[].negative_because",
    "pair.packets[].origin",
    "diff.sections[].what",
    "diff.sections[].rows[].one",
    "diff.sections[].rows[].other",
)
"""Sentences. Whether there is one, and how many a list holds, are values; how it is worded is listed apart."""

PAGES = ("*.summary",)
"""Lists of lines laid out for people: lines may come and go, all of it is listed apart."""


@dataclass(frozen=True, slots=True)
class Known:
    """A difference that is meant to be: at ``path`` or below it, because of ``reason``.

    ``holds`` narrows it down: it gets the old and the new value (``MISSING`` where a tree has none).
    """

    path: str
    reason: str
    holds: Callable[[object, object], bool] = lambda _old, _new: True


STRUCTURED: tuple[Known, ...] = ()
"""What was a sentence in the old JSON and is a structured value in the new one."""

INTENDED: tuple[Known, ...] = ()
"""What was wrong, or was decided otherwise: counted and shown, not failed."""
