"""Watch a host's capture while it is made, and say when packets that the host's program waits for are in it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

from testbed.model import Host
from testbed.model.awaited_packets import AwaitedPacket
from testbed.model.ip import TCP

if TYPE_CHECKING:  # NumPy is slow to import, and few scenarios wait for a packet
    from testbed.capture.columns import Capture

_FILE_HEADER, _RECORD_HEADER = 24, 16
_BIG_ENDIAN = (b"\xa1\xb2\x3c\x4d", b"\xa1\xb2\xc3\xd4")


class PacketWatch:
    """The packets that one host's steps wait for, by the number of the step; ``seen`` is called with it.

    ``addresses`` are those of the hosts. :meth:`feed` and :meth:`begin` may be called from different threads.
    """

    def __init__(
        self,
        waits: Mapping[int, AwaitedPacket],
        addresses: Mapping[Host, Collection[str]],
        seen: Callable[[int], None],
    ) -> None:
        from testbed.capture.read_file import read

        self._read_file = read
        self._waits = waits
        self._addresses = addresses
        self._seen = seen
        self._lock = threading.Lock()
        self._found = dict.fromkeys(waits, 0)
        self._needed = dict.fromkeys(waits, 0)
        self._waiting: set[int] = set()
        self._header = b""
        self._rest = b""

    def describe(self, step: int) -> str:
        """Return the packet that a step waits for, as a message shows it."""
        return self._waits[step].text

    def waits_at(self, step: int | None) -> bool:
        """Say whether this step waits for a packet."""
        return step in self._waits

    def begin(self, step: int) -> None:
        """Note that a step waits from now on; a packet that came before counts, unless the step had waited for it."""
        with self._lock:
            self._needed[step] += self._waits[step].nth
            self._waiting.add(step)
            ready = self._ready()
        self._tell(ready)

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the capture file (pcap)."""
        self._rest += data
        if not self._header:
            if len(self._rest) < _FILE_HEADER:
                return
            self._header, self._rest = self._rest[:_FILE_HEADER], self._rest[_FILE_HEADER:]
        whole = self._whole_records()
        if not whole:
            return
        capture = self._read_file(self._header + self._rest[:whole])
        self._rest = self._rest[whole:]
        with self._lock:
            for step, awaited in self._waits.items():
                self._found[step] += sum(matches(awaited, capture, row, self._addresses) for row in range(len(capture)))
            ready = self._ready()
        self._tell(ready)

    def _whole_records(self) -> int:
        order = "big" if self._header[:4] in _BIG_ENDIAN else "little"
        end = 0
        while len(self._rest) >= end + _RECORD_HEADER:
            length = int.from_bytes(self._rest[end + 8 : end + 12], order)  # type: ignore[arg-type]
            if len(self._rest) < end + _RECORD_HEADER + length:
                break
            end += _RECORD_HEADER + length
        return end

    def _ready(self) -> list[int]:
        ready = [step for step in sorted(self._waiting) if self._found[step] >= self._needed[step]]
        self._waiting.difference_update(ready)
        return ready

    def _tell(self, ready: list[int]) -> None:
        for step in ready:
            self._seen(step)


def matches(awaited: AwaitedPacket, capture: Capture, row: int, addresses: Mapping[Host, Collection[str]]) -> bool:
    """Say whether a packet of a capture is one that is awaited."""
    flags, length = int(capture.flags[row]), int(capture.payload_length[row])
    transport = int(capture.transport[row])
    wants_tcp = awaited.flags is not None or awaited.has is not None
    return (
        transport != 0
        and (awaited.sender is None or capture.source(row) in addresses[awaited.sender])
        and (awaited.protocol is None or transport == awaited.protocol)
        and (not wants_tcp or transport == TCP)
        and (awaited.flags is None or flags == awaited.flags)
        and (awaited.has is None or flags & awaited.has == awaited.has)
        and (awaited.length is None or awaited.length.holds(length))
        and (awaited.data is None or capture.payload(row) == awaited.data)
    )
