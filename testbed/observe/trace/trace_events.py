"""What a recording holds of programs' calls (compose/witness/calls.c), event by event, in the order of time.

Times are ns of CLOCK_REALTIME, the captures' clock. Tasks have the numbers of the machine's PID namespace. The kernel's
format files say where fields are; a field that a kernel does not have is left at its default.
"""

from __future__ import annotations

import ipaddress
import posixpath
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from testbed.model import Endpoint
from testbed.model.errors import CaptureError
from testbed.observe.kernel.recorded_frames import frames
from testbed.observe.kernel.trace_format import Format, PageHeader, parse_format

ASIDE = 0x08 | 0x10
"""Flags of an event that an interrupt made, which only happened to come while the task ran (TRACE_FLAG_SOFTIRQ)."""
_PROTOCOLS = {6: "tcp", 17: "udp", 262: "tcp"}  # Multipath TCP is TCP on the wire
_INET, _INET6 = 2, 10
_OVERRUN = re.compile(r"^(overrun|commit overrun|dropped events): (\d+)$", re.MULTILINE)
_STATES = "inet_sock_set_state"


class Entered(NamedTuple):
    """A system call began; ``arguments`` are its registers, unsigned."""

    time: int
    task: int
    name: str
    arguments: tuple[int, ...]


class Left(NamedTuple):
    """A system call returned: to the program, or as the kernel begins it again (ERESTART...)."""

    time: int
    task: int
    name: str
    result: int


class Moved(NamedTuple):
    """A socket took or gave bytes: ``result`` how many, or minus the error. ``flags`` are MSG_ flags."""

    time: int
    task: int
    out: bool
    sk: int
    protocol: str
    result: int
    flags: int


class Changed(NamedTuple):
    """A TCP socket went from one state to another (include/net/tcp_states.h). ``aside``: an interrupt did it."""

    time: int
    task: int
    aside: bool
    sk: int
    before: int
    after: int
    local: Endpoint
    peer: Endpoint


class Routed(NamedTuple):
    """A route was looked up for a packet of ``protocol``: it tells ports and addresses of a datagram."""

    time: int
    task: int
    protocol: int
    local: Endpoint
    peer: Endpoint


class TaskMade(NamedTuple):
    """A task was made, with the flags of clone(2)."""

    time: int
    task: int
    child: int
    flags: int


class Became(NamedTuple):
    """A task became another program; ``before`` is its number until then (of the thread that asked for it)."""

    time: int
    task: int
    before: int
    program: str


class Ended(NamedTuple):
    """A task ended."""

    time: int
    task: int


class Submitted(NamedTuple):
    """io_uring was given a request, by its name in the kernel (``SEND``)."""

    time: int
    task: int
    request: int
    operation: str


class Completed(NamedTuple):
    """io_uring was done with a request."""

    time: int
    task: int
    request: int
    result: int


class Deferred(NamedTuple):
    """io_uring gave a request to a worker of its own, whose events are not recorded."""

    time: int
    task: int


Event = Entered | Left | Moved | Changed | Routed | TaskMade | Became | Ended | Submitted | Completed | Deferred
_Read = Callable[[int, memoryview], Event | None]
_PLACE = itemgetter(0, 1)


