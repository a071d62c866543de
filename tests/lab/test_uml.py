"""Kernels of our own: the same run twice, hours in a second, and what is left when a kernel or its runner dies."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.lab.choose_engine import UML
from testbed.lab.uml import kernel_store
from testbed.lab.uml.guest import Guest, GuestDied
from testbed.model.errors import LabError, LabTimeout

from .conftest import LIMIT, OWN_KERNEL, ROOT, Invoke, command, invoke_in
from .coverage import uncovered_bytes, unexplained_packets
from .test_scenarios import VIRTUAL

BAD = ("tests.lab.uml_workers",)
PROBE = ("testbed.lab.uml.probe_guest",)
SAME = ("client.pcap", "server.pcap", "link.jsonl", "client.calls.jsonl", "server.calls.jsonl")


@pytest.fixture
def invoke(own_kernel: kernel_store.Kernel, tmp_path: Path) -> Invoke:
    """Run a task on a kernel of our own."""
    del own_kernel  # that there is one
    return invoke_in(tmp_path, UML)


def _runs(root: Path, name: str) -> list[Path]:
    return sorted(path.parent for path in (root / "runs" / name).glob("*-*/result.json"))


def _manifest(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "manifest.json").read_text())
    return found


@pytest.mark.parametrize("runs", [3, pytest.param(100, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])])
def test_the_same_run_is_the_same_to_the_nanosecond(invoke: Invoke, tmp_path: Path, runs: int) -> None:
    """Numbers, ports, addresses and times are those of the seed; another seed has others."""
    for _ in range(runs):
        done = invoke("run", "lost-tail", "--kernel", OWN_KERNEL)
        assert done.code == 0, done.out + done.err
    first, *others = _runs(tmp_path, "lost-tail")
    assert len(others) == runs - 1
    for file in SAME:
        for other in others:
            assert (first / file).read_bytes() == (other / file).read_bytes(), file
    manifest = _manifest(first)
    assert manifest["deterministic"] is True
    assert manifest["engine"]["name"] == UML
    assert manifest["engine"]["kernel"].startswith(OWN_KERNEL)
    assert manifest["engine"]["clock"] == "virtual"
    assert invoke("run", "lost-tail", "--set", "seed=2").code == 0
    (reseeded,) = (path for path in (tmp_path / "runs").rglob("client.pcap") if "campaigns" in path.parts)
    assert reseeded.read_bytes() != (first / "client.pcap").read_bytes()


def test_what_nobody_waits_for_passes(invoke: Invoke, tmp_path: Path) -> None:
    """The scenarios for virtual time, in one kernel that stays up: every packet has a cause, every byte its segment."""
    done = invoke("run", *VIRTUAL, "--jobs", "1", "--keep", "all")
    assert done.code == 0, done.out + done.err
    found = sorted((tmp_path / "runs").rglob("result.json"))
    assert len(found) == len(VIRTUAL) > 5
    for path in found:
        result = json.loads(path.read_text())
        assert result["outcome"] == "pass", path
        assert unexplained_packets(result) == []
        assert uncovered_bytes(result) == []
    deterministic = [_manifest(path.parent)["deterministic"] for path in found]
    assert deterministic.count(True) == 1, "only the first run of a kernel is the same each time"


def test_a_kernel_that_is_not_there_is_unsupported(invoke: Invoke) -> None:
    done = invoke("run", "nagle", "--kernel", "5.99")
    assert done.code == 4
    assert "invoke kernels build 5.99" in done.err


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
    assert "the kernel of our own ended" in _manifest(capture.parent)["error"]


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


# By hand: in real time, in one kernel


@pytest.fixture
def lab(invoke: Invoke, tmp_path: Path) -> Iterator[str]:
    """A lab that is up; its run id."""
    done = invoke("up", "connect-send-close")
    assert done.code == 0, done.err
    yield done.out.split()[1]
    if list((tmp_path / "runs" / ".labs").glob("*.json")):
        invoke("down")


def test_by_hand(lab: str, invoke: Invoke, tmp_path: Path) -> None:
    """`up`, two programs started through `shell`, `down`: captured, observed, joined like any run, in real time."""
    script = "exec 3<>/dev/tcp/server/10011; cat >&3"
    listen = "import socket; s = socket.create_server(('', 10011)); c, _ = s.accept(); print(c.recv(99))"
    words = command("shell", "server", "--command", f'/usr/bin/python3 -c "{listen}"', "--runs", str(tmp_path))
    with subprocess.Popen(words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as server:
        client = invoke("shell", "client", "--command", f"bash -c 'until {script}; do sleep 0.05; done'", stdin="hello")
        assert client.code == 0, client.err
        out, _ = server.communicate(timeout=LIMIT)
    assert "b'hello'" in out
    (release,) = invoke("shell", "client", "--command", "uname -r").out.split()
    assert release == kernel_store.choose_kernel("").about.release
    down = invoke("down", "--json")
    assert down.code == 0, down.out + down.err
    rows = [row for row in down.json["ledger"] if row["sender"] == "client" and row["sent"]["bytes"]]
    assert [row["read"]["bytes"] for row in rows] == [5]
    assert any("cat" in call["program"] for call in down.json["hosts"]["client"]["calls"])
    latest = tmp_path / "runs/connect-send-close/latest"
    assert latest.resolve().name.endswith(lab)
    assert _manifest(latest)["engine"]["clock"] == "real"
    assert invoke("down").code == 2


def test_stepping_shows_each_call_and_its_packets(invoke: Invoke) -> None:
    """The person outside lets calls go that are made inside."""
    done = invoke("step", "own-program", stdin="\nskip to close\ncontinue\n")
    assert done.code == 0, done.out + done.err
    text = done.out[: done.out.index("own-program: PASS")]
    assert re.search(r"client: client\.c:\d+ connect\(3, .*:10011\)\n> +=", text)
    assert re.search(r"client S  .*opens the connection\n.*server S\..*\n.*client \.  ", text)
    assert len(re.findall(r"send\(3, 'c', 1\)\n(?:> )?  = 1\n.*client P\. \"c\"", text)) == 2
    assert text.count("> ") == 3


def test_stepping_can_be_left(invoke: Invoke) -> None:
    done = invoke("step", "own-program", stdin="\nquit\n")
    assert done.code == 0, done.out + done.err
    assert "what was captured is in" in done.out
    assert "send(" not in done.out


@pytest.mark.usefixtures("lab")
def test_shell_on_a_terminal(tmp_path: Path) -> None:
    """On a terminal `shell` is a real one: what is typed is run, the size is known, it is left as it was."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (33, 99))
    before = termios.tcgetattr(slave)
    with subprocess.Popen(
        command("shell", "client", "--runs", str(tmp_path)), cwd=ROOT, stdin=slave, stdout=slave, stderr=slave
    ) as shell:
        os.write(master, b"stty size; echo $((6 * 7)) from $(hostname); exit\n")
        printed = b""
        while b"42 from client" not in printed:
            printed += os.read(master, 4096)
        assert shell.wait(LIMIT) == 0
    assert b"33 99" in printed
    assert termios.tcgetattr(slave) == before
    os.close(master)
    os.close(slave)


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
