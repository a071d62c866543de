"""Wireshark's labels beside causes: which of them contradict each other.

A label is what one capture alone suggests; a cause rests on both captures and the calls. The registry of causes says
which labels agree with a cause; a label that agrees with none says nothing about causes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from testbed.model import CAUSES, HOSTS, Cause, CauseKind, CauseName, Crossing, Host, Labels
from testbed.model.label_conflicts import LabelConflict

LABELS_OF_CAUSES = frozenset(label for traits in CAUSES.values() for label in traits.agreeing_labels)
"""Labels that say something about a packet's cause."""
_AGREEING = {rule: traits.agreeing_labels for rule, traits in CAUSES.items()}


def labels_of(crossing: Crossing, labels: Labels) -> dict[Host, tuple[str, ...]]:
    """Return the labels that each host's capture gives a crossing; hosts without any are left out."""
    places: dict[Host, int | None] = {"client": crossing.at_client, "server": crossing.at_server}
    found = {host: labels.get(host, {}).get(frame, ()) for host, frame in places.items() if frame is not None}
    return {host: given for host, given in found.items() if given}


def contradicted(labels: Mapping[Host, tuple[str, ...]], cause: Cause) -> dict[str, tuple[Host, ...]]:
    """Return the labels that contradict the cause, each with the captures that show it.

    A packet without a known cause contradicts nothing, nor does one that the link itself made.
    """
    found: dict[str, tuple[Host, ...]] = {}
    if not labels or cause.kind in (CauseKind.UNKNOWN, CauseKind.LINK):
        return found
    for host in HOSTS:
        for label in labels.get(host, ()):
            if label in LABELS_OF_CAUSES and label not in _AGREEING[cause.rule]:
                found[label] = (*found.get(label, ()), host)
    return found


def label_conflicts(
    crossings: Sequence[Crossing], causes: Sequence[Cause], labels: Labels
) -> tuple[LabelConflict, ...]:
    """Return each kind of conflict of a label and a cause once, in the order of their first packets."""
    found: dict[tuple[str, CauseName], LabelConflict] = {}
    for crossing, cause in zip(crossings, causes, strict=True):
        for label, captures in contradicted(labels_of(crossing, labels), cause).items():
            before = found.get((label, cause.rule))
            found[label, cause.rule] = (
                LabelConflict(label, crossing.n, cause.rule, captures)
                if before is None
                else replace(before, more=before.more + 1)
            )
    return tuple(found.values())