@dataclass
class CallRecording:
    """A recording. ``tasks``: the programs that were held, by the name under which they were; ``missing``: events."""

    header: PageHeader | None = None
    formats: list[Format] = field(default_factory=list)
    tasks: dict[str, int] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    pages: list[bytes] = field(default_factory=list)
    state_pages: list[bytes] = field(default_factory=list)
    clocks: list[tuple[int, ...]] = field(default_factory=list)
    statistics: str = ""
    ended: bool = False

    def take(self, kind: bytes, payload: bytes) -> None:
        """Take a frame of the recorder (compose/witness/witness.c)."""
        if kind == b"p":
            self.pages.append(payload[4:])
        elif kind == b"P":
            if not payload[0]:  # of the first instance, which has the states
                self.state_pages.append(payload[4:])
        elif kind == b"H":
            self.header = PageHeader.parse(payload.decode())
        elif kind in (b"f", b"F"):
            name, _, text = payload.partition(b"\0")
            if kind == b"f" or name.endswith(_STATES.encode()):
                self.formats.append(parse_format(text.decode()))
        elif kind == b"m":
            self.missing.append(payload.decode())
        elif kind == b"t":
            number, _, name = payload.partition(b" ")
            self.tasks.setdefault(name.decode(), int(number))
        elif kind == b"C":
            self.clocks.append(struct.unpack(">3Q", payload))
        elif kind == b"s":
            self.statistics += payload[4:].decode() + "\n"
        elif kind == b"E":
            self.ended = True

    @property
    def lost(self) -> int:
        """How many events found no room in the buffer; at least that many."""
        counted = sum(int(count) for _, count in _OVERRUN.findall(self.statistics))
        gaps = self.header is not None and any(self.header.missed(page) for page in self.pages)
        return counted or int(gaps)

    @property
    def clock_error(self) -> int:
        """How far a time may be from the captures' clock, in ns."""
        return max((width + 1) // 2 for _, _, width in self.clocks)

    def events(self) -> Iterator[Event]:
        """Yield all events in the order of time. Raises ValueError where the recording makes no sense."""
        if self.header is None or not self.clocks:
            raise ValueError("it has no beginning")
        readers = {made.id: reader for made in self.formats if (reader := _reader(made)) is not None}
        states = {made.id: _state(made) for made in self.formats if made.name == _STATES}
        found: list[tuple[int, int, _Read, memoryview]] = []
        for pages, wanted in ((self.pages, readers), (self.state_pages, states)):
            for page in pages:
                for time, record in self.header.records(page):
                    read = wanted.get(record[0] | record[1] << 8)
                    if read is not None:
                        found.append((time, len(found), read, record))
        found.sort(key=_PLACE)
        for time, _, read, record in found:
            event = read(self._on_wall(time), record)
            if event is not None:
                yield event

    @cached_property
    def _line(self) -> tuple[int, int, int, int]:
        (wall0, mono0, width0), (wall1, mono1, width1) = self.clocks[0], self.clocks[-1]
        first, last = wall0 + width0 // 2 - mono0, wall1 + width1 // 2 - mono1
        return first, last - first, mono0, mono1 - mono0

    def _on_wall(self, time: int) -> int:
        """Return a time of the trace's clock on CLOCK_REALTIME: by a line through both measurements."""
        first, drift, start, span = self._line
        return time + (first + drift * (time - start) // span if span > 0 else first)


def read_recording(path: Path) -> CallRecording:
    """Read a recording. Raises CaptureError where it makes no sense."""
    recording = CallRecording()
    try:
        with path.open("rb") as data:
            for kind, payload in frames(data):
                recording.take(kind, payload)
    except (OSError, ValueError, KeyError, IndexError, struct.error) as error:
        raise CaptureError(f"the trace of the calls cannot be read: {error!r}") from error
    return recording


@cache
def _reader(made: Format) -> _Read | None:
    """Return what reads the records of one tracepoint. Kept, as its format is."""
    if made.name.startswith("sys_enter_"):
        return _enter(made)
    if made.name.startswith("sys_exit_"):
        return _leave(made)
    return _READERS[made.name](made) if made.name in _READERS else None


def _enter(made: Format) -> _Read:
    name = made.name.removeprefix("sys_enter_")
    # One register each, of the machine's word; newer kernels add what some of them point to.
    places = [where.offset for word, where in made.fields.items() if where.offset >= 16 and not word.startswith("__")]
    whole = struct.Struct(f"<{len(places)}Q")
    if places != list(range(16, 16 + 8 * len(places), 8)):
        raise ValueError(f"{made.name} has no registers")
    task = _int(made, "common_pid")
    return lambda time, record: Entered(time, task(record), name, whole.unpack_from(record, 16))


def _leave(made: Format) -> _Read:
    name, task, result = made.name.removeprefix("sys_exit_"), _int(made, "common_pid"), _int(made, "ret")
    return lambda time, record: Left(time, task(record), name, result(record))


def _moved(made: Format) -> _Read:
    out = made.name == "sock_send_length"
    task, sk, family, number = (_int(made, name) for name in ("common_pid", "sk", "family", "protocol"))
    result, flags, context = (_int(made, name) for name in ("ret", "flags", "common_flags"))

    def read(time: int, record: memoryview) -> Event | None:
        protocol = _PROTOCOLS.get(number(record))
        if protocol is None or family(record) not in (_INET, _INET6) or context(record) & ASIDE:
            return None
        return Moved(time, task(record), out, sk(record), protocol, result(record), flags(record))

    return read


@cache
def _state(made: Format) -> _Read:
    task, sk, before, after = (_int(made, name) for name in ("common_pid", "skaddr", "oldstate", "newstate"))
    protocol, family, context = (_int(made, name) for name in ("protocol", "family", "common_flags"))
    sport, dport = _int(made, "sport"), _int(made, "dport")
    names = {_INET: ("saddr", "daddr"), _INET6: ("saddr_v6", "daddr_v6")}

    def read(time: int, record: memoryview) -> Event | None:
        if _PROTOCOLS.get(protocol(record)) != "tcp":
            return None
        local, peer = (made.fields[name].raw(record) for name in names.get(family(record), names[_INET]))
        ends = Endpoint(_address(local), sport(record)), Endpoint(_address(peer), dport(record))
        aside = bool(context(record) & ASIDE)
        return Changed(time, task(record), aside, sk(record), before(record), after(record), *ends)

    return read


def _routed(made: Format) -> _Read:
    task, protocol, context = (_int(made, name) for name in ("common_pid", "proto", "common_flags"))
    source, target = made.fields["src"], made.fields["dst"]
    sport, dport = _int(made, "sport"), _int(made, "dport")

    def read(time: int, record: memoryview) -> Event | None:
        if protocol(record) not in _PROTOCOLS or context(record) & ASIDE:
            return None
        local = Endpoint(_address(source.raw(record)), sport(record))
        return Routed(
            time, task(record), protocol(record), local, Endpoint(_address(target.raw(record)), dport(record))
        )

    return read


def _made(made: Format) -> _Read:
    task, child, flags = (_int(made, name) for name in ("common_pid", "pid", "clone_flags"))
    return lambda time, record: TaskMade(time, task(record), child(record), flags(record))


def _became(made: Format) -> _Read:
    task, before, name = _int(made, "pid"), _int(made, "old_pid"), made.fields["filename"]
    return lambda time, record: Became(time, task(record), before(record), posixpath.basename(name.text(record)))


def _ended(made: Format) -> _Read:
    task = _int(made, "pid")
    return lambda time, record: Ended(time, task(record))


def _submitted(made: Format) -> _Read:
    task, request, name = _int(made, "common_pid"), _int(made, "req"), made.fields.get("op_str")
    return lambda time, record: Submitted(time, task(record), request(record), name.text(record) if name else "")


def _completed(made: Format) -> _Read:
    task, request, result = (_int(made, name) for name in ("common_pid", "req", "res"))
    return lambda time, record: Completed(time, task(record), request(record), result(record))


def _deferred(made: Format) -> _Read:
    task = _int(made, "common_pid")
    return lambda time, record: Deferred(time, task(record))


_READERS: dict[str, Callable[[Format], _Read]] = {
    "sock_send_length": _moved,
    "sock_recv_length": _moved,
    "fib_table_lookup": _routed,
    "fib6_table_lookup": _routed,
    "task_newtask": _made,
    "sched_process_exec": _became,
    "sched_process_exit": _ended,
    "io_uring_submit_req": _submitted,
    "io_uring_complete": _completed,
    "io_uring_queue_async_work": _deferred,
}


def _int(made: Format, name: str) -> Callable[[memoryview], int]:
    """Return what reads a number; 0 where this kernel has no such field."""
    where = made.fields.get(name)
    if where is None:
        return lambda _record: 0
    letter = {1: "B", 2: "H", 4: "I", 8: "Q"}[where.size]
    word = struct.Struct("<" + (letter.lower() if where.signed else letter))
    offset = where.offset
    return lambda record: int(word.unpack_from(record, offset)[0])


@lru_cache(1024)
def _address(data: bytes) -> str:
    found = ipaddress.ip_address(data)
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped or found)
