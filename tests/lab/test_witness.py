"""The witness on the real engines: the three ways to a RST, a look-alike, a timeout, and what killed runs leave."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import pytest

from testbed.lab.choose_engine import DOCKER, NAMESPACE
from testbed.lab.docker import container_settings, docker_engine, witness_container
from testbed.lab.docker.docker_trace import on_docker
from testbed.lab.engine import Progress
from testbed.lab.identity import OWNER_LABEL, ROLE_LABEL, owner
from testbed.lab.kernel_trace import PREFIX, instance_name
from testbed.lab.namespace.namespace_engine import Namespaces
from testbed.lab.namespace.namespace_trace import on_this_machine
from testbed.model.errors import Unsupported
from testbed.report.json.result_file import result_of
from testbed.run.live_lab import Finished, run
from testbed.scenario.load import load

from .conftest import LIMIT, ROOT, Invoke, both_engines, command, docker_slow
from .coverage import untold, without_stack
from .hanging import wait_until, wait_until_sent

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root may read the kernel's trace")


def witnessed(invoke: Invoke, root: Path, name: str) -> dict[str, Any]:
    """Run a scenario; again where the kernel recorded no stack of a packet, as happens on an idle machine."""
    for _ in range(9):
        done = invoke("run", name, "--witness", "--json")
        assert done.code == 0, done.out + done.err
        result: dict[str, Any] = done.json
        directory = root / "runs" / name / "latest"
        assert result["kernel"] is not None, result["notes"]
        if not without_stack(directory, result):
            break
    assert untold(result, directory) == []
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
def test_the_kernels_reason_of_a_reset(invoke: Invoke, tmp_path: Path, name: str, rule: str, reason: str) -> None:
    """SO_LINGER 0, unread bytes and a port nobody listens on: the kernel confirms each, with its own reason."""
    result = witnessed(invoke, tmp_path, name)
    (packet,) = (each for each in result["crossings"] if each["cause"]["rule"] == rule)
    assert packet["kernel"]["agreement"] == "confirmed"
    assert [(event["packets"], event["reason"]) for event in result["kernel"]["resets"]] == [([packet["n"]], reason)]


@root_only
@docker_slow
def test_the_look_alike_is_a_retransmission(invoke: Invoke, tmp_path: Path) -> None:
    """tshark says keep-alive, we say tail-loss probe; the kernel retransmitted it, and its peer dropped it as old.

    On a busy machine an ACK may come so late that the kernel probes elsewhere too: the look-alike is the first.
    """
    result = witnessed(invoke, tmp_path, "keepalive-lookalike")
    packet = next(each for each in result["crossings"] if each["cause"]["rule"] == "tail-loss-probe")
    assert "keep_alive" in packet["labels"]["client"]
    assert packet["kernel"]["agreement"] == "confirmed"
    kernel = result["kernel"]
    assert [packet["n"]] in [event["packets"] for event in kernel["retransmissions"]]
    drop = next(event for event in kernel["drops"] if event["packets"] == [packet["n"]])
    assert (drop["host"], drop["reason"]) == ("server", "TCP_OLD_DATA")
    assert drop["place"].startswith("tcp_")


@root_only
@docker_slow
def test_a_timeout_enters_the_loss_state(invoke: Invoke, tmp_path: Path) -> None:
    result = witnessed(invoke, tmp_path, "lost-first-data")
    (packet,) = (each for each in result["crossings"] if each["cause"]["rule"] == "timeout")
    assert "tcp_retransmit_timer" in packet["kernel"]["origin"]["functions"]
    assert packet["kernel"]["cwnd"] == 1


CLOSED_PORT = """
summary: A datagram in three fragments to a closed port
server: {steps: [{sleep: 100ms}]}
client: {steps: [{socket: udp}, {send: {size: 4000, to: "server:5000"}}, {sleep: 50ms}, {close: }]}
"""
FULL = """
summary: A receive buffer has room for two of four datagrams
server:
  steps: [{socket: udp}, {setsockopt: {SO_RCVBUF: 2304}}, {bind: ":5000"}, {barrier: sent}, {recv: 2000}, {close: }]
client:
  steps:
    - socket: udp
    - {send: {size: 1000, to: "server:5000"}}
    - {send: {size: 1000, to: "server:5000"}}
    - {send: {size: 1000, to: "server:5000"}}
    - {send: {size: 1000, to: "server:5000"}}
    - {sleep: 50ms}
    - {barrier: sent}
    - close:
