"""Where Wireshark's labels or the kernel contradict a cause, as evidence with its references."""

from __future__ import annotations

from testbed.analysis.causes.endpoint import carried
from testbed.model import CAUSES, Analysis, Cause, CauseKind, Evidence, Fate, call_refs
from testbed.model.causes import Basis
from testbed.model.kernel_log import Agreement, KernelEvent
from testbed.model.label_conflicts import LabelConflict
from testbed.model.references import PacketRef

MOST_CONTRADICTIONS = 8
"""Sentences about what the kernel contradicts."""
SHOWN_BY_WIRESHARK = {
    "keep_alive": "TCP Keep-Alive",
    "keep_alive_ack": "TCP Keep-Alive ACK",
    "zero_window_probe": "TCP ZeroWindowProbe",
    "zero_window_probe_ack": "TCP ZeroWindowProbeAck",
    "window_update": "TCP Window Update",
    "duplicate_ack": "TCP Dup ACK",
    "out_of_order": "TCP Out-Of-Order",
    "fast_retransmission": "TCP Fast Retransmission",
    "retransmission": "TCP Retransmission",
    "spurious_retransmission": "TCP Spurious Retransmission",
}
"""A label as Wireshark's packet list writes it (epan/dissectors/packet-tcp.c)."""


def label_contradictions(analysis: Analysis) -> list[Evidence]:
    """Return each kind of conflict of a label and a cause."""
    return [_conflict(analysis, each) for each in analysis.label_conflicts]


def _conflict(analysis: Analysis, conflict: LabelConflict) -> Evidence:
    crossing = analysis.inputs.joined.crossings[conflict.packet]
    crossed = crossing.fate is Fate.CROSSED
    where = f" in the {conflict.captures[0]}'s capture" if len(conflict.captures) == 1 and crossed else ""
    more = (f" ({conflict.more} more like it)",) if conflict.more else ()
    label = SHOWN_BY_WIRESHARK[conflict.label]
    return (
        "Wireshark calls ",
        PacketRef(conflict.packet),
        f"{where} a {label}; it ",
        *_truth(analysis, conflict),
        *more,
    )


def _truth(analysis: Analysis, conflict: LabelConflict) -> Evidence:
    crossing, cause = analysis.inputs.joined.crossings[conflict.packet], analysis.causes[conflict.packet]
    calls = {call.n: call for call in analysis.inputs.calls.get(crossing.sender, ())}
    made = [calls[n] for n in cause.calls if n in calls]
    of: Evidence = (" of ", call_refs(made)) if made else ()
    traits = CAUSES[conflict.cause]
    if traits.sent_again:
        return ("is ", carried(crossing), *of, f" sent again {traits.sent_again}")
    if traits.first:
        return ("is ", carried(crossing), *of, ", sent for the first time")
    if traits.kind is CauseKind.ANSWER:
        return cause.evidence
    return (f"is a {conflict.cause}: ", *cause.evidence)


def kernel_contradictions(analysis: Analysis) -> list[Evidence]:
    """Return what the kernel contradicts, and which of its events nothing explains; none without a kernel trace.

    Of a trace that is not complete only that is reported: what would explain an event may be what was lost.
    """
    kernel = analysis.kernel
    if kernel is None:
        return []
    if not kernel.log.complete:
        why = "; ".join(kernel.log.problems)
        return [(f"the kernel's record is not complete ({why}): what it does not show may have happened",)]
    found: list[Evidence] = [
        (
            *_contradicted(cause),
            *(PacketRef(packet.n), f" ({packet.sender}): ", *each.evidence),
        )
        for packet, cause, each in zip(
            analysis.inputs.joined.crossings, analysis.causes, kernel.assessments, strict=True
        )
        if each.agreement is Agreement.CONTRADICTED
    ]
    found += [(f"nothing explains an event of the kernel: {event_text(event)}",) for event in kernel.unmatched]
    more = len(found) - MOST_CONTRADICTIONS
    if more > 0:
        return [*found[:MOST_CONTRADICTIONS], (f"... and {more} more contradictions of the kernel",)]
    return found


def _contradicted(cause: Cause) -> Evidence:
    if cause.basis is Basis.KERNEL:
        return (f"the kernel's call stack says `{cause.rule}` of ",)
    return (f"the kernel contradicts the cause `{cause.rule}` of ",)


def event_text(event: KernelEvent) -> str:
    """Return ``server: tcp_send_reset TCP_ABORT_ON_CLOSE on 198.18.0.3:10011 - 198.18.0.2:40000``."""
    words = [event.name, *(str(value) for value in event.fields.values())]
    return f"{event.host}: {' '.join(words)} on {event.local} - {event.peer}"
