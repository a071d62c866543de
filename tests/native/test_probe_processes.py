"""The real probe in programs with threads, children, signals, other users, and a sudden end."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from pathlib import Path

import pytest

from .probing import NEEDS_PROBE, Probe, named, sock

pytestmark = NEEDS_PROBE


PYTHON = """
import socket, threading
listener = socket.create_server(("127.0.0.1", 0))
def serve():
    peer, _ = listener.accept()
    while data := peer.recv(4096):
        peer.sendall(data)
    peer.close()
thread = threading.Thread(target=serve)
thread.start()
client = socket.create_connection(listener.getsockname())
client.sendall(b"hello")
got = client.recv(5, socket.MSG_WAITALL)
client.close()
thread.join()
listener.close()
print(got)
"""


def test_a_python_program_is_seen_in_its_threads(probe: Probe) -> None:
    assert probe.run(sys.executable, "-c", PYTHON).stdout == "b'hello'\n"
    result = probe.complete()
    out = b"".join(c.data for c in result.calls if c.direction == "out")
    taken = b"".join(c.data for c in result.calls if c.direction == "in")
    assert (out, taken) == (b"hellohello", b"hellohello")
    assert len({call.tid for call in result.calls}) == 2
    assert len({call.pid for call in result.calls}) == 1


def test_a_killed_process_leaves_its_log_and_the_call_in_which_it_hung(probe: Probe) -> None:
    script = """
import socket
listener = socket.create_server(("127.0.0.1", 0))
one = socket.create_connection(listener.getsockname())
two, _ = listener.accept()
one.sendall(b"x")
two.recv(1)
two.recv(5)
"""
    with probe.start(sys.executable, "-c", script) as process:
        while not any(c.args["size"] == 5 for c in named(probe.decode().calls, "recv")):
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    result = probe.complete()
    hung = result.calls[-1]
    assert (hung.name, hung.args["size"], hung.end, hung.length, hung.errno) == ("recv", 5, None, 0, None)
    assert [c.data for c in result.calls if c.direction] == [b"x", b"x", b""]
    assert result.processes[0].ended == "unknown"


def test_a_forked_child_has_a_log_of_its_own_and_exec_begins_another(probe: Probe) -> None:
    script = """
import os, socket, sys
a, b = socket.socketpair()
child = os.fork()
if child == 0:
    a.send(b"child")
    os.execv(sys.executable, [sys.executable, "-c", "import os; os._exit(3)"])
os.waitpid(child, 0)
b.recv(5)
"""
    probe.run(sys.executable, "-c", script)
    result = probe.complete()
    parent, child, image = sorted(result.processes, key=lambda process: process.start)
    assert (parent.ended, parent.status) == ("exit", 0)
    assert (child.parent, child.ended, child.end) == (parent.pid, "exec", image.start)
    assert (image.pid, image.ended, image.status) == (child.pid, "exit", 3)
    sent, received = named(result.calls, "send", "recv")
    assert (sent.pid, received.pid) == (child.pid, parent.pid)
    assert str(sent.caller).startswith("/"), "a child knows its parent's modules"
    assert named(result.calls, "fork")[0].result == child.pid


def test_threads_lose_no_record(probe: Probe) -> None:
    probe.run("probe_hard", "threads")
    result = probe.complete()
    sends = named(result.calls, "send")
    assert len(sends) == 16000
    per_thread = {tid: [c.data[0] for c in sends if c.tid == tid] for tid in {c.tid for c in sends}}
    assert list(per_thread.values()) == [[i % 256 for i in range(2000)]] * 8


def test_calls_of_a_signal_handler_in_the_middle_of_calls_are_logged(probe: Probe) -> None:
    alarms = int(probe.run("probe_hard", "handler").stdout)
    result = probe.complete()
    sends = named(result.calls, "send")
    assert sum(c.errno == "EBADF" for c in sends) == alarms
    assert sum(c.data == b"m" for c in sends) == len(named(result.calls, "recv")) >= 20000


def test_cancelling_a_thread_in_a_call_works_and_the_call_never_returned(probe: Probe) -> None:
    probe.run("probe_hard", "cancel")
    result = probe.complete()
    assert [c.end for c in named(result.calls, "recv")] == [None]
    assert named(result.calls, "send")[0].data == b"after"


def test_a_child_that_borrows_memory_leaves_its_parents_log_alone(probe: Probe) -> None:
    probe.run("probe_hard", "borrowed")
    result = probe.complete()
    parent = result.processes[0].pid
    sends = named(result.calls, "send")
    assert [(c.pid, c.data) for c in sends] == [(parent, b"parent")] * 2
    assert sock(sends[0]).cookie == sock(named(result.calls, "socketpair")[0]).cookie
    assert not named(result.calls, "close", "dup2")


def test_a_clone_that_runs_no_fork_handlers_has_its_log(probe: Probe) -> None:
    probe.run("probe_hard", "cloned")
    result = probe.complete()
    assert {(c.pid == result.processes[0].pid, c.data) for c in named(result.calls, "send")} == {
        (False, b"child"),
        (True, b"parent"),
    }


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root to become another user")
def test_a_program_that_gives_up_its_rights_is_still_logged(probe_build: Path) -> None:
    """Its log goes on growing, and its child opens one. (pytest's own directories keep other users out.)"""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        logs = Path(folder) / "logs"
        logs.mkdir()
        logs.chmod(0o1777)
        probe = Probe(probe_build, logs)
        probe.run("probe_hard", "nobody")
        result = probe.complete()
    assert [c.data for c in named(result.calls, "send")] == [b"x"] * 2000 + [b"child"]
