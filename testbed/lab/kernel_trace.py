"""The witness: the kernel's tracepoints recorded during a run (compose/witness/witness.c), and what it is called.

An engine gives the channel to it; everything else is the same on every engine.
"""

from __future__ import annotations

import contextlib
import struct
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from testbed.lab import call_trace
from testbed.lab.agent import Channel
from testbed.lab.engine import device_names
from testbed.lab.identity import is_alive, owner
from testbed.lab.tcpdump import CaptureFile
from testbed.model.errors import LabError, LabTimeout, Unsupported
from testbed.observe.kernel.observed_interface import ETHERNET, SeenInterface

READY_TIMEOUT = 20.0
END_TIMEOUT = 60.0
PREFIX = "bothends-"

# Only IP: a drop of anything else (0x0800 and 0x86dd, ETH_P_IP and ETH_P_IPV6).
_DROP_FILTER = "protocol==2048||protocol==34525"
_OURS = "OURS"
"""Stands for the interfaces of the lab's hosts: other labs and the machine's own traffic are not recorded."""
_BY_OURS = f'name ~ "{_OURS}"'
_LEAVES = f"+net/net_dev_start_xmit={_BY_OURS}"
SHORT = 300
"""Frames of fewer bytes have a call stack in any lab: ACKs, what opens and ends connections, small messages."""
NOT_FULL = 1400
"""Frames of fewer bytes have a call stack where programs are watched: all but the full segments of a bulk transfer."""
EVENTS = (
    "sock/inet_sock_set_state",
    "tcp/tcp_retransmit_skb",
    "tcp/tcp_retransmit_synack",
    "tcp/tcp_send_reset",
    "tcp/tcp_receive_reset",
    "tcp/tcp_cong_state_set",
    "tcp/tcp_probe",
    "tcp/tcp_bad_csum",
    "tcp/tcp_destroy_sock",
    _LEAVES,
    f'+neigh/neigh_event_send_done=err == 1 && dev ~ "{_OURS}"',
    f"+skb/kfree_skb={_DROP_FILTER}",
    "timer/timer_expire_entry~function:tcp_write_timer,tcp_delack_timer,tcp_keepalive_timer,reqsk_timer_handler",
    "timer/hrtimer_expire_entry~function:tcp_pace_kick,tcp_compressed_ack_kick",
)
"""Tracepoints, as the recorder wants them: + with the call stack, a filter where there is one. The others of ``tcp:*``
say nothing of packets or of state."""
QUEUED = f'+net/net_dev_queue=name ~ "{_OURS}"'
"""What is given to an interface that has a queue; it leaves later, in whatever runs then."""
ARRIVALS = (f'net/netif_rx=name ~ "{_OURS}"', f'net/netif_receive_skb=name ~ "{_OURS}"')
"""Those that tell which packet was dropped (:mod:`testbed.observe.kernel.trace_drops`): two for each that comes."""
# A host's congestion window changes with the ACKs that it gets. An event for each full segment that it receives showed
# nothing new of it, and took a tenth of the speed of a bulk transfer.
# A call stack for each of its segments takes more than half of that speed. The kernel compares in the order that is
# written: the length first, which a segment of a bulk transfer fails, and the name only of what is short.
_WITHOUT_BULK = {
    "tcp/tcp_probe": "tcp/tcp_probe=data_len<1024",
    _LEAVES: f"+net/net_dev_start_xmit=len < {SHORT} && {_BY_OURS}",
}

_OWNER_PARTS = 3
"""Parts of an owner; what an instance of a run is called besides follows (``.names``, ``.calls``, ``.held``)."""
_HEADER = struct.Struct(">cI")
END = b"E"
READY = b"R"
CALLS_READY = b"r"
REFUSED = b"X"
PROGRAM = b"t"
TASKS = b"T"
_AT_A_TIME = 200
"""Tasks in one line to the recorder, which takes 4 KiB."""
NO_CALL = b"m"
_POLL = 0.01


def instance_name(run_id: str) -> str:
    """Name a run's instance of tracefs, with its owner as the labels of a container have it."""
    return f"{PREFIX}{run_id}-{owner().replace('/', '.')}"