"""
CORRUPTED = """
summary: A bit flips in the first of two datagrams
link: {faults: [{corrupt: {from: client, nth: 1}}]}
server: {steps: [{socket: udp}, {bind: ":5000"}, {recv: 2000}, {close: }]}
client:
  steps:
    - socket: udp
    - {send: {size: 1000, to: "server:5000"}}
    - {send: {size: 1000, to: "server:5000"}}
    - close:
"""


@root_only
@docker_slow
@pytest.mark.parametrize(
    ("text", "dropped", "reason", "places"),
    [
        (CLOSED_PORT, [0], "NO_SOCKET", "__udp4_lib_rcv"),
        (FULL, [2, 3], "SOCKET_RCVBUFF", "udp_queue_rcv_one_skb"),
        (CORRUPTED, [0], "UDP_CSUM", "udp_recvmsg __udp4_lib_rcv"),
        pytest.param(f"ip: 6{CLOSED_PORT}", [0], "NO_SOCKET", "__udp6_lib_rcv", marks=pytest.mark.slow),
        pytest.param(f"ip: 6{FULL}", [2, 3], "SOCKET_RCVBUFF", "udpv6_queue_rcv_one_skb", marks=pytest.mark.slow),
        pytest.param(f"ip: 6{CORRUPTED}", [0], "UDP_CSUM", "udpv6_recvmsg __udp6_lib_rcv", marks=pytest.mark.slow),
    ],
)
def test_why_datagrams_that_arrived_were_not_accepted(
    invoke: Invoke, scenario: Callable[[str], str], text: str, dropped: list[int], reason: str, places: str
) -> None:
    """kfree_skb names no address; no socket's packet, or one that no socket took, is known all the same."""
    done = invoke("run", scenario(text), "--witness", "--json")
    assert done.code == 0, done.out + done.err
    drops = done.json["kernel"]["drops"]
    assert [drop["packets"] for drop in drops] == [[number] for number in dropped]
    assert {(drop["host"], drop["reason"]) for drop in drops} == {("server", reason)}
    assert {drop["place"] for drop in drops} <= {*places.split()}
    answers = [each for each in done.json["crossings"] if each["cause"]["rule"] == "icmp-error"]
    assert [each["kernel"]["agreement"] for each in answers] == ["confirmed"] * (reason == "NO_SOCKET")


