"""A tap: tcpdump beside a host, its capture streamed into a file, and the proof that the capture is complete."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from testbed.lab.agent import Agent, AgentProcess
from testbed.lab.engine import INTERFACE
from testbed.model import Host
from testbed.model.errors import LabError, LabTimeout, Unsupported

READY_TIMEOUT = 15.0
STOP_TIMEOUT = 10.0
BUFFER_KIB = "32768"
"""tcpdump's kernel buffer: 20,000 packets, as libpcap's slots are as large as the MTU with offloads off.

The kernel zeroes it at the start; 128 MiB would cost each run 60 ms.
"""
SMALL_BUFFER_KIB = "4096"
"""2,500 packets: enough for a run that can have no more, should tcpdump not get to read one of them. Saves a tap half
of its processor time."""
SMALLEST_BUFFER_KIB = "512"
"""300 packets, in the same way: to map and unmap 4 MiB takes a fifth of what is left of that time."""
FRAME = 1600
"""Bytes that a slowed interface sends in one go: one Ethernet frame. Less would pass none of full size."""
QUEUE_BYTES = 1 << 20
"""Bytes that may wait in a slowed interface."""
SENTINEL_PREFIX = "BOTHENDS-SENTINEL"
_STATISTIC = re.compile(
    r"^(\d+) packets? (captured|received by filter|dropped by kernel|dropped by interface)", re.MULTILINE
)


class CaptureFile(Protocol):
    """Where a capture is written; a binary file is one."""

    def write(self, data: bytes, /) -> object:
        """Take the next bytes."""

    def flush(self) -> None:
        """Give them to the system."""

    def close(self) -> None:
        """Write what is left, and close."""


@dataclass(frozen=True, slots=True)
class Captured:
    """What a tap captures: the packets of one interface, of each the first ``snap`` bytes (0: all).

    ``expression`` chooses packets (pcap-filter(7)), all if empty. ``buffer`` is the kernel's, KiB.
    """

    interface: str = INTERFACE
    expression: str = ""
    snap: int = 0
    buffer: str = BUFFER_KIB


class TcpdumpTap:
    """One tap, from its preparation to the end of its capture; ``path`` is written as packets arrive.

    ``on_death`` is called from another thread if the capture ends by itself. ``make_file`` opens what is written.
    ``program`` captures instead of tcpdump: it is given the interface, writes and says what tcpdump does.
    """

    def __init__(
        self,
        host: Host,
        agent: Agent,
        path: Path,
        on_death: Callable[[], None] = lambda: None,
        *,
        captured: Captured = Captured(),
        make_file: Callable[[Path], CaptureFile] = lambda path: path.open("wb"),
        program: str = "",
    ) -> None:
        self.host = host
        self.agent = agent
        self.path = path
        self._captured = captured
        self._make_file = make_file
        self._program = program
        self.statistics: dict[str, int] = {}
        self._on_death = on_death
        self._file: CaptureFile | None = None
        self._process: AgentProcess | None = None
        self._stderr = b""
        self._asked_to_end = False
        self._started_or_ended = threading.Event()
        self._tail = b""
        self._awaited: set[bytes] = set()
        self._seen_or_ended = threading.Event()
        self._write_error: OSError | None = None
        self.watch: Callable[[bytes], None] | None = None
        """Is given the capture's bytes as they come."""

    @property
    def program(self) -> str:
        """What captures."""
        return self._program or "tcpdump"

    def begin_routes(self, routes: Mapping[int, Sequence[str]]) -> Callable[[], None]:
        """Start to give the host exactly these routes (lines for `ip -batch`, by IP version) and no way out.

        Call the answer to wait for the end.
        """
        waits = [
            self.agent.begin(["ip", f"-{ip}", "-batch", "-"], text="\n".join(["route flush exact default", *lines, ""]))
            for ip, lines in routes.items()
        ]

        def finish() -> None:
            for wait in waits:
                wait()

        return finish

    def turn_off_offloads(self) -> None:
        """Make the host send and receive segments as they are on a wire, with every checksum computed."""
        self.agent.turn_off_offloads(INTERFACE)

    def set_mtu(self, size: int) -> None:
        """Let the host's interface send and take packets of at most so many bytes."""
        self.agent.run(["ip", "link", "set", "dev", INTERFACE, "mtu", str(size)])

    def name_device(self, name: str) -> bool:
        """Give the host's interface this first name, and :data:`INTERFACE` as a further one; False where it cannot be.

        A kernel before Linux 6.2 names no interface that is up.
        """
        rename = f"link set dev {INTERFACE} name {name}\nlink property add dev {name} altname {INTERFACE}\n"
        try:
            self.agent.begin(["ip", "-batch", "-"], text=rename)()
        except LabError:
            return False
        return True

    def slow_down(self, rate: int) -> None:
        """Let the host's interface send no more than ``rate`` bits per second, a full frame at a time.

        Raises Unsupported where the kernel has no token bucket filter.
        """
        argv = ["tc", "qdisc", "replace", "dev", INTERFACE, "root", "tbf"]
        argv += ["rate", f"{rate}bit", "burst", str(FRAME), "limit", str(QUEUE_BYTES)]
        try:
            self.agent.run(argv)
        except LabError as error:
            raise Unsupported(
                f"`egress` of the {self.host} needs tc and the kernel's token bucket filter (sch_tbf)",
                state=error.state,
                last_output=error.last_output,
            ) from error

    def start(self) -> None:
        """Start tcpdump and return when it says that it listens."""
        self._file = self._make_file(self.path)
        # Immediate mode: without it packets wait in the kernel for up to a second, and so would every run.
        what = self._captured
        argv = ["tcpdump", "-i", what.interface, "-n", "-p", "-U", "-s", str(what.snap), "-B", what.buffer]
        argv += ["-Z", "root", "--immediate-mode", "--time-stamp-precision=nano", "-w", "-", *what.expression.split()]
        if self._program:
            argv = [self._program, what.interface]
        self._process = self.agent.start(argv, out=self._take, err=self._take_error, on_end=self._note_end)
        if not self._started_or_ended.wait(READY_TIMEOUT):
            raise LabTimeout(
                f"{self.program} on the {self.host} was not ready in {READY_TIMEOUT:g} s (awaited: 'listening on')",
                last_output=self._stderr.decode(errors="replace"),
            )
        if self._process.ended.is_set():
            raise self._died("before it captured anything")

    def expect(self, sentinels: list[str]) -> None:
        """Watch the capture for these sentinels; :meth:`wait_seen` then waits for all of them."""
        self._awaited = {sentinel.encode() for sentinel in sentinels}

    def wait_seen(self, timeout: float) -> bool:
        """Wait until all sentinels are in the capture; False if they are not in ``timeout`` seconds."""
        return self._seen_or_ended.wait(timeout) and not self._awaited

    def stop(self) -> None:
        """End tcpdump, close the file and read the statistics that it prints."""
        try:
            if self._process is not None and not self._process.ended.is_set():
                self._asked_to_end = True
                self._process.signal(signal.SIGINT)
                if self._process.wait(STOP_TIMEOUT) is None:
                    raise LabTimeout(
                        f"{self.program} on the {self.host} did not end in {STOP_TIMEOUT:g} s after SIGINT"
                    )
        finally:
            if self._file is not None:
                try:
                    self._file.close()
                except OSError as error:
                    self._write_error = self._write_error or error
        text = self._stderr.decode(errors="replace")
        self.statistics = {what: int(count) for count, what in _STATISTIC.findall(text)}

    def problems(self, *, sentinel_seen: bool) -> list[str]:
        """Say why this capture cannot be shown to be complete; empty when it is."""
        found = []
        if self._write_error is not None:
            found.append(f"{self.host}: the capture could not be written: {self._write_error}")
        if not sentinel_seen:
            found.append(f"{self.host}: the sentinel sent after the last event is not in the capture")
        found += [
            f"{self.host}: {self.program} says that {self.statistics[where]} packets were {where}"
            for where in ("dropped by kernel", "dropped by interface")
            if self.statistics.get(where)
        ]
        if "captured" not in self.statistics:
            found.append(f"{self.host}: {self.program} ended without its statistics")
        return found

    def died(self) -> LabError | None:
        """Return an error if tcpdump ended by itself."""
        if self._process is not None and self._process.ended.is_set() and not self._asked_to_end:
            return self._died("during the run")
        return None

    def _died(self, when: str) -> LabError:
        ended = self._process.exit if self._process is not None else None
        return LabError(
            f"{self.program} on the {self.host} ended {when}",
            state=str(ended) if ended else "its container is gone",
            last_output=self._stderr.decode(errors="replace"),
        )

    def _note_end(self) -> None:
        self._started_or_ended.set()
        self._seen_or_ended.set()
        if not self._asked_to_end:
            self._on_death()

    def _take(self, data: bytes) -> None:
        assert self._file is not None  # noqa: S101 - opened before the process starts
        if self._write_error is None:
            try:
                self._file.write(data)
                self._file.flush()
            except OSError as error:
                self._write_error = error
        if self.watch is not None:
            self.watch(data)
        if self._awaited:
            window = self._tail + data
            self._awaited = {sentinel for sentinel in self._awaited if sentinel not in window}
            if not self._awaited:
                self._seen_or_ended.set()
            self._tail = window[-256:]

    def _take_error(self, data: bytes) -> None:
        self._stderr += data
        if b"listening on" in self._stderr:
            self._started_or_ended.set()
