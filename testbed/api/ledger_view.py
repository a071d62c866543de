"""The ledger of a run as one asks for it: a row by its flow and sender, or a host's bytes on all flows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from testbed.model import Host, LedgerRow
from testbed.model.ledgers import Count


@dataclass(frozen=True, slots=True)
class ByteCounts:
    """How many bytes that a host sent got to each point, on all its flows; None where one of them is not known.

    ``equal``: the content of every flow agrees from point to point, as far as it was seen. ``unread`` arrived and was
    never read by the program.
    """

    written: int | None
    sent: int | None
    arrived: int | None
    acknowledged: int | None
    read: int | None
    unread: int | None
    equal: bool


class Ledger(Mapping[tuple[int, Host], LedgerRow]):
    """The rows by (flow from 0, host that sent), and each host's sums."""

    def __init__(self, rows: Iterable[LedgerRow]) -> None:
        self._rows = {(row.flow, row.sender): row for row in rows}

    def __getitem__(self, key: tuple[int, Host]) -> LedgerRow:
        return self._rows[key]

    def __iter__(self) -> Iterator[tuple[int, Host]]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def client(self) -> ByteCounts:
        """What the client sent."""
        return self._of("client")

    @property
    def server(self) -> ByteCounts:
        """What the server sent."""
        return self._of("server")

    def _of(self, host: Host) -> ByteCounts:
        rows = [row for row in self._rows.values() if row.sender == host]
        points = [_sum(count.bytes for count in counts) for counts in zip(*map(_counts, rows), strict=True)]
        written, sent, arrived, acknowledged, read = points or [0] * 5
        unread = _sum(row.unread for row in rows)
        equal = all(row.difference is None for row in rows)
        return ByteCounts(written, sent, arrived, acknowledged, read, unread, equal)


def _counts(row: LedgerRow) -> tuple[Count, ...]:
    return (row.written, row.sent, row.arrived, row.acknowledged, row.read)


def _sum(values: Iterable[int | None]) -> int | None:
    found = list(values)
    return None if None in found else sum(value for value in found if value is not None)