def is_owner_alive(name: str) -> bool | None:
    """Say whether the run lives that has this instance; None for another machine's."""
    _, _, label = name.removeprefix(PREFIX).partition("-")
    return is_alive("/".join(label.split(".")[:_OWNER_PARTS]))


def run_of(name: str) -> str:
    """Return the id of the run that has this instance."""
    return name.removeprefix(PREFIX).partition("-")[0]


def command(
    run_id: str,
    *,
    buffer: int,
    arrivals: bool,
    queued: bool = False,
    connections: bool = True,
    calls: bool = False,
) -> tuple[str, ...]:
    """Return the recorder's arguments for one run; ``buffer`` is the kernel's for each processor, in bytes.

    4 MiB hold some 25,000 events; it is read when it is half full. ``arrivals``: record each packet that comes, too.
    ``queued``: an interface has a queue. ``connections``: what happens on the lab's connections; ``calls``: the
    programs' calls.
    """
    events = (*EVENTS, *ARRIVALS) if arrivals else tuple(_WITHOUT_BULK.get(event, event) for event in EVENTS)
    if queued:
        events = (*events, QUEUED)
    if not connections:
        events = (call_trace.STATES,)
    events = tuple(event.replace(f'"{_OURS}"', f'"{device_names(run_id)}"') for event in events)
    words = ("record", instance_name(run_id), str(buffer >> 10), *events)
    return (*words, *call_trace.arguments(run_id)) if calls else words


def stacks_of(seen: Iterable[SeenInterface]) -> tuple[str, ...]:
    """Return the recorder's arguments for call stacks of what leaves some interfaces, below :data:`NOT_FULL` bytes."""
    by_event: dict[tuple[str, int], set[str]] = {}
    for each in seen:
        event = ("net/netif_rx", NOT_FULL - ETHERNET) if each.by_peer else ("net/net_dev_start_xmit", NOT_FULL)
        by_event.setdefault(event, set()).add(f'name == "{each.name}"')
    return tuple(
        f"+{event}=len < {length} && ({' || '.join(sorted(names))})"
        for (event, length), names in sorted(by_event.items())
    )


def shorter_than(arguments: Sequence[str]) -> int | None:
    """Return of which frames the departures were recorded with these arguments: shorter ones, or None: of all."""
    return SHORT if any(f"len < {SHORT}" in argument for argument in arguments) else None


def unsupported(why: str) -> Unsupported:
    """Return the error that says why there is no witness."""
    return Unsupported(f"the kernel trace cannot be recorded here: {why}", hint="`invoke doctor` says what it takes")


