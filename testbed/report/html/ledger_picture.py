"""The ledger as a picture: a band that gets thinner where bytes are lost. Geometry only; the template draws it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from testbed.model import Cause, Count, LedgerRow, peer_of
from testbed.report.text.ledger_text import close_text, difference_text, equal_text
from testbed.report.text.terminal_text import counted

MOST = 6
"""How many rows are drawn; a table below has all."""

WIDTH = 640.0
_HEIGHT, _LOSSES = 64.0, 8.0  # what losses need below
_STEP = WIDTH / 5
_BAND = 26.0
_TOP = 4.0
_LEAST = 1.5  # a band of one byte must still be seen
_POINTS = ("written", "sent", "arrived", "acked", "read")
_WHAT = ("", "not sent", "lost", "not acked", "never read")


@dataclass(frozen=True, slots=True)
class Point:
    """One of the five points: the count as shown, its middle, whether it could be observed."""

    name: str
    text: str
    x: float
    known: bool


@dataclass(frozen=True, slots=True)
class Shape:
    """An SVG path, and what kind of thing it is (``band``, ``guess``, ``gap``)."""

    path: str
    kind: str


@dataclass(frozen=True, slots=True)
class Loss:
    """Bytes that did not come past a point: where the picture says so, how many, and what became of them."""

    x: float
    count: str
    what: str


@dataclass(frozen=True, slots=True)
class LedgerPicture:
    """One row of the ledger, drawn ``height`` high on WIDTH.

    ``wrong`` says that bytes are missing or differ; ``summary`` says all in words.
    """

    title: str
    points: tuple[Point, ...]
    shapes: tuple[Shape, ...]
    losses: tuple[Loss, ...]
    height: float
    content: str
    close: str
    wrong: bool
    summary: str
    row: LedgerRow


def pictures(rows: Sequence[LedgerRow], causes: Sequence[Cause], *, many_flows: bool) -> list[LedgerPicture]:
    """Draw the rows that moved something, those with losses first, at most MOST.

    ``causes`` are aligned with the crossings.
    """
    busy = [row for row in rows if any(count.bytes or count.datagrams for count in _counts(row))]
    ordered = sorted(busy, key=lambda row: not _wrong(row))
    return [_draw(row, causes, named=many_flows) for row in ordered[:MOST]]


def _draw(row: LedgerRow, causes: Sequence[Cause], *, named: bool) -> LedgerPicture:
    counts = _counts(row)
    unit = "datagram" if row.sent.datagrams is not None else "byte"
    sizes = [count.datagrams if unit == "datagram" else count.bytes for count in counts]
    most = max((size for size in sizes if size is not None), default=0) or 1
    points = tuple(
        Point(name, "?" if size is None else f"{size:,}", (k + 0.5) * _STEP, size is not None)
        for k, (name, size) in enumerate(zip(_POINTS, sizes, strict=True))
    )
    shapes, losses = _band(sizes, most, unit)
    receiver = peer_of(row.sender)
    title = f"{row.sender} to {receiver}" + (f", connection {row.flow + 1}" if named else "")
    told = ", ".join(f"{point.name} {point.text if point.known else 'not observed'}" for point in points)
    return LedgerPicture(
        title=title,
        points=points,
        shapes=tuple(shapes),
        losses=tuple(losses),
        height=_HEIGHT + (_LOSSES if losses else 0),
        content=_content(row, losses),
        close=close_text(row, causes),
        wrong=_wrong(row),
        summary=f"{title}: {unit}s {told}",
        row=row,
    )


def _content(row: LedgerRow, losses: Sequence[Loss]) -> str:
    if row.difference is not None:
        return f"content differs: {difference_text(row)}"
    if row.unseen:
        return equal_text(row)
    return "content equal as far as the bytes got" if losses else "content equal at every point"


def _band(sizes: Sequence[int | None], most: int, unit: str) -> tuple[list[Shape], list[Loss]]:
    """Draw from point to point; over a point that nobody observed the band goes on as a guess."""
    shapes: list[Shape] = []
    losses: list[Loss] = []
    known = [(k, size) for k, size in enumerate(sizes) if size is not None]
    for (left, before), (right, after) in pairwise(known):
        x0, x1 = (left + 0.5) * _STEP, (right + 0.5) * _STEP
        kind = "band" if right == left + 1 else "guess"
        kept = min(before, after)
        shapes.append(Shape(_ribbon(x0, x1, _tall(kept, most), _tall(kept, most), 0.0), kind))
        missing = before - after
        if missing > 0:
            down = _tall(after, most)
            shapes.append(Shape(_ribbon(x0, x0 + _STEP * 0.42, _tall(before, most) - down, 0.0, down), "gap"))
            losses.append(Loss(x0 + _STEP * 0.54, counted(missing, unit), _WHAT[right]))
    return shapes, losses


def _tall(size: int, most: int) -> float:
    return max(_BAND * size / most, _LEAST) if size else 0.0


def _ribbon(x0: float, x1: float, tall0: float, tall1: float, down: float) -> str:
    """Return the path of a band from (x0, tall0) to (x1, tall1), ``down`` below the top; to nothing: it curves away."""
    top = _TOP + down
    if tall1 == 0.0 and tall0 > 0.0 and down > 0.0:
        bottom = _TOP + _BAND + 12
        middle = (x0 + x1) / 2
        return (
            f"M{x0:.1f} {top:.1f} C{middle:.1f} {top:.1f} {x1:.1f} {top:.1f} {x1:.1f} {bottom:.1f} "
            f"L{max(x1 - tall0, x0):.1f} {bottom:.1f} "
            f"C{max(x1 - tall0, x0):.1f} {top + tall0:.1f} {x0:.1f} {top + tall0:.1f} {x0:.1f} {top + tall0:.1f}Z"
        )
    return f"M{x0:.1f} {top:.1f} L{x1:.1f} {top:.1f} L{x1:.1f} {top + tall1:.1f} L{x0:.1f} {top + tall0:.1f}Z"


def _counts(row: LedgerRow) -> tuple[Count, ...]:
    return row.written, row.sent, row.arrived, row.acknowledged, row.read


def _wrong(row: LedgerRow) -> bool:
    return row.difference is not None or row.lost_at is not None or bool(row.unread)
