"""What a run means: everything that follows from its captures, call logs and programs, in one value."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from testbed.analysis.absent.no_packet import calls_without_packet
from testbed.analysis.absent.unobserved import unobserved_connections
from testbed.analysis.calls.refuted_calls import refuted_calls
from testbed.analysis.calls.streams import Streams, build_streams
from testbed.analysis.causes.find_causes import find_causes
from testbed.analysis.dead_lock import dead_locks
from testbed.analysis.expect.check_expectations import check
from testbed.analysis.expect.run_facts import RunFacts
from testbed.analysis.label_check import label_conflicts
from testbed.analysis.ledger import make_ledger
from testbed.analysis.link_check import match_journal
from testbed.analysis.order.event_order import in_order
from testbed.analysis.socket_events import socket_events
from testbed.analysis.verdict import programs_failed, verdict
from testbed.crossings.packet_order import overtaken
from testbed.model import HOSTS, Analysis, Cause, Check, Delay, Host, Inputs, Joined, Outcome
from testbed.model.expect import Expectation
from testbed.model.findings import Diagnosis
from testbed.model.kernel_log import KernelEvidence

Diagnose = Callable[[RunFacts], Diagnosis]
"""What finds out what is wrong (``diagnosis/``)."""


def analyse(inputs: Inputs, expectations: Iterable[Expectation] = (), diagnose: Diagnose | None = None) -> Analysis:
    """Analyse a run, find out what is wrong if asked to, and check what was expected of it."""
    if inputs.link is not None:
        joined, problems = match_journal(inputs.joined, inputs.link)
        inputs = replace(inputs, joined=joined, incomplete=(*inputs.incomplete, *problems))
    inputs = in_order(inputs)
    joined = inputs.joined
    streams = build_streams(
        joined, inputs.calls, inputs.observed, inputs.proven, midway=inputs.midway, queued=inputs.queued
    )
    causes = _with_kernel(inputs, streams, find_causes(joined, streams, inputs.sysctls, inputs.queued, inputs.rto_min))
    blind = tuple(unobserved_connections(joined.crossings, causes, streams, inputs.observed))
    if blind:
        inputs = replace(inputs, incomplete=(*inputs.incomplete, *blind))
    ledger = make_ledger(joined, streams)
    refuted = tuple(refuted_calls(joined, ledger, streams)) if not inputs.incomplete else ()
    if refuted:
        inputs = replace(inputs, incomplete=refuted)
    no_packet = calls_without_packet(joined, streams, causes, inputs.sysctls, inputs.queued, inputs.addresses)
    told = (
        *programs_failed(joined, inputs.programs),
        *dead_locks(joined, streams),
        *verdict(joined, ledger, causes, streams),
        *socket_events(joined, ledger, streams),
    )
    facts = RunFacts(inputs, streams, causes, ledger, no_packet, told)
    if diagnose is not None:
        facts = replace(facts, diagnosis=diagnose(facts))
    checks = check(expectations, facts)
    outcome, reasons = _outcome(inputs, checks)
    return Analysis(
        inputs=inputs,
        causes=causes,
        no_packet=no_packet,
        delays={host: _delay(joined, host) for host in HOSTS},
        ledger=ledger,
        checks=checks,
        verdict=told,
        outcome=outcome,
        reasons=reasons,
        label_conflicts=label_conflicts(joined.crossings, causes, inputs.labels),
        kernel=_kernel_evidence(inputs, streams, causes),
        diagnosis=facts.diagnosis,
    )


def _with_kernel(inputs: Inputs, streams: Streams, inferred: tuple[Cause, ...]) -> tuple[Cause, ...]:
    """Return the kernel's cause of each packet of which it has a call stack, and the others as they were inferred."""
    if inputs.kernel is None or not inputs.kernel.departures:
        return inferred
    from testbed.analysis.kernel.kernel_causes import with_kernel
    from testbed.analysis.kernel.packet_origins import packet_origins

    return with_kernel(inputs.joined, streams, inferred, packet_origins(inputs.joined, inputs.kernel))


def _kernel_evidence(inputs: Inputs, streams: Streams, causes: Sequence[Cause]) -> KernelEvidence | None:
    """Return what the kernel's trace says; few runs have one, and its rules take 40 ms to import."""
    if inputs.kernel is None:
        return None
    from testbed.analysis.kernel.kernel_evidence import kernel_evidence

    return kernel_evidence(inputs.joined, streams, causes, inputs.kernel, inputs.observed, inputs.addresses)


def _outcome(inputs: Inputs, checks: tuple[Check, ...]) -> tuple[Outcome, tuple[str, ...]]:
    """Decide: a failure counts first, then what could not be seen. If the lab itself broke, nothing else counts."""
    if inputs.cut_short:
        return Outcome.INCONCLUSIVE, (inputs.cut_short, *inputs.incomplete)
    judged = [each for each in checks if each.share is None and each.applies]
    failed = [f"not as expected: {each.text}" for each in judged if each.ok is False]
    if inputs.failures or failed:
        # the kernel hands a packet from one virtual interface to the other by way of a queue of the processor that
        # sends; with every processor busy, one that waits in this queue is overtaken by those in that queue
        late = 0 if inputs.link is not None else overtaken(inputs.joined.crossings)
        if late:
            packets = "a packet was" if late == 1 else f"{late} packets were"
            said = f"{packets} overtaken between the hosts, where no link is: by a machine too busy; run it again"
            return Outcome.INCONCLUSIVE, (said, *inputs.failures, *failed)
        return Outcome.FAIL, (*inputs.failures, *failed)
    unknown = [f"cannot be checked: {each.text}" for each in judged if each.ok is None]
    if inputs.incomplete or unknown:
        return Outcome.INCONCLUSIVE, (*inputs.incomplete, *unknown)
    return Outcome.PASS, ()


def _delay(joined: Joined, sender: Host) -> Delay:
    spans = [
        crossing.arrived - crossing.sent
        for crossing in joined.crossings
        if crossing.sender == sender and crossing.sent is not None and crossing.arrived is not None
    ]
    if not spans:
        return Delay(0, None, None, None)
    return Delay(len(spans), min(spans), int(statistics.median(spans)), max(spans))
