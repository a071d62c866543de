"""The witness on the real engines: the three ways to a RST, a look-alike, a timeout, and what killed runs leave."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import pytest

from testbed.lab.engines import DOCKER, NAMESPACE
from testbed.lab.identity import owner
from testbed.lab.witness import PREFIX, instance_name
from testbed.lab.witness_instances import on_this_machine

from .conftest import Invoke, both_engines
from .coverage import untold

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root may read the kernel's trace")


def witnessed(invoke: Invoke, name: str) -> dict[str, Any]:
    done = invoke("run", name, "--witness", "--json")
    assert done.code == 0, done.out + done.err
    result: dict[str, Any] = done.json
    assert result["kernel"] is not None, result["notes"]
    assert untold(result) == []
    return result


@root_only
@both_engines
@pytest.mark.parametrize(
    ("name", "rule", "reason"),
    [
        ("linger-zero", "reset-linger", "TCP_STATE"),
        ("server-reads-once", "reset-unread", "TCP_ABORT_ON_CLOSE"),
        ("closed-port", "closed-port", "NO_SOCKET"),
    ],
)
def test_the_kernels_reason_of_a_reset(invoke: Invoke, name: str, rule: str, reason: str) -> None:
    """SO_LINGER 0, unread bytes and a port nobody listens on: the kernel confirms each, with its own reason."""
    result = witnessed(invoke, name)
    (packet,) = (each for each in result["crossings"] if each["cause"]["rule"] == rule)
    assert packet["kernel"]["agreement"] == "confirmed"
    assert [(event["packets"], event["reason"]) for event in result["kernel"]["resets"]] == [([packet["n"]], reason)]


@root_only
@both_engines
def test_the_look_alike_is_a_retransmission(invoke: Invoke) -> None:
    """tshark says keep-alive, we say tail-loss probe; the kernel retransmitted it, and its peer dropped it as old."""
    result = witnessed(invoke, "keepalive-lookalike")
    (packet,) = (each for each in result["crossings"] if each["cause"]["rule"] == "tail-loss-probe")
    assert "keep_alive" in packet["labels"]["client"]
    assert packet["kernel"]["agreement"] == "confirmed"
    kernel = result["kernel"]
    assert [event["packets"] for event in kernel["retransmissions"]] == [[packet["n"]]]
    (drop,) = kernel["drops"]
    assert (drop["host"], drop["packets"], drop["reason"]) == ("server", [packet["n"]], "TCP_OLD_DATA")
    # Empty where other drops on this machine filled the second buffer, which names places.
    assert not drop["place"] or drop["place"].startswith("tcp_")


@root_only
@both_engines
def test_a_timeout_enters_the_loss_state(invoke: Invoke) -> None:
    result = witnessed(invoke, "lost-first-data")
    (packet,) = (each for each in result["crossings"] if each["cause"]["rule"] == "timeout")
    assert packet["kernel"]["said"] == "tcp_retransmit_skb right after it entered the Loss state"
    assert packet["kernel"]["cwnd"] == 1


@root_only
@pytest.mark.parametrize(("invoke", "docker"), [(DOCKER, True), (NAMESPACE, False)], indirect=["invoke"])
def test_clean_removes_only_what_dead_runs_left(invoke: Invoke, *, docker: bool) -> None:
    """An instance whose runner is gone goes; that of a live one, and another machine's, stay. Docker or not."""
    run = on_this_machine()
    assert run is not None
    boot, pid, start = owner().split("/")
    dead, alive = f"{PREFIX}0badcafe-{boot}.{pid}.{int(start) + 1}", instance_name("00a11ce0")
    other = f"{PREFIX}0ddba115-other-machine.1.1"
    recorders = [_record(name) for name in (dead, alive, other)]
    try:
        for recorder in recorders:
            with recorder:  # closes its pipes
                recorder.kill()
        assert {dead, alive, other} <= set(run(["list"]).split())
        done = invoke("clean", env={} if docker else {"DOCKER_HOST": "unix:///nonexistent.sock"})
        assert done.code == 0
        assert ("Docker was not reached" in done.err) is not docker
        assert f"removed trace instance {dead}\n" in done.out, done.out + done.err
        left = set(run(["list"]).split())
        assert {alive, other} <= left
        assert dead not in left
    finally:
        for name in (dead, alive, other):
            for instance in (name, f"{name}.names"):
                run(["remove", instance])


def _record(name: str) -> subprocess.Popen[bytes]:
    """Start a recorder with an instance of this name, and return when it records."""
    from testbed.lab.namespace import toolchain

    program = str(toolchain.provide(lambda _: None).witness)
    words = [program, "record", name, "64", "sock/inet_sock_set_state"]
    recorder = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert recorder.stdout is not None
    seen = b""
    while b"R\0\0\0\0" not in seen:
        part = os.read(recorder.stdout.fileno(), 1 << 16)
        assert part, seen
        seen += part
    return recorder