@pytest.mark.parametrize("demanded", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_an_engine_that_refuses_tracefs(
    engine: docker.DockerClient,
    scenario: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    *,
    demanded: bool,
) -> None:
    """The engine cannot mount what the witness asks for: unsupported where demanded, a note where offered."""
    settings = container_settings.witness_settings(None)
    driver = docker.types.DriverConfig("local", {"type": "no-such-filesystem", "device": "nodev"})
    settings["mounts"] = [docker.types.Mount("/tracing", None, type="volume", driver_config=driver)]
    monkeypatch.setattr(witness_container, "witness_settings", lambda _: settings)
    text = (ROOT / "scenarios/echo.yaml").read_text()
    wanted = load(Path(scenario(f"{text}\nobserve: {{kernel: {'true' if demanded else 'offered'}}}\n")))

    def make_engine(progress: Progress) -> docker_engine.DockerEngine:
        return docker_engine.DockerEngine(engine, progress)

    def run_it() -> Finished:
        return run(wanted, root=tmp_path, make_engine=make_engine, progress=lambda _: None)

    if demanded:
        with pytest.raises(Unsupported, match=r"the kernel trace cannot be recorded here: .*no such device"):
            run_it()
        return
    finished = run_it()
    assert result_of(finished.directory, finished.analysis)["outcome"] == "pass"
    assert result_of(finished.directory, finished.analysis)["kernel"] is None
    (note,) = result_of(finished.directory, finished.analysis)["notes"]
    assert note.startswith("no kernel trace: the kernel trace cannot be recorded here: ")
    assert "no such device" in note


@root_only
@pytest.mark.parametrize("invoke", [NAMESPACE], indirect=True)
@pytest.mark.parametrize("kernel", ["true", "offered"])
def test_a_buffer_that_is_too_small_is_told(invoke: Invoke, scenario: Callable[[str], str], kernel: str) -> None:
    """8 MiB through two pages of buffer: events are lost, and what is not in the record is held against no cause."""
    text = (ROOT / "scenarios/large-transfer.yaml").read_text()
    done = invoke("run", scenario(f"{text}\nobserve: {{kernel: {kernel}, kernel_buffer: 8KiB}}\n"), "--json")
    result = done.json
    witness = result["kernel"]
    assert witness["complete"] is False
    assert witness["lost_events"] > 0
    (problem,) = witness["problems"]
    assert problem == f"the kernel's buffer was too small: {witness['lost_events']} events were lost"
    assert witness["agreement"]["contradicted"] == 0
    assert result["verdict"][-1].startswith(f"the kernel's record is not complete ({problem})")
    if kernel == "true":
        assert (done.code, result["outcome"]) == (3, "inconclusive")
        assert problem in result["reasons"]
    else:
        assert (done.code, result["outcome"]) == (0, "pass")
        assert problem in result["notes"]


@root_only
@pytest.mark.parametrize(("invoke", "reached"), [(DOCKER, True), (NAMESPACE, False)], indirect=["invoke"])
def test_clean_removes_only_what_dead_runs_left(invoke: Invoke, *, reached: bool) -> None:
    """An instance whose runner is gone goes; that of a live one, and another machine's, stay. Docker or not."""
    run = on_this_machine()
    assert run is not None
    boot, pid, start = owner().split("/")
    dead, alive = f"{PREFIX}0badcafe-{boot}.{pid}.{int(start) + 1}", instance_name("00a11ce0")
    other = f"{PREFIX}0ddba115-other-machine.1.1"
    try:
        for name in (alive, other):
            _left_behind(name)
        for _ in range(5):  # that of a test beside this one may be there first
            _left_behind(dead)
            done = invoke("clean", env={} if reached else {"DOCKER_HOST": "unix:///nonexistent.sock"})
            assert done.code == 0
            assert ("Docker was not reached" in done.err) is not reached
            left = set(run(["list"]).split())
            assert {alive, other} <= left
            assert dead not in left
            if f"removed trace instance {dead}\n" in done.out:
                break
        else:
            pytest.fail(done.out + done.err)
    finally:
        for name in (dead, alive, other):
            for instance in (name, f"{name}.stacks"):
                run(["remove", instance])


@root_only
@pytest.mark.slow
@pytest.mark.usefixtures("engine")
def test_a_worker_keeps_its_recorder_on_docker(tmp_path: Path) -> None:
    """All of each run is proven; one container records them all and is gone at the end, with its instances."""
    client = docker_engine.connect()
    labs = docker_engine.Containers(client)
    labs.keep_up = True
    recorder = on_docker(client)
    assert recorder is not None

    def kept() -> set[str]:
        labels = [f"{OWNER_LABEL}={owner()}", f"{ROLE_LABEL}=witness"]
        return {each["Id"] for each in client.api.containers(all=True, filters={"label": labels})}

    found = []
    try:
        for name in ("lost-middle", "udp-datagrams", "curl-nginx"):
            scenario = load(ROOT / "scenarios" / f"{name}.yaml", settings={"observe.kernel": True})
            finished = run(scenario, root=tmp_path, make_engine=labs, progress=lambda _: None)
            result = result_of(finished.directory, finished.analysis)
            assert (result["outcome"], untold(result, finished.directory.path)) == ("pass", [])
            found.append(kept())
        # One whose container is gone is replaced.
        (last,) = found[-1]
        client.api.remove_container(last, force=True, v=True)
        run(scenario, root=tmp_path, make_engine=labs, progress=lambda _: None)
        assert kept().isdisjoint(found[-1])
    finally:
        labs.close()
    assert [len(each) for each in found] == [1, 1, 1]
    assert set.union(*found) == found[0]
    assert kept() == set()
    for name in recorder(["list"]).split():
        if owner().replace("/", ".") in name:  # those of the container that was removed by force
            recorder(["remove", name])


@root_only
def test_a_worker_records_run_after_run_in_the_same_instances(namespaces: None, tmp_path: Path) -> None:
    """All of each run is proven, whichever events it asks for and whoever used them before; they go with the worker."""
    del namespaces
    labs, recorder = Namespaces(), on_this_machine()
    labs.keep_up = True
    assert recorder is not None

    def ours() -> set[str]:
        assert recorder is not None
        return {name for name in recorder(["list"]).split() if owner().replace("/", ".") in name}

    kept = []
    try:
        for name in ("lost-middle", "curl-nginx", "lost-middle", "udp-datagrams", "curl-nginx"):
            scenario = load(ROOT / "scenarios" / f"{name}.yaml", settings={"observe.kernel": True})
            finished = run(scenario, root=tmp_path, make_engine=labs, progress=lambda _: None)
            result = result_of(finished.directory, finished.analysis)
            assert (result["outcome"], untold(result, finished.directory.path)) == ("pass", [])
            kept.append(ours())
    finally:
        labs.close()
    assert kept[0]
    assert kept == kept[:1] * len(kept)
    assert ours() == set()


@root_only
def test_what_waits_for_programs_goes_once_none_will_come(namespaces: None) -> None:
    """The rest of the recording stays, until its end."""
    del namespaces
    list_of, name = on_this_machine(), instance_name("feedc0de")
    assert list_of is not None

    def ours() -> set[str]:
        assert list_of is not None
        return {each.removeprefix(name) for each in list_of(["list"]).split() if each.startswith(name)}

    with _record(name, "--", "64", "hfeedc0de-", "syscalls/sys_enter_sendto") as recorder:
        assert recorder.stdin is not None
        wait_until(lambda: ours() == {"", ".stacks", ".calls", ".held"})
        recorder.stdin.write(b"-\n")
        recorder.stdin.flush()
        wait_until(lambda: ours() == {"", ".stacks", ".calls"})
        recorder.stdin.write(b"end\n")
        recorder.stdin.close()
    assert recorder.returncode == 0
    assert ours() == set()


@root_only
def test_nothing_is_left_of_a_run_once_its_labs_are_closed(namespaces: None, tmp_path: Path) -> None:
    """The kernel removes what recorded the trace while the run is evaluated and told; closing waits for it."""
    del namespaces
    labs, recorder = Namespaces(), on_this_machine()
    assert recorder is not None
    scenario = load(ROOT / "scenarios" / "lost-middle.yaml", settings={"observe.kernel": True})
    finished = run(scenario, root=tmp_path, make_engine=labs, progress=lambda _: None)
    labs.close()
    assert not [name for name in recorder(["list"]).split() if owner().replace("/", ".") in name]
    assert result_of(finished.directory, finished.analysis)["outcome"] == "pass"


def _left_behind(name: str) -> None:
    """Have an instance of this name whose recorder was killed."""
    with _record(name) as recorder:  # closes its pipes
        recorder.kill()


def _record(name: str, *calls: str) -> subprocess.Popen[bytes]:
    """Start a recorder with an instance of this name, and return when it records what is on connections."""
    from testbed.lab.namespace import toolchain

    program = str(toolchain.provide(lambda _: None).witness)
    words = [program, "record", name, "64", "sock/inet_sock_set_state", "+net/net_dev_start_xmit", *calls]
    recorder = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert recorder.stdout is not None
    seen = b""
    while b"R\0\0\0\0" not in seen:
        part = os.read(recorder.stdout.fileno(), 1 << 16)
        assert part, seen
        seen += part
    return recorder


@root_only
@pytest.mark.usefixtures("namespaces")
@pytest.mark.parametrize("demanded", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_witness_that_dies(scenario: Callable[[str], str], tmp_path: Path, *, demanded: bool) -> None:
    """It is said that the record has no end; where the kernel's trace was demanded the run is inconclusive."""
    path = scenario(
        "summary: x\nserver: {steps: [{listen: 10011}, {accept: }, {recv_all: }]}\n"
        'client: {steps: [{connect: "server:10011"}, {send: hello}, {sleep: 4s}, {close: }]}\n'
    )
    words = command("run", path, "--runs", str(tmp_path), "--engine", NAMESPACE, *(["--witness"] if demanded else []))
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as runner:
        wait_until_sent(tmp_path)
        (witness,) = _descendants(runner.pid, "witness")
        os.kill(witness, signal.SIGKILL)
        told, _ = runner.communicate(timeout=LIMIT)
    assert "the kernel trace has no end" in told
    assert runner.returncode == (3 if demanded else 0), told


def _descendants(pid: int, name: str) -> list[int]:
    """Return the processes of that name that come of a process."""
    found = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            found += [child] if Path(f"/proc/{child}/comm").read_text().strip() == name else []
            found += _descendants(child, name)
    return found
