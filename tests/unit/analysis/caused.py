"""What tests read from an analysis: each packet's rule, and the calls that caused it."""

from __future__ import annotations

from testbed.model import Analysis


def rules(analysis: Analysis) -> list[str]:
    return [cause.rule for cause in analysis.causes]


def calls(analysis: Analysis, n: int) -> list[str]:
    packet = analysis.inputs.joined.crossings[n]
    made = analysis.inputs.calls[packet.sender]
    return [made[call].name for call in analysis.causes[n].calls]
