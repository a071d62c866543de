"""The ledger's picture: bands as high as bytes are many, a gap where some were lost, no claim about what nobody saw."""

from __future__ import annotations

import re

from testbed.model import Count, LedgerRow
from testbed.report.html.ledger_picture import MOST, Shape, pictures


def row(*sizes: int | None, sender: str = "client", datagrams: bool = False, **more: object) -> LedgerRow:
    counts = [Count(size, None, size if datagrams else None) if size is not None else Count(None) for size in sizes]
    return LedgerRow(0, sender, *counts, **more)  # type: ignore[arg-type]


def height(shape: Shape) -> float:
    ys = [float(y) for _, y in re.findall(r"([\d.]+) ([\d.]+)", shape.path)]
    return max(ys) - min(ys)


def test_the_band_is_as_high_at_each_point_as_bytes_are_left() -> None:
    (picture,) = pictures([row(100, 100, 50, 50, 25, lost_at="arrived")], (), many_flows=False)
    bands = [height(shape) for shape in picture.shapes if shape.kind == "band"]
    assert bands == [26.0, 13.0, 13.0, 6.5]
    assert [(loss.count, loss.what) for loss in picture.losses] == [("50 bytes", "lost"), ("25 bytes", "never read")]
    assert picture.wrong


def test_one_byte_of_a_million_can_still_be_seen() -> None:
    (picture,) = pictures([row(1_000_000, 1_000_000, 1, 1, 1)], (), many_flows=False)
    assert height(picture.shapes[-1]) >= 1.5


def test_a_point_that_nobody_observed_is_a_question_mark_and_a_guess() -> None:
    (picture,) = pictures([row(8, 8, 8, 8, None)], (), many_flows=False)
    assert [point.text for point in picture.points] == ["8", "8", "8", "8", "?"]
    assert picture.losses == ()
    (hidden,) = pictures([row(8, None, 8, 8, 8)], (), many_flows=False)
    assert [shape.kind for shape in hidden.shapes] == ["guess", "band", "band"]


def test_more_at_a_later_point_is_no_loss() -> None:
    (picture,) = pictures([row(8, 8, 8, 1, 8)], (), many_flows=False)
    assert [loss.what for loss in picture.losses] == ["not acked"]


def test_datagrams_are_counted_as_datagrams() -> None:
    (picture,) = pictures([row(3, 3, 2, None, 2, datagrams=True)], (), many_flows=False)
    assert picture.losses[0].count == "1 datagram"


def test_of_many_rows_those_with_losses_are_drawn_and_idle_ones_never() -> None:
    rows = [row(1, 1, 1, 1, 1)] * 20 + [row(0, 0, 0, 0, 0)] * 20 + [row(9, 9, 9, 9, 1, unread=8)]
    drawn = pictures(rows, (), many_flows=True)
    assert len(drawn) == MOST
    assert drawn[0].wrong
    assert pictures([row(0, 0, 0, 0, 0)], (), many_flows=False) == []
