"""Bad luck with a kernel of our own: it dies, panics, hangs, is refused what it needs, or its runner is killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from testbed.lab.choose_engine import UML
from testbed.lab.uml import kernel_store
from testbed.lab.uml.guest import Guest, GuestDied
from testbed.model.errors import LabError, LabTimeout

from .conftest import LIMIT, OWN_KERNEL, ROOT, command

BAD = ("tests.lab.uml_workers",)
PROBE = ("testbed.lab.uml.probe_guest",)


def test_a_kernel_that_dies_says_so(own_kernel: kernel_store.Kernel) -> None:
    guest = Guest(own_kernel, PROBE, lambda _: None, first=b"?")
    assert guest.answer(lambda _: None).decode() == own_kernel.about.release
    os.kill(guest.kernel_pid(), signal.SIGKILL)
    with pytest.raises(GuestDied) as died:
        guest.order(b"?", lambda _: None)
    assert "137" in died.value.state
    assert not guest.is_up


@pytest.mark.usefixtures("own_kernel")
def test_what_was_captured_is_kept_when_a_kernel_dies(tmp_path: Path) -> None:
    """The run is inconclusive, shows the state and the kernel's last lines, and its directory has the packets."""
    path = tmp_path / "waits.yaml"
    path.write_text(
        "summary: It waits.\ntimeout: 300s\nserver: {steps: [listen: 10011, accept: , recv_all: ]}\n"
        "client: {steps: [connect: 'server:10011', send: hello, sleep: 200s]}\n"
    )
    words = ("run", str(path), "--runs", str(tmp_path), "--engine", UML, "--kernel", OWN_KERNEL, "--real-time")
    with subprocess.Popen(command(*words), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        while not any(b"hello" in found.read_bytes() for found in tmp_path.rglob("server.pcap")):
            assert process.poll() is None
            time.sleep(0.1)
        (kernel,) = _kernels_of(process.pid)
        os.kill(kernel, signal.SIGKILL)
        out, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == 3, out
    assert b"the kernel of our own ended" in out
    assert b"kept: " in out
    (capture,) = tmp_path.rglob("server.pcap")
    assert b"hello" in capture.read_bytes()
    assert "the kernel of our own ended" in json.loads((capture.parent / "manifest.json").read_text())["error"]


def _kernels_of(runner: int) -> list[int]:
    """Return the kernels that a process has started: its children's children."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    return [pid for pid, parent in parents.items() if parents.get(parent) == runner]


def test_a_worker_that_fails_leaves_its_words(own_kernel: kernel_store.Kernel) -> None:
    guest = Guest(own_kernel, ("testbed.no_such_module",), lambda _: None, first=b"?")
    with pytest.raises(LabError) as died:
        guest.answer(lambda _: None)
    assert "no_such_module" in died.value.last_output


def test_a_kernel_that_panics_leaves_its_last_lines(own_kernel: kernel_store.Kernel) -> None:
    guest = Guest(own_kernel, (*BAD, "panic"), lambda _: None, first=b"?")
    with pytest.raises(GuestDied) as died:
        guest.answer(lambda _: None)
    assert "panic" in died.value.last_output.lower()
    assert not guest.is_up


def test_a_kernel_that_hangs_is_ended(own_kernel: kernel_store.Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("testbed.lab.uml.guest.HANG_TIMEOUT", 10.0)
    guest = Guest(own_kernel, (*BAD, "hang"), lambda _: None, first=b"?")
    with pytest.raises(LabTimeout, match="hangs"):
        guest.answer(lambda _: None)
    assert not guest.is_up


@pytest.mark.parametrize(
    ("refused", "code", "said"),
    [
        ("ptrace", 4, ("does not let a program trace its own children", "seccomp", "seccomp=unconfined")),
        ("memory", 4, ("its memory, 640 MB", "ulimit -v")),
    ],
)
def test_a_machine_that_refuses_what_a_kernel_needs(
    own_kernel: kernel_store.Kernel, tmp_path: Path, refused: str, code: int, said: tuple[str, ...]
) -> None:
    """The run says what the machine refuses and what to do: ptrace by a seccomp filter, memory by a limit."""
    del own_kernel  # that there is one
    words = ("run", "nagle", "--engine", UML, "--kernel", OWN_KERNEL, "--runs", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-m", "tests.lab.refusing", refused, *command(*words)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    for words_of_it in said:
        assert words_of_it in done.stdout + done.stderr


def test_nothing_is_left_of_a_kernel_whose_runner_is_killed(own_kernel: kernel_store.Kernel) -> None:
    program = (
        "import sys, time\n"
        "from testbed.lab.uml.guest import Guest\n"
        "from testbed.lab.uml.kernel_store import choose_kernel\n"
        f"guest = Guest(choose_kernel({OWN_KERNEL!r}), {PROBE!r}, lambda _: None, first=b'?')\n"
        "guest.answer(lambda _: None)\n"
        "print(guest.kernel_pid(), flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) as runner:
        assert runner.stdout is not None
        group = os.getpgid(int(runner.stdout.readline()))
        assert _processes_of(group, own_kernel)
        runner.kill()
    deadline = time.monotonic() + 20
    while _processes_of(group, own_kernel) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _processes_of(group, own_kernel) == []


def _processes_of(group: int, kernel: kernel_store.Kernel) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(path.name)) == group and str(kernel.program) in (path / "cmdline").read_text():
                found.append(int(path.name))
        except OSError:
            continue
    return found