class Witness:
    """One recording; what it says goes to ``path`` as it comes."""

    def __init__(
        self, channel: Channel, path: Path, make_file: Callable[[Path], CaptureFile] = lambda path: path.open("wb")
    ) -> None:
        self.path = path
        self._channel = channel
        self._buffer = bytearray()
        self._refusal = ""
        self._write_error: OSError | None = None
        self._ready = threading.Event()
        self._calls_ready = threading.Event()
        self._over = threading.Event()
        self._ended = False
        self._programs: set[str] = set()
        self._tasks: set[int] = set()
        self._missing: set[str] = set()
        self._news = threading.Condition()
        self._file = make_file(path)
        self._reader = threading.Thread(target=self._read, name="witness", daemon=True)
        self._reader.start()

    def wait_ready(self) -> Unsupported | None:
        """Return when what happens on connections is recorded: None, or why kernel or engine do not allow it."""
        return self._wait(self._ready)

    def wait_calls(self) -> Unsupported | None:
        """Return when the programs' calls are recorded too, if they were asked for: as :meth:`wait_ready`, after it."""
        return self._wait(self._calls_ready)

    def _wait(self, ready: threading.Event) -> Unsupported | None:
        if not ready.wait(READY_TIMEOUT):
            self.close()
            raise LabTimeout(
                f"the recorder of the kernel trace was not ready in {READY_TIMEOUT:g} s",
                last_output=self._channel.last_words(),
            )
        if self._over.is_set() and not self._ended:
            self.close()
            return unsupported(self._refusal or self._channel.last_words().strip() or "it ended at once")
        return None

    def why_no_calls(self) -> str:
        """Say why this kernel cannot tell the programs' calls; empty if it can. After :meth:`wait_calls`."""
        return call_trace.why_unable(frozenset(self._missing))

    def wait_program(self, name: str, ended: threading.Event) -> bool:
        """Wait until the calls of the program that is held under ``name`` are recorded; False if they never are.

        ``ended``: it has ended.
        """
        deadline = time.monotonic() + READY_TIMEOUT
        with self._news:
            while name not in self._programs:
                if ended.is_set() or self._over.is_set() or time.monotonic() > deadline:
                    return False
                self._news.wait(_POLL)
        return True

    def add_tasks(self, tasks: Iterable[int]) -> None:
        """Record the calls of tasks that run already, and of what they start; return when they are recorded.

        ``tasks`` are numbers in the machine's PID namespace. Raises LabError, LabTimeout.
        """
        wanted = sorted(set(tasks) - self._tasks)
        for first in range(0, len(wanted), _AT_A_TIME):
            self._send(f"+{' '.join(map(str, wanted[first : first + _AT_A_TIME]))}\n".encode())
        deadline = time.monotonic() + READY_TIMEOUT
        with self._news:
            while not self._tasks.issuperset(wanted):
                if self._over.is_set():
                    raise LabError("the recorder of the kernel trace ended", state=self._refusal)
                if time.monotonic() > deadline:
                    raise LabTimeout(f"the recorder of the kernel trace took no tasks in {READY_TIMEOUT:g} s")
                self._news.wait(_POLL)

    def await_no_program(self) -> None:
        """Have the recorder remove what waits for programs, which takes the kernel a while: none will be held again."""
        with contextlib.suppress(LabError):  # that it is gone is told at its end
            self._send(b"-\n")

    def last_words(self) -> str:
        """Return what the recorder printed on standard error."""
        return self._channel.last_words()

    def stop(self) -> None:
        """End the recording; return when all of it has come. The engine waits until its instance is removed."""
        self._send(b"end\n")
        if not self._over.wait(END_TIMEOUT):
            raise LabTimeout(
                f"the recorder of the kernel trace did not end in {END_TIMEOUT:g} s",
                last_output=self._channel.last_words(),
            )

    def _send(self, order: bytes) -> None:
        try:
            self._channel.send(order)
        except OSError as error:
            raise LabError(
                "the recorder of the kernel trace went away", last_output=self._channel.last_words()
            ) from error

    def close(self) -> None:
        """Close the channel and the file; the recorder, if it still runs, removes its instance and ends. Idempotent."""
        self._channel.close()
        self._reader.join(timeout=5)
        self._file.close()

    def problems(self) -> list[str]:
        """Say why the recording does not go to its end; empty when it does."""
        if self._write_error is not None:
            return [f"the kernel trace could not be written: {self._write_error}"]
        return [] if self._ended else ["the kernel trace has no end"]

    def _read(self) -> None:
        while True:
            try:
                data = self._channel.receive()
            except OSError:
                data = b""
            if not data:
                break
            self._take(data)
        self._over.set()
        self._ready.set()
        self._calls_ready.set()

    def _take(self, data: bytes) -> None:
        if self._write_error is None:
            try:
                self._file.write(data)
            except OSError as error:
                self._write_error = error
        self._buffer += data
        at = 0
        while len(self._buffer) - at >= _HEADER.size:
            kind, size = _HEADER.unpack_from(self._buffer, at)
            if len(self._buffer) - at - _HEADER.size < size:
                break
            at += _HEADER.size + size
            if kind == READY:
                self._ready.set()
            elif kind == CALLS_READY:
                self._calls_ready.set()
            elif kind == PROGRAM:
                with self._news:
                    self._programs.add(self._buffer[at - size : at].decode(errors="replace").partition(" ")[2])
                    self._news.notify_all()
            elif kind == TASKS:
                with self._news:
                    self._tasks.update(map(int, self._buffer[at - size : at].split()))
                    self._news.notify_all()
            elif kind == NO_CALL:
                self._missing.add(self._buffer[at - size : at].decode(errors="replace"))
            elif kind == END:
                self._ended = True
                self._over.set()
            elif kind == REFUSED:
                self._refusal = self._buffer[at - size : at].decode(errors="replace")
        del self._buffer[:at]
