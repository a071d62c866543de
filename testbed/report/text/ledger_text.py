"""A ledger's row in words: where its content differs, and how its direction of the connection ended."""

from __future__ import annotations

from collections.abc import Sequence

from testbed.model import Cause, Evidence, Host, LedgerPoint, LedgerRow, PacketRef, peer_of
from testbed.model.evidence import concatenated
from testbed.model.ledgers import ConnectionReset, ContentDifference, DifferenceKind, ResetOrigin, Unobserved
from testbed.report.evidence_text import sentence


def difference_text(row: LedgerRow) -> str:
    """Return where the content of a row first differs; empty where it does not."""
    return sentence(difference_evidence(row))


def equal_text(row: LedgerRow) -> str:
    """Say that no content differs, and where nobody saw it."""
    if not row.unseen:
        return "contents are equal"
    if {LedgerPoint.SENT, LedgerPoint.ARRIVED} & set(row.unseen):
        return "contents are not known: packets were cut as they were captured"
    programs = {
        LedgerPoint.WRITTEN: f"the {row.sender} program wrote",
        LedgerPoint.READ: f"the {peer_of(row.sender)} program read",
    }
    return f"contents are equal on the wire; what {' and '.join(programs[point] for point in row.unseen)} was not seen"


def difference_evidence(row: LedgerRow) -> Evidence:
    """Return ``byte 4: 65 sent, 58 arrived`` in parts; empty where the content does not differ."""
    found = row.difference
    if found is None:
        return ()
    if found.datagram is not None:
        return _of_datagram(found, found.datagram)
    if found.kind is DifferenceKind.NEVER_SENT:
        return (f"{found.count} of bytes {found.offset}-{found.end - 1} arrived, but were never sent",)
    if found.call is None:
        return (f"byte {found.offset}: {found.before:02x} sent, {found.after:02x} arrived",)
    moved, shown = (_at(point, row.sender) for point in _call_first(found))
    if found.kind is DifferenceKind.RANGE:
        place = f"bytes {found.offset}-{found.end - 1} ("
        return (place, found.call, f"): what was {moved} is not what {_verb(found)}{shown}")
    ours, theirs = _values(found)
    return (f"byte {found.offset} (", found.call, f"): {ours:02x} {moved}, {theirs:02x} {shown}")


def _of_datagram(found: ContentDifference, number: int) -> Evidence:
    of = PacketRef(found.packet) if found.packet is not None else found.call
    name = (f"datagram {number} (", *(() if of is None else (of,)))
    moved, shown = (point.value for point in _call_first(found))
    if found.kind is DifferenceKind.LENGTH:
        ours, theirs = found.before_length, found.after_length
        if found.first is LedgerPoint.ARRIVED:
            ours, theirs = theirs, ours
        return (*name, f"): {ours} bytes {moved}, {theirs} {shown}")
    if found.call is None:
        return (*name, f"): what arrived is not what was sent, from byte {found.offset}")
    if found.kind is DifferenceKind.RANGE:
        return (*name, f"), after byte {found.offset}: what was {moved} is not what {_verb(found)}{shown}")
    ours, theirs = _values(found)
    return (*name, f"), byte {found.offset}: {ours:02x} {moved}, {theirs:02x} {shown}")


def _call_first(found: ContentDifference) -> tuple[LedgerPoint, LedgerPoint]:
    """Return the points, that of a call before that of a wire."""
    return (found.second, found.first) if found.first is LedgerPoint.ARRIVED else (found.first, found.second)


def _values(found: ContentDifference) -> tuple[int | None, int | None]:
    """Return the two bytes in the same order."""
    return (found.after, found.before) if found.first is LedgerPoint.ARRIVED else (found.before, found.after)


def _at(point: LedgerPoint, sender: Host) -> str:
    """Return ``sent by the client``."""
    host = sender if point in (LedgerPoint.WRITTEN, LedgerPoint.SENT) else peer_of(sender)
    return f"{point.value} {'at' if point is LedgerPoint.ARRIVED else 'by'} the {host}"


def _verb(found: ContentDifference) -> str:
    """Return the verb before the wire's point: bytes are sent, and they arrive."""
    return "" if found.first is LedgerPoint.ARRIVED else "was "


def close_text(row: LedgerRow, causes: Sequence[Cause]) -> str:
    """Return how a row's direction of a connection ended; empty for UDP, unless no datagram was seen."""
    return sentence(close_evidence(row, causes))


def close_evidence(row: LedgerRow, causes: Sequence[Cause]) -> Evidence:
    """Return ``RST by server: close #7 with 6 unread bytes`` in parts. ``causes`` are aligned with the crossings."""
    end = row.close
    if end is None:
        return ("no datagram",) if (row.sent.datagrams, row.arrived.datagrams) == (0, 0) else ()
    parts: list[Evidence] = []
    if end.fin_acknowledged is not None:
        parts.append(("FIN acknowledged" if end.fin_acknowledged else "FIN not acknowledged",))
    if end.reset is not None:
        parts.append(_reset(end.reset, causes[end.reset.packet]))
    if not parts:
        parts.append(("still open" if end.opened else "never opened",))
    if end.unobserved is not None:
        parts.append((_UNOBSERVED[end.unobserved].format(row.sender),))
    if end.unlogged:
        parts.append((f"{end.unlogged:,} of the bytes sent were written by no logged call",))
    return concatenated(parts, "; ")


_UNOBSERVED = {
    Unobserved.NO_OBSERVER: "no observer on {}",
    Unobserved.NOT_ACCEPTED: "nobody accepted it",
    Unobserved.NO_SOCKET: "the observer on {} saw no socket of it",
}


def _reset(reset: ConnectionReset, cause: Cause) -> Evidence:
    if reset.origin is ResetOrigin.HOST:
        by = f"RST by {reset.host}"
    else:
        maker = "the link made" if reset.origin is ResetOrigin.LINK else "it never sent"
        by = f"RST in the {reset.host}'s name that {maker}"
    lost = ", lost on the way" if reset.lost else ""
    return (f"{by}{lost}: ", *cause.evidence) if cause.traits.in_ledger else (f"{by}{lost}",)
