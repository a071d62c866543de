"""Bad scenarios, programs that fail or hang, full disks: each gets a clear message and the right exit code."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Invoke, both_engines, docker_slow
from .hanging import HANGS, run_directory

Scenario = Callable[..., str]


def test_unknown_scenario(invoke: Invoke) -> None:
    """A name that does not exist is bad use; the nearest one is suggested."""
    done = invoke("run", "conect-send-close")
    assert done.code == 2
    assert "did you mean connect-send-close" in done.err


@pytest.mark.parametrize(
    ("text", "places", "says"),
    [
        (
            "summary: x\nserver: {steps: [{lisen: 10011}]}\nclient: {steps: [{send: no}]}\n",
            [":2:19", ":3:25"],
            "did you mean `listen`?",
        ),
        ("summary: x\nserver: {steps: [{listen: 10011}\nclient: {steps: []}\n", [":3:"], "expected"),
    ],
    ids=["two wrong steps", "syntax"],
)
def test_broken_yaml(
    invoke: Invoke, scenario: Scenario, tmp_path: Path, text: str, places: list[str], says: str
) -> None:
    """A scenario that cannot be read is bad use; every problem with line, column and caret; nothing was started."""
    done = invoke("run", scenario(text))
    assert done.code == 2
    for place in places:
        assert f".yaml{place}" in done.err
    assert "^" in done.err
    assert says in done.err
    assert not (tmp_path / "runs").exists()


@docker_slow
def test_program_not_found(invoke: Invoke, scenario: Scenario, tmp_path: Path) -> None:
    """A program that the image lacks: named with its image, exit 2; the manifest keeps the error."""
    done = invoke(
        "run",
        scenario(
            "summary: x\nserver: {steps: [{listen: 10011}, {accept: }]}\nclient: {command: [no-such-program, --x]}\n"
        ),
    )
    assert done.code == 2
    assert "cannot execute `no-such-program` in image `host`" in done.err
    assert "`invoke shell client`" in done.err
    assert "no-such-program" in (run_directory(tmp_path) / "manifest.json").read_text()


@docker_slow
def test_a_sysctl_value_that_the_kernel_refuses(invoke: Invoke, scenario: Scenario) -> None:
    """Exit 2 with the scenario's line, whichever engine found out."""
    text = "summary: x\nserver: {steps: [{sleep: 1ms}]}\nclient:\n  steps: [{sleep: 1ms}]\n"
    path = scenario(text + "  sysctl: {net.ipv4.tcp_syn_retries: 300}\n")
    done = invoke("run", path)
    assert done.code == 2, done.out + done.err
    assert f"{path}:5:38: the kernel takes no such value for `net.ipv4.tcp_syn_retries`" in done.err.replace("\n", "")


@docker_slow
def test_crash(invoke: Invoke, scenario: Scenario) -> None:
    """A program killed by a signal: fail, with the signal; the bytes it had sent are in the ledger."""
    done = invoke(
        "run",
        "--json",
        scenario(
            "summary: x\nserver: {steps: [{listen: 10011}, {accept: }, {recv_all: }]}\n"
            "client: {command: [bash, -c, 'exec 3<>/dev/tcp/{server}/10011; echo hello >&3; kill -SEGV $$']}\n"
        ),
    )
    assert done.code == 1
    assert any("SIGSEGV" in reason for reason in done.json["reasons"])
    assert [row["read"]["bytes"] for row in done.json["ledger"] if row["sender"] == "client"] == [6]


@both_engines
def test_hang(invoke: Invoke, scenario: Scenario) -> None:
    """A program that hangs is stopped at the scenario's time limit: fail, and still everything is captured."""
    for timeout in ("3s", "40s"):  # on a machine so busy that nothing was sent by then, later
        done = invoke("run", "--json", scenario(HANGS.format(timeout=timeout)))
        assert done.code == 1
        assert any("still running when the time was over" in reason for reason in done.json["reasons"])
        arrived = [row["arrived"]["bytes"] for row in done.json["ledger"] if row["sender"] == "client"]
        if arrived == [5]:
            break
    assert arrived == [5]
    calls = [call for host in done.json["hosts"].values() for call in host["calls"]]
    blocked = [call["name"] for call in calls if call["end_ns"] is None and call["name"] != "exit"]
    assert blocked in (["recv", "recv"], ["recv"])  # the end of the first may let the other's call return


@both_engines
def test_flood_of_output(invoke: Invoke, scenario: Scenario, tmp_path: Path) -> None:
    """40 MiB of output neither block the program nor fill the disk: 16 MiB are kept, and it is said."""
    done = invoke(
        "run",
        "--json",
        scenario(
            "summary: x\nserver: {steps: [{listen: 10011}, {accept: }, {recv_all: }]}\n"
            "client: {command: [bash, -c, 'head -c 41943040 /dev/zero; exec 3<>/dev/tcp/{server}/10011']}\n"
        ),
    )
    assert done.code == 0, done.err
    assert (run_directory(tmp_path) / "client.out").stat().st_size == 16 << 20
    assert [program["output_truncated"] for program in done.json["programs"] if program["host"] == "client"] == [True]


@docker_slow
def test_port_in_use(invoke: Invoke, scenario: Scenario) -> None:
    """A step that fails is named with its errno and what the scenario expected."""
    done = invoke(
        "run",
        scenario(
            "summary: x\nserver: {steps: [{listen: 10011}, {listen: {port: 10011}, as: again}]}\n"
            'client: {steps: [{connect: "server:10011"}]}\n'
        ),
    )
    assert done.code == 1
    assert "EADDRINUSE" in done.out
    assert "expected success" in done.out


@docker_slow
def test_barrier_where_nobody_comes(invoke: Invoke, scenario: Scenario) -> None:
    """A host whose peer dies before the barrier is not left waiting until the time is over."""
    done = invoke(
        "run",
        scenario(
            "summary: x\ntimeout: 3m\nserver: {steps: [{listen: 10011}, {barrier: here}]}\n"
            'client: {steps: [{connect: "server:10011"}, {send: x, error: EPIPE}, {barrier: here}]}\n'
        ),
    )
    assert done.code == 1, done.out + done.err
    assert "expected EPIPE" in done.out
    assert "the other program had failed" in done.out


@both_engines
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
def test_disk_full(invoke: Invoke, tmp_path: Path) -> None:
    """A capture that no longer fits on the disk: never pass, the reason is said, what fitted is kept."""
    small = tmp_path / "runs"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(small)], check=True)
    try:
        done = invoke("run", "large-transfer")
        assert done.code == 3
        assert "No space left" in done.out + done.err
        captures = [run_directory(tmp_path, "large-transfer") / f"{host}.pcap" for host in ("client", "server")]
        assert sum(capture.stat().st_size for capture in captures) > 500_000
    finally:
        subprocess.run(["umount", str(small)], check=True)
