"""What Windows programs were told of their connections by messages (WSAAsyncSelect), and whether they could know all.

Winsock posts FD_READ when data arrives and none is posted yet, and again only after a call that reads and leaves data
(the re-enabling function); FD_CLOSE is posted when all data was read, or at once after a RST, with an error
(Microsoft, "WSAAsyncSelect function", Remarks). So how often a program read after it was told says what it can know.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from testbed.analysis.calls.call_effects import is_close, moves_bytes
from testbed.analysis.calls.streams import Streams
from testbed.model import HOSTS, Call, Host, Joined, LedgerRow, call_ref, peer_of
from testbed.model.verdicts import EventsEnd, SocketEvents


def socket_events(joined: Joined, ledger: Sequence[LedgerRow], streams: Streams) -> Iterator[SocketEvents]:
    """Yield what is known of each TCP connection of which a host's program got messages; ``ledger`` is the run's."""
    rows = {(row.flow, peer_of(row.sender)): row for row in ledger}
    for flow in joined.flows:
        for host in HOSTS:
            row = rows.get((flow.index, host))
            calls = streams.calls.get((flow.index, host), ())
            if flow.protocol == "tcp" and row is not None and any(call.name == "FD_READ" for call in calls):
                yield from _of_connection(row, host, calls)


def _of_connection(row: LedgerRow, host: Host, calls: Sequence[Call]) -> Iterator[SocketEvents]:
    arrived, unread = row.arrived.bytes, row.unread
    if arrived is None or unread is None:
        return
    closed = next((call for call in calls if is_close(call)), None)
    told = [call for call in calls if call.name == "FD_READ"]
    open_when = [call for call in told if closed is None or call.start <= closed.start]
    if not open_when:
        return
    last = open_when[-1]
    reads = [call for call in calls if moves_bytes(call, "in")]
    ends = [call for call in calls if call.name == "FD_CLOSE"]
    if any(call.errno is not None for call in ends):
        end = EventsEnd.RESET
    elif not unread:
        end = EventsEnd.ALL_READ
    elif not any(call.start >= last.start for call in reads):
        end = EventsEnd.NOT_READ
    elif closed is not None:
        end = EventsEnd.CLOSED
    else:  # it was told, read, and something else ended it
        return
    yield SocketEvents(
        row.flow,
        host,
        end,
        told=len(open_when),
        reads=len(reads),
        late=len(told) - len(open_when),
        arrived=arrived,
        unread=unread,
        last=call_ref(last),
        close=call_ref(ends[0]) if ends else None,
    )
