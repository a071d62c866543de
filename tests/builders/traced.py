"""Events of a trace of calls, one after the other, 1 us apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from testbed.model import Call, Endpoint, Host
from testbed.observe.trace.running_process import RunningProcess
from testbed.observe.trace.trace_calls import TracedCalls, calls_of
from testbed.observe.trace.trace_events import (
    Became,
    Changed,
    Ended,
    Entered,
    Event,
    Left,
    Moved,
    Routed,
    TaskMade,
)

CLIENT, SERVER = "198.18.0.2", "198.18.0.3"
ROOT = 1000
"""The first program's task; in its own PID namespace it is 7."""
TCP, UDP = (2, 1, 0), (2, 2, 0)
"""What socket(2) is given."""


@dataclass
class Trace:
    """Events of one host, the client; ``at`` is the time of the last."""

    events: list[Event] = field(default_factory=list)
    at: int = 0

    def tick(self) -> int:
        """Return the next time."""
        self.at += 1000
        return self.at

    def enter(self, name: str, *arguments: int, task: int = ROOT) -> Trace:
        """A system call begins."""
        self.events.append(Entered(self.tick(), task, name, tuple(word % (1 << 64) for word in arguments)))
        return self

    def leave(self, name: str, result: int, *, task: int = ROOT) -> Trace:
        """It returns."""
        self.events.append(Left(self.tick(), task, name, result))
        return self

    def call(self, name: str, *arguments: int, result: int = 0, task: int = ROOT) -> Trace:
        """A system call in which nothing happens."""
        return self.enter(name, *arguments, task=task).leave(name, result, task=task)

    def moved(
        self, result: int, *, out: bool, sk: int, protocol: str = "tcp", flags: int = 0, task: int = ROOT
    ) -> Trace:
        """Bytes go through a socket."""
        self.events.append(Moved(self.tick(), task, out, sk, protocol, result, flags))
        return self

    def changed(
        self, sk: int, before: int, after: int, local: int, peer: int, *, aside: bool = False, task: int = ROOT
    ) -> Trace:
        """A TCP socket changes its state; ports are the client's and the server's."""
        ends = Endpoint(CLIENT, local), Endpoint(SERVER, peer)
        self.events.append(Changed(self.tick(), task, aside, sk, before, after, *ends))
        return self

    def routed(self, local: int, peer: int, *, task: int = ROOT) -> Trace:
        """A datagram's route is looked up."""
        self.events.append(Routed(self.tick(), task, 17, Endpoint(CLIENT, local), Endpoint(SERVER, peer)))
        return self

    def made(self, child: int, flags: int = 0, *, task: int = ROOT) -> Trace:
        """A task is made."""
        self.events.append(TaskMade(self.tick(), task, child, flags))
        return self

    def became(self, program: str, *, task: int = ROOT) -> Trace:
        """A task becomes another program."""
        self.events.append(Became(self.tick(), task, task, program))
        return self

    def ended(self, *, task: int = ROOT) -> Trace:
        """A task ends."""
        self.events.append(Ended(self.tick(), task))
        return self

    def connect(self, fd: int, sk: int, port: int, *, flags: int = 0) -> Trace:
        """Make a TCP socket and connect it to port 80."""
        self.call("socket", 2, 1 | flags, 0, result=fd).enter("connect", fd, 0xBEEF, 16)
        self.changed(sk, 7, 2, 0, 80).changed(sk, 2, 1, port, 80, aside=True)
        return self.leave("connect", 0)

    def decoded(self, running: Sequence[RunningProcess] = ()) -> TracedCalls:
        """Return what the events are read as; ``running`` are processes from before the first of them."""
        roots: dict[int, tuple[Host, int]] = {} if running else {ROOT: ("client", 7)}
        return calls_of(self.events, roots, {"client": [CLIENT]}, {"client": running} if running else {})["client"]

    def calls(self) -> tuple[Call, ...]:
        """Return the calls."""
        return self.decoded().calls


def told(calls: tuple[Call, ...]) -> Iterator[str]:
    """Tell each call in a few words: ``7 read(3) = 6``."""
    for call in calls:
        yield f"{call.pid} {call.name}({call.fd if call.fd >= 0 else ''}) = {call.errno or call.result}"
