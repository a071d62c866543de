"""What tests read from an analysis: each packet's rule, the calls that caused it, and sentences of evidence."""

from __future__ import annotations

from testbed.model import Analysis, Host
from testbed.report.evidence_text import sentence


def rules(analysis: Analysis) -> list[str]:
    return [cause.rule for cause in analysis.causes]


def calls(analysis: Analysis, n: int) -> list[str]:
    packet = analysis.inputs.joined.crossings[n]
    made = analysis.inputs.calls[packet.sender]
    return [made[call].name for call in analysis.causes[n].calls]


def evidence(analysis: Analysis, n: int) -> str:
    """Return the sentence of a packet's evidence."""
    return sentence(analysis.causes[n].evidence)


def no_packet(analysis: Analysis, host: Host, n: int) -> str | None:
    """Return the sentence that says why a call caused no packet, None where there is none."""
    absence = analysis.no_packet.get((host, n))
    return None if absence is None else sentence((absence,))
