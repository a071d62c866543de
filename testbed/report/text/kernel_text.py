"""What a kernel trace says, as lines of the summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from testbed.model import HOSTS
from testbed.model.kernel_log import Agreement, KernelEvidence, Matched
from testbed.report.text.terminal_text import counted

_MOST = 3


def kernel_lines(kernel: KernelEvidence) -> Iterator[tuple[str, str]]:
    """Yield lines and their style: how many causes are confirmed, RSTs and drops with their reasons."""
    confirmed, consistent, not_covered, contradicted = (kernel.count(agreement) for agreement in Agreement)
    if kernel.log.departures:
        causes = f"{counted(confirmed + contradicted, 'cause')} proven by call stacks"
        causes += f", {contradicted:,} inferred otherwise" if contradicted else ""
        unproven = kernel.left - confirmed - contradicted
        idle = kernel.log.unstacked_idle
        why = f" (the kernel recorded no stack for {idle:,} sent from an idle processor)" if idle else ""
        causes += f", {unproven:,} inferred only{why}" if unproven else ""
    else:
        causes = f"{consistent:,} causes fit its events, {contradicted:,} contradicted, {not_covered:,} not covered"
    changes = counted(len(kernel.state_changes), "state change")
    incomplete = "" if kernel.log.complete else "; INCOMPLETE"
    wrong = contradicted or kernel.unmatched or incomplete
    yield f"kernel    {causes}; {changes}{incomplete}", "failed" if wrong else ""
    yield from _events("RST", kernel.resets)
    yield from _events("dropped", kernel.drops)
    for host in HOSTS:
        runs = Counter(timer.function for timer in kernel.log.timers if timer.host == host)
        if runs:
            shown = ", ".join(f"{function} {count:,}" for function, count in sorted(runs.items()))
            yield f"kernel    {host} timers that ran out: {shown}", ""
    if kernel.log.missing:
        yield f"kernel    lacks {', '.join(kernel.log.missing)}", "folded"


def _events(what: str, matched: tuple[Matched, ...]) -> Iterator[tuple[str, str]]:
    for each in matched[:_MOST]:
        packets = " ".join(f"#{number}" for number in each.packets) or "a packet"
        place = f" in {each.event.fields['place']}" if each.event.fields.get("place") else ""
        yield f"kernel    {each.event.host} {what} {packets}: {each.event.fields.get('reason', 'no reason')}{place}", ""
    if len(matched) > _MOST:
        yield f"kernel    ... {len(matched) - _MOST} more {what} ...", "folded"
