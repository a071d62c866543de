"""Kernels of our own: the same run twice, hours in a second, and what is left when a kernel or its runner dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from testbed.lab.choose_engine import UML
from testbed.lab.uml import kernel_store
from testbed.lab.uml.guest import Guest, GuestDied
from testbed.model.errors import LabError

from .conftest import ROOT, Invoke, invoke_in
from .coverage import uncovered_bytes, unexplained_packets
from .test_scenarios import VIRTUAL

VERSION = "6.12"
PROBE = ("testbed.lab.uml.probe_guest",)
SAME = ("client.pcap", "server.pcap", "link.jsonl", "client.calls.jsonl", "server.calls.jsonl")


@pytest.fixture(scope="module")
def kernel() -> kernel_store.Kernel:
    """A kernel in the user's cache; where there is none these tests are skipped."""
    found = kernel_store.find(VERSION)
    if found is None:
        pytest.skip(f"no kernel of our own: `invoke kernels build {VERSION}`")
    return found


@pytest.fixture
def invoke(kernel: kernel_store.Kernel, tmp_path: Path) -> Invoke:
    """Run a task on a kernel of our own."""
    del kernel  # that there is one
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
        done = invoke("run", "lost-tail", "--kernel", VERSION)
        assert done.code == 0, done.out + done.err
    first, *others = _runs(tmp_path, "lost-tail")
    assert len(others) == runs - 1
    for file in SAME:
        for other in others:
            assert (first / file).read_bytes() == (other / file).read_bytes(), file
    manifest = _manifest(first)
    assert manifest["deterministic"] is True
    assert manifest["engine"]["name"] == UML
    assert manifest["engine"]["kernel"].startswith(VERSION)
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


def test_a_kernel_that_dies_says_so(kernel: kernel_store.Kernel) -> None:
    guest = Guest(kernel, PROBE, lambda _: None, first=b"?")
    assert guest.answer(lambda _: None).decode() == kernel.about.release
    os.kill(guest.kernel_pid(), signal.SIGKILL)
    with pytest.raises(GuestDied) as died:
        guest.order(b"?", lambda _: None)
    assert "137" in died.value.state
    assert not guest.is_up


def test_a_worker_that_fails_leaves_its_words(kernel: kernel_store.Kernel) -> None:
    guest = Guest(kernel, ("testbed.no_such_module",), lambda _: None, first=b"?")
    with pytest.raises(LabError) as died:
        guest.answer(lambda _: None)
    assert "no_such_module" in died.value.last_output


def test_nothing_is_left_of_a_kernel_whose_runner_is_killed(kernel: kernel_store.Kernel) -> None:
    program = (
        "import sys, time\n"
        "from testbed.lab.uml.guest import Guest\n"
        "from testbed.lab.uml.kernel_store import choose_kernel\n"
        f"guest = Guest(choose_kernel({VERSION!r}), {PROBE!r}, lambda _: None, first=b'?')\n"
        "guest.answer(lambda _: None)\n"
        "print(guest.kernel_pid(), flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) as runner:
        assert runner.stdout is not None
        group = os.getpgid(int(runner.stdout.readline()))
        assert _processes_of(group, kernel)
        runner.kill()
    deadline = time.monotonic() + 20
    while _processes_of(group, kernel) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _processes_of(group, kernel) == []


def _processes_of(group: int, kernel: kernel_store.Kernel) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(path.name)) == group and str(kernel.program) in (path / "cmdline").read_text():
                found.append(int(path.name))
        except OSError:
            continue
    return found
