"""A diagnosis as JSON: findings, what could not be decided, where the time went, what to distrust."""

from __future__ import annotations

from typing import Any, Final

from testbed.model.absences import NoPacket
from testbed.model.evidence import ByteRange, Duration, Part, Quantity
from testbed.model.findings import FINDINGS, Diagnosis, Finding
from testbed.model.hosts import Endpoint
from testbed.model.references import CallRef, PacketRef, References
from testbed.report.text.finding_text import culprit, disproof, doubt_text, finding_sentence, remedy, undecided_text

_Object = dict[str, Any]


def diagnosis_to_json(diagnosis: Diagnosis | None) -> _Object | None:
    """Return a diagnosis for ``result.json``, ``compare --json`` and ``diagnose --json``; None where there is none.

    Times are ns; packets are numbers of crossings, flows their indexes.
    """
    if diagnosis is None:
        return None
    return {
        "findings": [finding_to_json(each) for each in diagnosis.findings],
        "undecided": [
            {
                "names": [name.value for name in each.names],
                "why": each.why.value,
                "flow": each.flow,
                "packets": list(each.packets),
                "text": undecided_text(each),
            }
            for each in diagnosis.undecided
        ],
        "time": [
            {"flow": each.flow, "total_ns": each.total, "parts": {kind.value: ns for kind, ns in each.parts.items()}}
            for each in diagnosis.time
        ],
        "doubts": [
            {
                "what": each.what.value,
                "host": each.host,
                "count": each.count,
                "prevents": [name.value for name in each.prevents],
                "text": doubt_text(each),
            }
            for each in diagnosis.doubts
        ],
        "looked_for": [name.value for name in diagnosis.looked_for],
        "looked_at": None
        if diagnosis.looked_at is None
        else {"connections": diagnosis.looked_at[0], "of": diagnosis.looked_at[1]},
        "not_visible": {name.value: need.value for name, need in diagnosis.not_visible.items()},
    }


def finding_to_json(finding: Finding) -> _Object:
    """Return one finding, with its sentences."""
    row, cost = FINDINGS[finding.name], finding.cost
    return {
        "name": finding.name.value,
        "severity": finding.severity.value,
        "sentence": finding_sentence(finding),
        "who": finding.who.value,
        "who_text": culprit(finding),
        "flow": finding.flow,
        "variant": finding.variant,
        "facts": {name: _part(part) for name, part in finding.facts.items()},
        "packets": list(finding.packets),
        "calls": [_part(call) for call in finding.calls],
        "counters": dict(finding.counters),
        "cost": {
            "bytes": cost.bytes,
            "of_bytes": cost.of_bytes,
            "wait_ns": cost.wait,
            "of_wait_ns": cost.of_wait,
        },
        "certainty": finding.certainty.value,
        "disproof": disproof(finding),
        "remedy": {"kind": row.remedy.value, "text": remedy(finding)},
        "reference": row.reference,
        "scenario": row.scenario,
    }


def _part(part: Part) -> Any:  # noqa: ANN401 - what JSON can hold
    match part:
        case CallRef():
            return {"host": part.host, "call": part.n, "name": part.name}
        case PacketRef():
            return {"packet": part.n}
        case References():
            return [_part(each) for each in part.items]
        case Duration():
            return {"ns": part.ns}
        case Quantity():
            return part.number
        case ByteRange():
            return {"start": part.start, "end": part.end}
        case Endpoint():
            return {"address": part.address, "port": part.port}
        case NoPacket():
            return part.reason.value
    return part


FORMAT: Final = "bothends-diagnosis/1"


def diagnosis_report(diagnosis: Diagnosis | None, what: str) -> _Object:
    """Return what `invoke diagnose --json` prints for one run, or for captures."""
    return {"format": FORMAT, "of": what, "diagnosis": diagnosis_to_json(diagnosis)}
