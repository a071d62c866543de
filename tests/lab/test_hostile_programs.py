"""A program that takes all it can of its host: the run ends with an outcome that says so, and the next one is well."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Invoke, both_engines, docker_slow
from .test_faults import Scenario

SERVER = "summary: x\nserver: {steps: [{listen: 10011}, {accept: }, {recv_all: }]}\n"
FORK_BOMB = (
    "import os,time\\nwhile True:\\n try: os.fork()\\n except OSError: print(os.getpid(), flush=True); time.sleep(1)"
)
"""It fills its host with processes, which then sleep: other tests run beside it."""
NAMESPACES = (
    "import ctypes as c,os\\nl=c.CDLL(None,use_errno=True)\\n"
    "t=lambda n,*a:(c.set_errno(0),l.syscall(n,*a),print(c.get_errno()))\\n"
    # unshare(CLONE_NEWUSER), mount, bpf, perf_event_open, keyctl
    "t(272,0x10000000)\\nt(165,b'a',b'/tmp',b'tmpfs',0,None)\\nt(321,0,None,0)\\nt(298,None,0,0,0,0)\\nt(250,0,0,0,0,0)\\n"
    "import socket\\nsocket.create_connection(('server',10011))"
)


def client(program: str, *, timeout: str = "") -> str:
    """Return a scenario whose client is a Python program; the text is within a double-quoted YAML string."""
    limit = f"timeout: {timeout}\n" if timeout else ""
    return f'{limit}{SERVER}client: {{image: programs, command: [/usr/bin/python3, -c, "{program}"]}}\n'


@pytest.mark.slow
@both_engines
def test_a_fork_bomb(invoke: Invoke, scenario: Scenario, tmp_path: Path) -> None:
    """It meets the limit of processes and is stopped when the time is up, which is said; nothing of it lives on."""
    done = invoke("run", "--json", scenario(client(FORK_BOMB, timeout="5s")))
    assert done.code == 1, done.out + done.err
    assert any("still running when the time was over" in reason for reason in done.json["reasons"])
    (refused,) = tmp_path.glob("runs/*/2*/client.out")
    assert refused.stat().st_size > 0, "it never met a limit"
    assert invoke("run", "connect-send-close").code == 0


@docker_slow
def test_a_full_tmp(invoke: Invoke, scenario: Scenario, tmp_path: Path) -> None:
    """A file system of a host is full after 512 MiB: the program meets ENOSPC, and its end is the run's outcome."""
    fill = "f=open('/tmp/f','wb')\\nwhile True: f.write(bytes(1<<20))"
    done = invoke("run", "--json", scenario(client(fill, timeout="60s")))
    assert done.code == 1, done.out + done.err
    (errors,) = tmp_path.glob("runs/*/2*/client.err")
    assert "No space left on device" in errors.read_text()
    (ended,) = [program for program in done.json["programs"] if program["host"] == "client"]
    assert ended["exit_status"] == 1


@pytest.mark.parametrize("invoke", ["namespace", pytest.param("docker", marks=pytest.mark.slow)], indirect=True)
def test_what_the_kernel_refuses_a_host(invoke: Invoke, scenario: Scenario, tmp_path: Path) -> None:
    """No namespaces of its own, no mounts, no bpf, no perf, no keys: EPERM each (x86-64's numbers)."""
    invoke("run", "--json", scenario(client(NAMESPACES)))
    (printed,) = tmp_path.glob("runs/*/2*/client.out")
    assert printed.read_text().split() == ["1"] * 5
