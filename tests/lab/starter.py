"""Starts `python -m invoke ...` as often as tests ask, from a process that has imported what commands need.

A command on a busy machine spends most of its time on imports; hundreds of commands take minutes for that alone. Each
still is a process of its own: its words, folder, environment, standard streams and exit code are those asked for.
What is said of a command's own start is tested with real starts (``conftest.command``).
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

IMPORTED = (
    *("invoke.main", "dev.developer_tasks", "docker", "numpy", "rich.console", "testbed.tasks", "testbed.cli.progress"),
    *("testbed.cli.list_show_diff", "testbed.run.live_lab", "testbed.run.lab_keeper", "testbed.run.evaluate"),
    *(
        "testbed.lab.docker.docker_engine",
        "testbed.lab.namespace.namespace_engine",
        "testbed.observe.trace.returned_calls",
    ),
    *("testbed.diagnosis.diagnose", "testbed.report.text.run_summary", "testbed.report.json.result_file"),
    *("testbed.scenario.load", "testbed.report.ci.ci_cases", "testbed.observe.trace.returned_calls"),
)
"""What most commands import."""
AT_START = ("PYTHON", "LANG", "LC_")
"""How environment variables begin that Python reads as it starts: a command with others of them is started anew."""
_MOST = 1 << 20


def needs_own_start(env: Mapping[str, str]) -> bool:
    """Say whether Python would start otherwise in this environment than in the tests' own."""
    return any(
        name.startswith(AT_START) and env.get(name) != os.environ.get(name) for name in env.keys() | os.environ.keys()
    )


class Starter:
    """The process that starts commands; it ends with the tests' process."""

    def __init__(self, root: Path) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        words = [sys.executable, "-m", "tests.lab.starter", str(theirs.fileno())]
        self._process = subprocess.Popen(
            words, cwd=root, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
        )
        theirs.close()
        self._turn = threading.Lock()

    def close(self) -> None:
        self._ours.close()
        self._process.wait()

    def run(self, words: Sequence[str], env: Mapping[str, str], streams: Sequence[int], limit: float) -> int:
        """Return the exit code of `python -m invoke` with these words; ``streams`` are its standard streams.

        Raises subprocess.TimeoutExpired when it has not ended after ``limit`` seconds: it is killed then.
        """
        ended, told = os.pipe()
        try:
            with self._turn:
                order = json.dumps({"words": list(words), "env": dict(env)}).encode()
                socket.send_fds(self._ours, [order], [*streams, told])
        finally:
            os.close(told)
        late = threading.Event()
        with open(ended, "rb") as answers:  # noqa: PTH123 - a descriptor
            pid = int(answers.readline())

            def kill() -> None:
                late.set()
                os.kill(pid, signal.SIGKILL)

            timer = threading.Timer(limit, kill)
            timer.start()
            code = int(answers.readline())
            timer.cancel()
        if late.is_set():
            raise subprocess.TimeoutExpired(list(words), limit)
        return code


def _next_command(orders: socket.socket) -> dict[str, Any] | None:
    """Start what is ordered until the other end closes, then return None; in a process for an order return that."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        order, descriptors, _, _ = socket.recv_fds(orders, _MOST, 4)
        if not order:
            return None
        if os.fork() == 0:
            orders.close()
            *streams, told = descriptors
            _watch_child(streams, told)
            return _with_streams(json.loads(order), streams)
        for descriptor in descriptors:
            os.close(descriptor)


def _watch_child(streams: Sequence[int], told: int) -> None:
    """Return in a child; say its number and how it ended, in this process, which then ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        os.close(told)
        return
    for descriptor in streams:
        os.close(descriptor)
    os.write(told, f"{pid}\n".encode())
    _, status = os.waitpid(pid, 0)
    os.write(told, f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _with_streams(order: dict[str, Any], streams: Sequence[int]) -> dict[str, Any]:
    """Make descriptors the standard streams."""
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    return order


if __name__ == "__main__":
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()
    command = _next_command(socket.socket(fileno=int(sys.argv[1])))
    if command is not None:
        os.environ.clear()
        os.environ.update(command["env"])
        sys.argv = ["invoke", *command["words"]]
        runpy.run_module("invoke", run_name="__main__", alter_sys=True)
