"""A lab by hand, and what a lab may and may not do: privileges, ways out, what it is made of."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest

from testbed.lab.choose_engine import DOCKER
from testbed.lab.identity import RUN_LABEL

from .conftest import LIMIT, ROOT, Invoke, command, invoke_in


@pytest.fixture
def lab(invoke: Invoke, tmp_path: Path) -> Iterator[str]:
    """A lab that is up; its run id."""
    done = invoke("up", "connect-send-close")
    assert done.code == 0, done.err
    yield done.out.split()[1]
    if list((tmp_path / "runs" / ".labs").glob("*.json")):
        invoke("down")


@dataclass(frozen=True)
class Kept:
    """A lab that several tests look at: its run id, where its runs/ are, and `invoke` there."""

    run_id: str
    runs: Path
    invoke: Invoke


@pytest.fixture(scope="module")
def kept(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    del engine  # that there is one
    runs = tmp_path_factory.mktemp("kept")
    invoke = invoke_in(runs, DOCKER)
    done = invoke("up", "connect-send-close")
    assert done.code == 0, done.err
    yield Kept(done.out.split()[1], runs, invoke)
    assert invoke("down").code == 0


def test_by_hand(lab: str, invoke: Invoke, engine: docker.DockerClient, tmp_path: Path) -> None:
    """`up`, two programs started by hand through `shell`, `down`: captured, observed, joined like any run."""
    server = invoke("shell", "server", "--command", "setsid nc -d -l 5000 > /tmp/got 2>&1 &")
    assert server.code == 0, server.err
    client = invoke("shell", "client", "--command", "until echo hello | nc -N server 5000; do sleep 0.1; done")
    assert client.code == 0, client.err
    got = invoke("shell", "server", "--command", "cat /tmp/got")
    assert got.out.strip() == "hello"
    down = invoke("down", "--json")
    assert down.code == 0, down.out + down.err
    result = down.json
    rows = [row for row in result["ledger"] if row["sender"] == "client" and row["sent"]["bytes"]]
    assert [row["arrived"]["bytes"] for row in rows] == [6]
    assert any(call["program"].endswith("nc.openbsd") for call in result["hosts"]["client"]["calls"])
    assert engine.api.containers(all=True, filters={"label": f"{RUN_LABEL}={lab}"}) == []
    assert (tmp_path / "runs/connect-send-close/latest").resolve().name.endswith(lab)
    assert invoke("down").code == 2


def test_shell_on_a_terminal(kept: Kept) -> None:
    check_shell_on_a_terminal(kept.runs)


def check_shell_on_a_terminal(runs: Path) -> None:
    """On a terminal `shell` is a real one: what is typed is run, the size is known, it is left as it was."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (33, 99))
    before = termios.tcgetattr(slave)
    with subprocess.Popen(
        command("shell", "client", "--runs", str(runs)), cwd=ROOT, stdin=slave, stdout=slave, stderr=slave
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


def _inspected(engine: docker.DockerClient, lab: str) -> dict[str, Any]:
    return {
        role: engine.api.inspect_container(f"bothends-{lab}-{role}")
        for role in ("client", "server", "client-tap", "server-tap")
    }


def test_least_privilege(kept: Kept, engine: docker.DockerClient) -> None:
    """No privileged container, no bind mount, no docker socket; hosts have no capability, taps exactly two."""
    for role, container in _inspected(engine, kept.run_id).items():
        config = container["HostConfig"]
        assert config["Privileged"] is False
        assert config["CapDrop"] == ["ALL"]
        assert sorted(config["CapAdd"] or []) == (["NET_ADMIN", "NET_RAW"] if role.endswith("tap") else [])
        assert config["SecurityOpt"] == ["no-new-privileges"]
        assert config["ReadonlyRootfs"] is True
        assert not config["Binds"]
        assert [(mount["Type"], mount["RW"]) for mount in container["Mounts"]] == [("volume", False)]
        assert container["Config"]["Labels"][RUN_LABEL] == kept.run_id
        assert not config["PortBindings"]
    status = engine.containers.get(f"bothends-{kept.run_id}-client").exec_run(["grep", "CapEff", "/proc/self/status"])
    assert isinstance(status.output, bytes)
    assert int(status.output.split()[1], 16) == 0


def test_no_way_out(kept: Kept) -> None:
    """From a host nothing but the other host can be reached: no default route, no name server, no engine machine."""
    script = (
        "for a in 172.17.0.1 192.0.2.1; do (echo > /dev/tcp/$a/22) 2>&1 | head -1; done; "
        "ip route; ip -6 route; RES_OPTIONS=timeout:1 getent hosts example.org || echo no name"
    )
    done = kept.invoke("shell", "client", "--command", f"bash -c '{script}'")
    assert done.out.count("Network is unreachable") == 2
    assert "default" not in done.out
    assert "no name" in done.out


def test_network_has_no_address_of_the_engine(kept: Kept, engine: docker.DockerClient) -> None:
    """The link is internal, from 198.18.0.0/15, and the engine's machine has no IPv4 address on it."""
    network = engine.api.inspect_network(f"bothends-{kept.run_id}")
    assert network["Internal"] is True
    assert network["Options"]["com.docker.network.bridge.inhibit_ipv4"] == "true"
    assert network["IPAM"]["Config"][0]["Subnet"].startswith(("198.18.", "198.19."))


def test_several_labs_need_a_name(kept: Kept) -> None:
    """With two labs up, `shell` asks which one; `--lab` chooses."""
    second = kept.invoke("up", "echo").out.split()[1]
    assert kept.invoke("shell", "client", "--command", "true").code == 2
    chosen = kept.invoke("shell", "client", "--command", "cat /etc/hostname", "--lab", second)
    assert chosen.out.strip() == "client"
    assert kept.invoke("down", "--lab", second).code == 0


def test_list_show_images_doctor(invoke: Invoke) -> None:
    """The tasks that only tell: each works, for people and as JSON."""
    listed = json.loads(invoke("list", "--json").out)
    assert {"connect-send-close", "server-reads-once", "curl-nginx"} <= {scenario["name"] for scenario in listed}
    assert "connect-send-close" in invoke("list").out
    assert invoke("show", "echo").out.startswith("# ")
    assert all(image["id"] or image["on_demand"] for image in json.loads(invoke("images", "--json").out))
    findings = {finding["what"]: finding for finding in json.loads(invoke("doctor", "--json").out)}
    assert findings["Docker Engine"]["works"] is True
    assert findings["tap capabilities"]["works"] is True
    assert "kernel: netem" in findings
    assert "kernel: NFQUEUE" in findings
    people = invoke("doctor")
    assert people.code == 0
    assert "Docker Engine" in people.out


@pytest.mark.usefixtures("namespaces")
def test_a_lab_that_is_tied_to_a_process_ends_with_it(tmp_path: Path) -> None:
    """As the labs of a test do (`bothends.lab()`), also where that is killed."""
    ties = (
        "import os, signal; from pathlib import Path; from testbed.run import kept_labs\n"
        "from testbed.api.keeper_process import MODULE\n"
        f"scenario, runs = Path('scenarios/echo.yaml'), Path({str(tmp_path)!r})\n"
        "lab = kept_labs.up(scenario, runs, 'namespace', keeper=MODULE, outlives_us=False)\n"
        "print(lab.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", ties], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    keeper = Path("/proc", done.stdout.strip())
    deadline = time.monotonic() + LIMIT
    while keeper.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not keeper.exists()
    assert list(tmp_path.glob("runs/echo/*/result.json"))
