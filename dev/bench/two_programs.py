"""A server and a client in two network namespaces, joined by a veth, for benchmarks of what watches them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

ADDRESSES = ("198.18.78.1", "198.18.78.2")
"""Of client and server."""
_ESTABLISHED, _LISTEN = "01", "0A"  # net/tcp_states.h
_PATIENCE = 20


@contextmanager
def two_programs(
    server: str, client: str, arguments: Sequence[str] = (), *, segments: bool = False
) -> Iterator[tuple[int, int]]:
    """Run two Python scripts; yield the processes of client and server. The client is given the server's address first.

    ``segments``: frames are those of a wire; else as large as the kernel likes.
    """
    names = [f"b{token_hex(3)}{end}" for end in "cs"]
    devices = [f"{name}0" for name in names]
    programs: list[subprocess.Popen[bytes]] = []
    try:
        for name in names:
            _ip("netns", "add", name)
        _ip("-n", names[0], "link", "add", devices[0], "type", "veth", "peer", "name", devices[1], "netns", names[1])
        for name, device, address in zip(names, devices, ADDRESSES, strict=True):
            _ip("-n", name, "addr", "add", f"{address}/30", "dev", device)
            if segments:
                _ip("-n", name, "link", "set", device, "gso_max_segs", "1")
            _ip("-n", name, "link", "set", device, "up")
        for name, words in ((names[1], (server,)), (names[0], (client, ADDRESSES[1], *arguments))):
            programs.append(subprocess.Popen(["ip", "netns", "exec", name, sys.executable, "-c", *words]))
            _wait_for(programs[-1], _LISTEN if len(programs) == 1 else _ESTABLISHED)
        yield programs[1].pid, programs[0].pid
    finally:
        for program in reversed(programs):  # the client first, which would complain of a server that is gone
            program.kill()
            program.wait()
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], check=False, stderr=subprocess.DEVNULL)


def _wait_for(program: subprocess.Popen[bytes], state: str) -> None:
    """Return when a socket in a program's network namespace has a state. Raises TimeoutError, RuntimeError."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if program.poll() is not None:
            raise RuntimeError(f"a program to be watched ended with status {program.returncode}")
        own = Path(f"/proc/{program.pid}/ns/net").stat().st_ino != Path("/proc/self/ns/net").stat().st_ino
        lines = Path(f"/proc/{program.pid}/net/tcp").read_text(encoding="ascii").splitlines()[1:]
        if own and any(line.split()[3] == state for line in lines):
            return
        time.sleep(0.05)
    raise TimeoutError(f"no socket of a program to be watched is in state {state} after {_PATIENCE} s")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
