"""What is compared apart: sentences; and what is known and intended to differ, each with its reason.

Paths are those of the documents that driver.py makes, without indices: ``run.result.crossings[].cause.evidence``;
``*`` stands for any one member. All that is not named here is a value and must be the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

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


class _Missing:
    def __repr__(self) -> str:
        return "(nothing)"


MISSING: Final = _Missing()
"""What stands for a member or an element that a tree does not have."""


@dataclass(frozen=True, slots=True)
class Known:
    """A difference that is meant to be: at ``path`` or below it, because of ``reason``.

    ``holds`` narrows it down: it gets the old and the new value (``MISSING`` where a tree has none).
    """

    path: str
    reason: str
    holds: Callable[[object, object], bool] = lambda _old, _new: True


def _added(old: object, _new: object) -> bool:
    return old is MISSING


def _became_known(old: object, new: object) -> bool:
    return old is None and isinstance(new, str)


def _was_cut(old: object, new: object) -> bool:
    return isinstance(old, str) and isinstance(new, str) and new.startswith(old)


def _one_fewer(old: object, new: object) -> bool:
    """Whether a list has one element less, of those few that the lines of a verdict are."""
    return any((old, new) == (f"{count + 1} elements", f"{count} elements") for count in range(1, 6))


def _faults_of_no_scenario(old: object, new: object) -> bool:
    return old == "IndexError: tuple index out of range" and new is MISSING


STRUCTURED: tuple[Known, ...] = tuple(
    Known(path, "the same as the sentence beside it, as values", _added)
    for path in (
        "run.result.verdict_facts",
        "run.result.hosts.*.calls[].no_packet",
        "run.result.crossings[].link_effects",
        "run.result.ledger[].content_difference",
        "run.result.ledger[].connection_end",
        "run.result.crossings[].changes[].before",
        "run.result.crossings[].changes[].after",
        "run.result.crossings[].changes[].offset",
        "run.result.crossings[].changes[].count",
    )
)
"""What was a sentence in the old JSON and is a structured value in the new one."""

INTENDED: tuple[Known, ...] = (
    Known("run.crash", "a run with faults whose scenario cannot be read is evaluated", _faults_of_no_scenario),
    Known("run.result.verdict", "a label of a retransmission agrees with `fast-open-fallback`", _one_fewer),
    Known("run.result.ledger[].arrived.digest", "every changed byte of a payload is known", _became_known),
    Known("run.result.ledger[].read.digest", "every changed byte of a payload is known", _became_known),
    Known("run.result.crossings[].changes[].at_sender", "no value of a changed field is cut", _was_cut),
    Known("run.result.crossings[].changes[].at_receiver", "no value of a changed field is cut", _was_cut),
)
"""What was wrong, or was decided otherwise: counted and shown, not failed."""
