"""A campaign's totals as text: what was measured, the confusion table, what disagrees."""

from __future__ import annotations

from collections.abc import Iterator

from dev.truth.compare_run import Tally
from dev.truth.truth_campaign import Campaign

MOST_OPEN = 0.005
"""The largest share of packets whose inferred cause may be unknown or one of several."""


def lines(campaign: Campaign, seconds: float) -> Iterator[str]:
    """Yield the report of a campaign."""
    tally = campaign.tally
    rate = f" in {seconds:.0f} s" if seconds else ""
    yield f"seed {campaign.seed}: {tally.runs} scenarios{rate}, {tally.packets} packets of the hosts"
    yield f"proven by the kernel's stack:    {tally.proven} ({_share(tally.proven, tally.packets)})"
    yield f"inferred and contradicted:       {tally.contradicted} ({_share(tally.contradicted, tally.proven)})"
    yield f"inferred as unknown or open:     {tally.open.total()} ({_share(tally.open.total(), tally.packets)})"
    yield f"what let a packet go, checked:   {tally.sent_by}"
    yield f"calls without a packet checked:  {tally.calls.total()}"
    yield from (f"  {count:6}  {how}" for how, count in tally.calls.most_common())
    yield f"facts of verdicts checked:       {tally.facts.total()}"
    yield from (f"  {count:6}  {name}" for name, count in tally.facts.most_common())
    yield f"figures of ledgers checked:      {tally.figures}"
    yield f"runs skipped:                    {tally.skipped.total()}"
    yield from (f"  {count:6}  {reason}" for reason, count in tally.skipped.most_common())
    yield from confusion(tally)
    for title, counts in (
        ("disagreements", tally.disagreements),
        ("unknown or open, by inferred name", tally.open),
        ("stacks without a name", tally.unnamed),
    ):
        if counts:
            yield f"{title}:"
            yield from (f"  {count:6}  {what}" for what, count in counts.most_common(40))


def confusion(tally: Tally) -> Iterator[str]:
    """Yield the confusion table, inferred by kernel: how often each pair was, those that agree first."""
    yield "inferred                kernel                  packets"
    pairs = sorted(tally.confusion.items(), key=lambda each: (each[0][0] != each[0][1], -each[1], each[0]))
    yield from (f"{one:23} {two:23} {count:7}" for (one, two), count in pairs)


def is_true(tally: Tally) -> bool:
    """Say whether the limits are kept: nothing contradicted, few open, no stack without a name, figures right."""
    few = tally.open.total() <= MOST_OPEN * tally.packets
    return not tally.disagreements and few and not tally.unnamed


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.3%}" if whole else "none"
