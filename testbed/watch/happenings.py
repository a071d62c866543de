"""What ends watching: events that the packets of one capture show as they come."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from testbed.capture.columns import Capture
from testbed.capture.read_file import read
from testbed.model.errors import UsageError
from testbed.model.ip import TCP
from testbed.model.tcp import ACK, FIN, RST, SYN
from testbed.watch.pcap_stream import PcapRecords

MEANINGS: Mapping[str, str] = {
    "reset": "a RST",
    "retransmission": "a segment whose bytes were sent before",
    "zero-window": "a segment that says that no more bytes are taken",
    "refused": "a connection that was refused",
    "close": "a FIN",
}
"""The events by name."""
PAYLOAD = "payload:"
"""Before a regular expression between slashes: ``payload:/5\\d\\d /``."""
_HALF = 1 << 31


@dataclass(frozen=True, slots=True)
class Wanted:
    """The events that are waited for: names of :data:`MEANINGS`, and expressions that a payload may hold."""

    names: frozenset[str]
    payloads: tuple[re.Pattern[bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Happening:
    """One event: its name, when (ns since the epoch), and from which end to which (``address:port``)."""

    name: str
    time: int
    source: str
    destination: str


def parse_wanted(text: str) -> Wanted:
    r"""Read ``reset,zero-window,payload:/5\d\d /``; an expression may hold commas. Raises UsageError."""
    names, payloads, rest = set(), [], text
    while rest:
        if rest.startswith(PAYLOAD):
            match = re.match(r"payload:/((?:[^/\\]|\\.)*)/(?:,|$)", rest, re.DOTALL)
            if match is None:
                raise UsageError(f"--until: `{rest}` is no expression between slashes", hint=r"payload:/5\d\d /")
            try:
                payloads.append(re.compile(match[1].encode()))
            except re.error as error:
                raise UsageError(f"--until: `{match[1]}` is no regular expression: {error}") from error
            rest = rest[match.end() :]
            continue
        name, _, rest = rest.partition(",")
        if name not in MEANINGS:
            raise UsageError(
                f"--until: `{name}` is no event", hint=f"known are {', '.join(MEANINGS)} and payload:/.../"
            )
        names.add(name)
    return Wanted(frozenset(names), tuple(payloads))


class HappeningWatch:
    """Finds events in a capture while it is made, from its bytes. Only TCP has them."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._records = PcapRecords()
        self._highest: dict[tuple[str, int, str, int], int] = {}

    def feed(self, data: bytes) -> list[Happening]:
        """Return the events that the packets in these further bytes of the pcap file show, in order."""
        whole = self._records.feed(data)
        if not whole:
            return []
        capture = read(self._records.header + whole)
        return [happening for row in self._rows(capture) for happening in self._of(capture, row)]

    def _rows(self, capture: Capture) -> list[int]:
        """Return the packets that may show an event: few of a long transfer, unless each segment must be looked at."""
        tcp = capture.transport == TCP
        if "retransmission" not in self._wanted.names:
            may = (capture.flags & (RST | FIN)) != 0
            if "zero-window" in self._wanted.names:
                may |= capture.window == 0
            if self._wanted.payloads:
                may |= capture.payload_length > 0
            tcp &= may
        found: list[int] = np.flatnonzero(tcp).tolist()
        return found

    def _of(self, capture: Capture, row: int) -> Iterator[Happening]:
        for name in self._names(capture, row):
            source = f"{capture.source(row)}:{capture.sport[row]}"
            destination = f"{capture.destination(row)}:{capture.dport[row]}"
            yield Happening(name, int(capture.time_ns[row]), source, destination)

    def _names(self, capture: Capture, row: int) -> Sequence[str]:
        flags = int(capture.flags[row])
        found = [name for name in self._flagged(capture, row, flags) if name in self._wanted.names]
        if "retransmission" in self._wanted.names and self._again(capture, row, flags):
            found.append("retransmission")
        if self._wanted.payloads and capture.payload_length[row]:
            payload = bytes(capture.payload(row))
            found += [f"{PAYLOAD}/{each.pattern.decode()}/" for each in self._wanted.payloads if each.search(payload)]
        return found

    def _flagged(self, capture: Capture, row: int, flags: int) -> Iterator[str]:
        if flags & RST:
            yield "reset"
            if flags & ACK and int(capture.seq[row]) == 0:  # the answer to a SYN has no number of its own
                yield "refused"
        elif not flags & SYN and int(capture.window[row]) == 0:
            yield "zero-window"
        if flags & FIN:
            yield "close"

    def _again(self, capture: Capture, row: int, flags: int) -> bool:
        """Say whether all that a segment carries was sent before; its numbers go round at 2^32."""
        length = int(capture.payload_length[row]) + bool(flags & SYN) + bool(flags & FIN)
        key = (capture.source(row), int(capture.sport[row]), capture.destination(row), int(capture.dport[row]))
        start = int(capture.seq[row])
        end = (start + length) % (1 << 32)
        highest = self._highest.get(key)
        if flags & (SYN | RST) and highest != end:
            self._highest[key] = end  # another connection between the same ends
            return False
        if not length:
            return False
        if highest is None or 0 < (end - highest) % (1 << 32) < _HALF:
            self._highest[key] = end
            return False
        return True
