"""Can what was observed be trusted: what captures and call logs lack, and which findings therefore cannot be made."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.diagnosis.observed import Observed, SeenFlow
from testbed.model import HOSTS, Host, peer_of
from testbed.model.findings import FINDINGS, Distrust, Doubt, FindingName, Need

_LARGE = 9_000
"""Bytes of a segment above those of any usual link: made of several, or to be cut into several."""


def needing(*needs: Need) -> tuple[FindingName, ...]:
    """Return the findings that need one of these."""
    return tuple(name for name, row in FINDINGS.items() if set(needs) & set(row.needs))


def doubts(seen: Observed) -> tuple[Doubt, ...]:
    """Return the reasons not to trust what was observed in every respect."""
    return tuple(_doubts(seen))


def _doubts(seen: Observed) -> Iterator[Doubt]:
    if seen.facts.inputs.incomplete:
        yield Doubt(Distrust.DROPPED, None, len(seen.facts.inputs.incomplete), needing(Need.BOTH_ENDS, Need.CALLS))
    late = [each for each in seen.tcp if each.opener is None and len(each.packets) > 1]
    if late:
        yield Doubt(Distrust.BEGAN_LATE, None, len(late), needing(Need.HANDSHAKE))
    for host in HOSTS:
        one_way = [each for each in seen.tcp if _only_from(each, host)]
        if one_way:
            yield Doubt(Distrust.ONE_DIRECTION, host, len(one_way), needing(Need.BOTH_ENDS))
        large = sum(each.length > _LARGE for connection in seen.tcp for each in connection.sent[host])
        if large:
            yield Doubt(Distrust.OFFLOADS, host, large, (FindingName.MTU_BLACK_HOLE,))


def _only_from(connection: SeenFlow, host: Host) -> bool:
    """Whether a host acknowledged bytes of a peer of which no packet was captured."""
    ours = connection.sent[host]
    return not connection.sent[peer_of(host)] and any((each.ack or 0) > 1 for each in ours)
