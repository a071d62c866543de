"""A running actor, and what tests need beside it: sockets on the loopback interface, the pattern of its bytes."""

from __future__ import annotations

import socket
import struct
import subprocess
import time
from pathlib import Path
from typing import Protocol, Self

from testbed.observe.actor_events import ActorEvent, parse_event

MASK = 2**64 - 1


def mix(x: int) -> int:
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & MASK
    return x ^ (x >> 31)


def pattern(seed: int, size: int) -> bytes:
    """The first bytes of the stream, from the words of docs/protocols.md, not from the C."""
    first = mix(seed)
    words = (mix((first + k) & MASK) for k in range(size // 8 + 1))
    return b"".join(struct.pack("<Q", word) for word in words)[:size]


class Actor:
    """A running actor; its script is given, its standard input stays open."""

    def __init__(self, command: list[str], script: str) -> None:
        lines = [line.strip() for line in script.strip().splitlines()]
        numbered = [f"{n} {line}" for n, line in enumerate(lines, 1)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        self.tell(*numbered, "end")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def tell(self, *lines: str) -> None:
        assert self.process.stdin
        self.process.stdin.write("".join(line + "\n" for line in lines))
        self.process.stdin.flush()

    def event(self) -> ActorEvent:
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, f"the actor ended instead: {self.process.stderr and self.process.stderr.read()}"
        return parse_event(line)

    def until(self, event: str) -> ActorEvent:
        while (found := self.event()).event != event:
            assert found.event != "done", f"no {event}"
        return found

    def finish(self, status: int = 0) -> list[ActorEvent]:
        """Wait for its end and give the events that were not read yet."""
        out, err = self.process.communicate(timeout=30)
        assert self.process.returncode == status, (out, err)
        assert not err or status, err
        events = [parse_event(line) for line in out.splitlines()]
        assert (events[-1].event == "done") == (status == 0)
        return events

    def state(self) -> str:
        """The kernel's letter for what it does: S sleeping in a call, T stopped."""
        return Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0]

    def wait_state(self, letter: str) -> None:
        deadline = time.monotonic() + 20
        while self.state() != letter:
            assert time.monotonic() < deadline, self.state()
            time.sleep(0.001)


LOOPBACK = {"inet": "127.0.0.1", "inet6": "::1"}


AF = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}


def port_of(sock: socket.socket) -> int:
    return int(sock.getsockname()[1])


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM, family: str = "inet") -> int:
    with socket.socket(AF[family], kind) as probe:
        probe.bind((LOOPBACK[family], 0))
        return port_of(probe)


def connected(listener: socket.socket, steps: str, *, option: str = "") -> str:
    """A script that connects socket c to the listener, then does `steps`."""
    return f"""socket as=c family=inet type=stream {option}
        connect sock=c addr=127.0.0.1 port={port_of(listener)} expect={"any" if option else "ok"}
        {steps}"""


def take(listener: socket.socket) -> socket.socket:
    peer, _ = listener.accept()
    peer.settimeout(20)
    return peer


def read_all(peer: socket.socket) -> bytes:
    return b"".join(iter(lambda: peer.recv(1 << 16), b""))


def of_step(events: list[ActorEvent], step: int) -> ActorEvent:
    """The event that ended a step: exactly one."""
    (ended,) = [e for e in events if e.step == step and e.event in {"ok", "error", "unexpected-success"}]
    return ended


class Start(Protocol):
    """Starts an actor on a script, also under another program."""

    def __call__(self, script: str, *, wrapper: tuple[str, ...] = ()) -> Actor: ...
