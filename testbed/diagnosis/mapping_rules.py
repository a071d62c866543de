"""What two captures show of whole connections: rewritten addresses, a TTL that was set anew, clocks that differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from testbed.model.evidence import Duration
from testbed.model.findings import Culprit, Finding, FindingName, Severity
from testbed.pairing.compare_captures import Comparison
from testbed.pairing.flow_summary import flow_mapping

_OFF = 1_000_000_000
"""Least difference of two clocks (ns) that is worth a word."""
_HOPS = 64
"""Hops that a packet may take: a TTL that fell by more was set anew."""


def mapping_findings(compared: Comparison, pairs: Iterable[int]) -> Iterator[Finding]:
    """Yield what was rewritten of whole connections (the first of each kind), and whether clocks differ.

    ``pairs`` are those that are looked at.
    """
    told: set[FindingName] = set()
    for pair in pairs:
        mapping = flow_mapping(compared, pair)
        if mapping.ends[0] != mapping.ends[1] and FindingName.ADDRESS_REWRITTEN not in told:
            told.add(FindingName.ADDRESS_REWRITTEN)
            before, after = (" - ".join(ends) for ends in mapping.ends)
            yield Finding(
                FindingName.ADDRESS_REWRITTEN,
                Severity.NOTE,
                Culprit.PATH,
                pair,
                {"before": before, "after": after},
            )
        changed = [ttl for ttl in mapping.ttl if ttl is not None and (ttl > 0 or ttl < -_HOPS)]
        if changed and FindingName.TTL_REWRITTEN not in told:
            told.add(FindingName.TTL_REWRITTEN)
            yield Finding(FindingName.TTL_REWRITTEN, Severity.NOTE, Culprit.PATH, pair, {"change": f"{changed[0]:+d}"})
    for piece in compared.clock.pieces[:1]:
        if abs(piece.offset) > _OFF and not compared.clock.exact:
            yield Finding(
                FindingName.CLOCK_WRONG,
                Severity.NOTE,
                Culprit.UNDECIDED,
                None,
                {"offset": Duration(abs(piece.offset)), "drift": Duration(abs(round(piece.drift * 3600e9)))},
            )
