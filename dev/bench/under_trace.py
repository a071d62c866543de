"""A program under the kernel's trace of calls, as in a run: held until the recorder has found it by its name."""

from __future__ import annotations

import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from testbed.lab.agent import Channel
from testbed.lab.call_trace import held_name
from testbed.lab.engine import TOOLS_DIRECTORY
from testbed.lab.identity import new_run_id
from testbed.lab.kernel_trace import Witness, command
from testbed.lab.namespace.namespace_engine import SocketChannel
from testbed.model import Host
from testbed.model.errors import LabError, Unsupported
from testbed.observe.trace.trace_events import Moved, read_recording
from testbed.scenario.scenario import Observe

_HELD = 'hold=$0; "$hold" --name "$@" & sleep 0.3; kill -USR1 $!; wait $!'
"""Starts a program held, and lets it go once the recorder must have found it; the `sleep` is not measured."""


def recorder(run_id: str) -> tuple[str, ...]:
    """Return the recorder's arguments: the programs' calls and nothing else."""
    return command(run_id, buffer=Observe().kernel_buffer, arrivals=False, connections=False, calls=True)


def held(run_id: str, host: Host, hold: str = f"{TOOLS_DIRECTORY}/hold") -> tuple[str, ...]:
    """Return what a command begins with so that its calls are recorded as those of ``host``'s program."""
    return ("sh", "-c", _HELD, hold, held_name(run_id, host))


def begin(channel: Channel, path: Path) -> Witness:
    """Return the recording once it is ready. Raises Unsupported where calls cannot be traced."""
    witness = Witness(channel, path)
    refusal = witness.wait_ready() or witness.wait_calls()
    if refusal is not None:
        raise refusal
    if witness.why_no_calls():
        raise Unsupported(witness.why_no_calls())
    return witness


def end(witness: Witness, least: int) -> None:
    """End a recording; LabError where it has not ``least`` calls that moved bytes, or has lost some."""
    witness.stop()
    witness.close()
    recorded = read_recording(witness.path)
    seen = sum(isinstance(event, Moved) for event in recorded.events())
    if recorded.lost or seen < least:
        raise LabError(f"the trace has {seen} of {least} calls, and lost {recorded.lost} events")


@contextmanager
def recording_here(program: Path, least: int) -> Iterator[str]:
    """Record here with the recorder ``program``; yields the run's id. ``least``: calls that must be there."""
    run_id = new_run_id()
    ours, theirs = socket.socketpair()
    with tempfile.TemporaryDirectory(prefix="bothends-bench-") as made, (Path(made) / "errors").open("w+b") as words:
        with theirs:
            process = subprocess.Popen(
                [program, *recorder(run_id)], stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=words
            )
        channel = SocketChannel(ours, words)
        try:
            witness = begin(channel, Path(made) / "recording")
            yield run_id
            end(witness, least)
        finally:
            channel.close()
            process.wait(30)
            channel.release()


def run_here(run_id: str, hold: Path, argv: Sequence[str]) -> str:
    """Run a command traced, on this machine; return its output."""
    words = [*held(run_id, "client", str(hold)), *argv]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout
