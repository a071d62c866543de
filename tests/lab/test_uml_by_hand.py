"""A lab by hand on a kernel of our own: in real time, in one kernel."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.lab.uml import kernel_store

from .conftest import LIMIT, ROOT, Invoke, command, on_own_kernel
from .test_by_hand import check_shell_on_a_terminal


@pytest.fixture
def lab(invoke: Invoke, tmp_path: Path) -> Iterator[str]:
    """A lab that is up; its run id."""
    done = invoke("up", "connect-send-close")
    assert done.code == 0, done.err
    yield done.out.split()[1]
    if list((tmp_path / "runs" / ".labs").glob("*.json")):
        invoke("down")


@on_own_kernel
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
    assert json.loads((latest / "manifest.json").read_text())["engine"]["clock"] == "real"
    assert invoke("down").code == 2


@on_own_kernel
def test_stepping_shows_each_call_and_its_packets(invoke: Invoke) -> None:
    """The person outside lets calls go that are made inside."""
    done = invoke("step", "own-program", stdin="\nskip to close\ncontinue\n")
    assert done.code == 0, done.out + done.err
    text = done.out[: done.out.index("own-program: PASS")]
    assert re.search(r"client: client\.c:\d+ connect\(3, .*:10011\)\n> +=", text)
    assert re.search(r"client S  .*opens the connection\n.*server S\..*\n.*client \.  ", text)
    assert len(re.findall(r"send\(3, 'c', 1\)\n(?:> )?  = 1\n.*client P\. \"c\"", text)) == 2
    assert text.count("> ") == 3


@on_own_kernel
def test_stepping_can_be_left(invoke: Invoke) -> None:
    done = invoke("step", "own-program", stdin="\nquit\n")
    assert done.code == 0, done.out + done.err
    assert "what was captured is in" in done.out
    assert "send(" not in done.out


@on_own_kernel
@pytest.mark.usefixtures("lab")
def test_shell_on_a_terminal(tmp_path: Path) -> None:
    check_shell_on_a_terminal(tmp_path)
