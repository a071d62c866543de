"""An interactive shell in a host of a lab that is up: the caller's terminal joined to the engine's exec stream."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Any

import docker

from testbed.lab.docker.docker_errors import translate
from testbed.lab.identity import ROLE_LABEL, RUN_LABEL
from testbed.model import Host

RESIZE_TRIES = 50
"""The engine refuses a size until the process runs, which it does not announce."""


def shell(
    client: docker.DockerClient, run_id: str, host: Host, argv: tuple[str, ...], environment: Mapping[str, str]
) -> int:
    """Run a command on a terminal in a host; return its exit status. Standard input need not be a terminal."""
    api: docker.APIClient = client.api
    on_terminal = sys.stdin.isatty()
    with translate(f"open a shell in the {host} host"):
        filters = {"label": [f"{RUN_LABEL}={run_id}", f"{ROLE_LABEL}={host}"]}
        container = api.containers(filters=filters)[0]["Id"]
        made = api.exec_create(
            container,
            list(argv),
            stdin=True,
            tty=on_terminal,
            environment=dict(environment),
        )["Id"]
        attached: Any = api.exec_start(made, tty=True, socket=True)
        stream = getattr(attached, "_sock", attached)
        stream.settimeout(None)

    def resize(_signal: int = 0, _frame: FrameType | None = None) -> bool:
        size = os.get_terminal_size(sys.stdin.fileno())
        try:
            api.exec_resize(made, height=size.lines, width=size.columns)
        except docker.errors.APIError:  # not started yet, or over
            return False
        return True

    with _raw_terminal() if on_terminal else contextlib.nullcontext():
        if on_terminal:
            for _ in range(RESIZE_TRIES):
                if resize():
                    break
                time.sleep(0.02)
            signal.signal(signal.SIGWINCH, resize)
        _copy(stream)
    with translate("ask how the shell ended"):
        return int(api.exec_inspect(made)["ExitCode"] or 0)


@contextlib.contextmanager
def _raw_terminal() -> Iterator[None]:
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setraw(sys.stdin, termios.TCSADRAIN)  # what was typed ahead is not thrown away
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _copy(stream: Any) -> None:  # noqa: ANN401 - a socket or one of the SDK's stand-ins
    """Copy both ways until the far end closes."""
    sources = [stream, sys.stdin]
    while True:
        readable, _, _ = select.select(sources, [], [])
        if sys.stdin in readable:
            typed = os.read(sys.stdin.fileno(), 4096)
            if typed:
                stream.sendall(typed)
            else:
                sources.remove(sys.stdin)
                stream.shutdown(1)
        if stream in readable:
            printed = stream.recv(65536)
            if not printed:
                return
            os.write(sys.stdout.fileno(), printed)
