"""The link on the real engine: plans that repeat, a journal that the captures bear out, faults of the link itself."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import docker
import pytest

from testbed.lab.choose_engine import DOCKER, NAMESPACE
from testbed.lab.identity import ROLE_LABEL, RUN_LABEL

from .conftest import ROOT, Invoke, Invoked, command, docker_slow

MS = 1_000_000


def finished(done: Invoked, code: int = 0) -> dict[str, Any]:
    assert done.code == code, done.out + done.err
    result: dict[str, Any] = done.json
    return result


def journal(runs: Path, name: str) -> list[dict[str, Any]]:
    lines = (runs / "runs" / name / "latest" / "link.jsonl").read_text().splitlines()
    return [record for record in map(json.loads, lines) if "event" not in record]


def fates(records: list[dict[str, Any]]) -> dict[tuple[str, int], list[str]]:
    """What chance and plan did to each packet; times are no part of it."""
    chosen = {"drop", "loss", "duplicate", "corrupt", "reorder", "hold", "truncate"}
    return {(one["from"], one["n"]): [a for a in one["actions"] if a in chosen] for one in records if one["n"]}


@pytest.mark.usefixtures("namespaces")
@pytest.mark.parametrize("times", [20, pytest.param(100, marks=pytest.mark.slow)])
def test_distance_makes_two_segments_and_nodelay_three(times: int, invoke: Invoke) -> None:
    """The origin's result, each time: two segments over a distance, three with TCP_NODELAY."""
    words = ("run", "nagle", "nodelay", "--repeat", str(times), "--jobs", "2", "--engine", "namespace", "--json")
    done = invoke(*words)
    assert done.code == 0, done.out + done.err
    nagle, nodelay = done.json["variants"]
    for variant, segments in ((nagle, "client: c, cstring"), (nodelay, "client: c, c, string")):
        assert variant["runs"] == times
        assert {kind["outcome"] for kind in variant["kinds"]} == {"pass"}
        assert {kind["facets"]["segments"][0] for kind in variant["kinds"]} == {segments}


def random_link(source: random.Random) -> str:
    """Draw a plan: some impairments each way and some exact faults."""

    def way() -> str:
        parts = [f"delay: {source.randint(0, 8)}ms"]
        drawn = {
            "loss": lambda: f"{source.randint(1, 6)}%",
            "duplicate": lambda: f"{source.randint(1, 10)}%",
            "reorder": lambda: f"{{probability: 0.{source.randint(1, 2)}, behind: {source.randint(1, 3)}}}",
            "corrupt": lambda: f"{source.randint(1, 5)}%",
            "rate": lambda: f"{source.randint(5, 50)}Mbit",
        }
        parts += [f"{key}: {drawn[key]()}" for key in source.sample(sorted(drawn), source.randint(1, 4))]
        return "{" + ", ".join(parts) + "}"

    def fault() -> str:
        host = source.choice(("client", "server"))
        key = source.choice(("drop", "hold", "duplicate", "corrupt"))
        more = f", for: {source.randint(1, 30)}ms, behind: 1" if key == "hold" else ""
        kind = source.choice(("data", "ack", "fin"))
        return f"    - {key}: {{from: {host}, of: {kind}, nth: {source.randint(1, 9)}{more}}}\n"

    faults = {text.split("nth")[0]: text for text in (fault() for _ in range(source.randint(1, 4)))}
    return f"link:\n  client: {way()}\n  server: {way()}\n  faults:\n{''.join(faults.values())}"


def random_scenario(seed: int) -> str:
    source = random.Random(seed)
    there, back = source.randint(1, 60_000), source.randint(1, 60_000)
    return (
        f"summary: random {seed}\nseed: {seed}\ntimeout: 2m\n{random_link(source)}"
        "server:\n  steps:\n    - listen: 10011\n    - accept:\n"
        f"    - recv_exact: {there}\n    - send: {{size: {back}}}\n    - recv_all:\n    - close:\n"
        "client:\n  steps:\n    - connect: server:10011\n"
        f"    - send: {{size: {there}}}\n    - recv_exact: {back}\n    - close:\n"
    )


def _identity(one: dict[str, Any], seq: str) -> tuple[str, int, int]:
    """What tells packets of one host apart in both captures and the journal: flags, raw sequence number, length."""
    return one["flags"], one[seq], one["length"]


SEEDS = [
    pytest.param(seed, engine, marks=[pytest.mark.slow] if seed > often else [])
    for engine, last, often in ((DOCKER, 3, 1), (NAMESPACE, 20, 8))
    for seed in range(1, last + 1)
]


@pytest.mark.parametrize(("seed", "invoke"), SEEDS, indirect=["invoke"])
def test_what_the_captures_show_is_what_the_journal_says(
    seed: int, invoke: Invoke, scenario: Callable[..., str], tmp_path: Path
) -> None:
    """Random plans over random transfers: lost, duplicated, altered, reordered and delayed, packet by packet.

    Which of two packets that are the same in everything met a fate, nobody can see: these are counted.
    """
    name = f"random-{seed}"
    result = finished(invoke("run", scenario(random_scenario(seed), name), "--json"))
    assert result["outcome"] == "pass", result["reasons"]
    records = journal(tmp_path, name)
    crossings = result["crossings"]
    for host in ("client", "server"):
        mine = [one for one in records if one["from"] == host]
        seen = [one for one in crossings if one["sender"] == host]
        passed = [one for one in mine if one["n"] and one["left"]]
        crossed = [one for one in seen if one["fate"] == "crossed"]
        lost = [one for one in seen if one["fate"] == "lost"]
        assert _count(lost, "raw_seq") == _count([one for one in mine if not one["left"]], "seq")
        made = [one for one in seen if one["fate"] == "appeared"]
        assert [one["made"] for one in made] == ["copy"] * len(made)
        assert len(made) == len([one for one in mine if one.get("made")])
        altered = [one for one in crossed if one["changes"]]
        assert _count(altered, "raw_seq") == _count([one for one in passed if "corrupt" in one["actions"]], "seq")
        delayed = [one for one in crossed if any(text.startswith("delayed") for text in one["link"])]
        assert _count(delayed, "raw_seq") == _count([one for one in passed if "delay" in one["actions"]], "seq")
        crossed.sort(key=lambda one: one["arrived_ns"])
        passed.sort(key=lambda one: one["left"])
        twice = {_identity(one, "seq") for one in mine if one.get("made")}  # a packet and its copy: either may be first
        crossed = [one for one in crossed if _identity(one, "raw_seq") not in twice]
        passed = [one for one in passed if _identity(one, "seq") not in twice]
        came, let_go = ([_identity(one, "raw_seq") for one in crossed], [_identity(one, "seq") for one in passed])
        assert came == let_go, "the order of arrival is the order in which the link let go"
        for crossing, record in zip(crossed, passed, strict=True):
            if came.count(_identity(crossing, "raw_seq")) == 1:
                at = (crossing["sent_ns"], record["time"], record["left"], crossing["arrived_ns"])
                assert list(at) == sorted(at), "sent, taken and let go by the link, arrived: on one clock"
        if len(set(came)) == len(came):
            inversions = sum(a["sent_ns"] > b["sent_ns"] for a, b in pairwise(crossed))
            assert inversions == sum(a["n"] > b["n"] for a, b in pairwise(passed))


def _count(packets: list[dict[str, Any]], seq: str) -> Counter[tuple[str, int, int]]:
    return Counter(_identity(one, seq) for one in packets)


@docker_slow
def test_a_plan_repeats(invoke: Invoke, scenario: Callable[..., str], tmp_path: Path) -> None:
    """UDP, whose traffic does not depend on what is lost: the same fate for the same seed, another for another."""
    sends = "".join(f"    - send: {{text: m{n:03}, to: server:5000}}\n" for n in range(120))

    def text(seed: int) -> str:
        return (
            f"summary: s\nseed: {seed}\nlink: {{delay: 2ms, loss: 10%, duplicate: 10%, corrupt: 5%, reorder: 10%}}\n"
            "server: {command: sleep 600, until: client-ends}\n"
            f"client:\n  steps:\n    - socket: udp\n{sends}    - close:\n"
        )

    met = []
    for seed, name in ((5, "first"), (5, "again"), (6, "other")):
        finished(invoke("run", scenario(text(seed), name), "--json"))
        met.append({key: acts for key, acts in fates(journal(tmp_path, name)).items() if key[0] == "client"})
    assert len(met[0]) == 120
    assert met[0] == met[1]
    assert met[0] != met[2]
    assert {act for acts in met[0].values() for act in acts} == {"loss", "duplicate", "corrupt", "reorder"}


def test_steps_change_the_link(invoke: Invoke, scenario: Callable[..., str], tmp_path: Path) -> None:
    """A change holds for what is sent after the step, and for nothing before; what it does not name stays."""
    path = scenario(
        "summary: s\nlink: {delay: 1ms}\n"
        "server: {steps: [{listen: 10011}, {accept: }, {recv_exact: 1}, {send: a}, {recv_all: }, {close: }]}\n"
        "client:\n  steps:\n    - connect: server:10011\n    - link: {client: {delay: 40ms}}\n    - send: x\n"
        "    - recv: 1\n    - link: {delay: 3ms, duplicate: 100%}\n    - close:\n",
        "changes",
    )
    result = finished(invoke("run", path, "--json"))
    assert result["outcome"] == "pass", result["reasons"]
    records = {(one["from"], one["flags"], one["length"]): one for one in journal(tmp_path, "changes") if one["n"]}

    def held(*key: Any) -> int:
        return int(records[key]["left"] - records[key]["time"]) // MS

    assert held("client", "S", 0) < 40 <= held("client", "P.", 1)
    assert held("server", "P.", 1) < 40
    assert held("client", "F.", 0) >= 3
    assert "duplicate" in records["client", "F.", 0]["actions"]
    assert "duplicate" not in records["client", "P.", 1]["actions"]


@docker_slow
def test_faults_between_barriers(invoke: Invoke, scenario: Callable[..., str], tmp_path: Path) -> None:
    """Only the packet between the two barriers is dropped, although all three are alike."""
    path = scenario(
        "summary: s\nlink: {delay: 1ms, faults: [{drop: {from: client, of: udp, count: all, after: a, until: b}}]}\n"
        "server:\n  steps:\n    - socket: udp\n    - bind: ':5000'\n    - recv: 9\n    - barrier: a\n    - barrier: b\n"
        "    - recv: 9\n    - close:\n"
        "client:\n  steps:\n    - socket: udp\n    - send: {text: x, to: server:5000}\n    - barrier: a\n"
        "    - send: {text: x, to: server:5000}\n    - sleep: 50ms\n    - barrier: b\n"
        "    - send: {text: x, to: server:5000}\n    - close:\n"
        "expect:\n  - {crossings: {lost: 1}}\n",
        "barriers",
    )
    assert finished(invoke("run", path, "--json"))["outcome"] == "pass"
    assert [one["left"] is None for one in journal(tmp_path, "barriers")] == [False, True, False]
    plan = (tmp_path / "runs/barriers/latest/link.plan").read_text().splitlines()
    assert plan[0].startswith("link seed=")
    assert plan[plan.index("start") + 1 :] == ["barrier name=a", "barrier name=b"]


def test_a_full_queue_is_told(invoke: Invoke, scenario: Callable[..., str], tmp_path: Path) -> None:
    """A slow line with room for 3: what does not fit is in the journal as overflow, and lost in the captures."""
    sends = "".join("    - send: {size: 1000, to: server:5000}\n" for _ in range(30))
    path = scenario(
        "summary: s\nlink: {rate: 1Mbit, queue: 3}\n"
        "server:\n  steps:\n    - socket: udp\n    - bind: ':5000'\n    - barrier: sent\n"
        f"client:\n  steps:\n    - socket: udp\n{sends}    - barrier: sent\n    - close:\n",
        "overflow",
    )
    result = finished(invoke("run", path, "--json"))
    assert result["outcome"] == "pass", result["reasons"]
    full = [one for one in journal(tmp_path, "overflow") if "overflow" in one["actions"]]
    lost = [one for one in result["crossings"] if one["fate"] == "lost"]
    assert len(full) == len(lost) > 0
    assert all("the link's queue was full" in one["link"][0] for one in lost)


def test_ip6(invoke: Invoke, scenario: Callable[..., str]) -> None:
    """The same over IPv6: delay, a path with a small MTU (packet too big), a forged RST that is challenged."""
    text = (ROOT / "scenarios/path-mtu.yaml").read_text().replace("mtu: 1300", "mtu: 1400").replace("1248", "1328")
    assert finished(invoke("run", scenario(f"ip: 6\n{text}", "mtu6"), "--json"))["outcome"] == "pass"
    text = (ROOT / "scenarios/forged-rst-in-window.yaml").read_text()
    assert finished(invoke("run", scenario(f"ip: 6\n{text}", "rst6"), "--json"))["outcome"] == "pass"


@docker_slow
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("forge: {from: client, of: data, packet: syn, as: client, seq: -1000}", "challenge-ack"),
        ("forge: {from: client, of: data, packet: unreachable}", "link-forged"),
        ("forge: {from: client, of: data, packet: too-big, mtu: 1000}", "link-forged"),
        ("truncate: {from: client, of: data, to: 3}", "tail-loss-probe"),
    ],
)
def test_other_faults(fault: str, expected: str, invoke: Invoke, scenario: Callable[..., str]) -> None:
    """Each is found in the captures, with a cause for what follows; the bytes arrive whole."""
    path = scenario(
        f"summary: s\nlink: {{delay: 5ms, faults: [{{{fault}}}]}}\n"
        "server: {steps: [{listen: 10011}, {accept: }, {recv_exact: 5}, {sleep: 300ms}, {send: k}, {recv_all: }, "
        "{close: }]}\nclient: {steps: [{connect: 'server:10011'}, {send: hello}, {recv: 1}, {close: }]}\n"
        "expect:\n  - {ledger: {client: {written: 5, sent: 5, acknowledged: 5, read: 5}}}\n",
        "fault",
    )
    result = finished(invoke("run", path, "--json"))
    assert result["outcome"] == "pass", result["reasons"]
    rules = {one["cause"]["rule"] for one in result["crossings"]}
    assert expected in rules
    assert "unknown" not in rules


@pytest.mark.parametrize("invoke", [NAMESPACE], indirect=True)
@pytest.mark.parametrize(
    ("which", "flags", "payload"),
    [
        ("payload: two", "P.", "two"),
        ("payload: {bytes: '6872'}", "P.", "three"),
        ("flags: F.", "F.", ""),
        ("bytes: 3-5", "P.", "two"),
        ("of: data, nth: 3", "P.", "three"),
    ],
)
def test_a_fault_meets_the_packet_that_it_names(
    which: str, flags: str, payload: str, invoke: Invoke, scenario: Callable[..., str]
) -> None:
    """By text, bytes, flags, place in the stream or count: that packet is lost and no other."""
    path = scenario(
        f"summary: s\nlink: {{delay: 2ms, faults: [{{drop: {{from: client, {which}}}}}]}}\n"
        "server: {steps: [{listen: 10011}, {accept: }, {recv_all: }, {close: }]}\n"
        "client: {steps: [{connect: 'server:10011'}, {setsockopt: {TCP_NODELAY: 1}}, {send: one}, {send: two}, "
        "{send: three}, {sleep: 50ms}, {close: }]}\n",
        "named",
    )
    result = finished(invoke("run", path, "--json"))
    (lost,) = (one for one in result["crossings"] if one["fate"] == "lost")
    assert (lost["sender"], lost["flags"]) == ("client", flags)
    assert bytes.fromhex(lost["payload"]).decode() == payload
    assert lost["link"] == [f"dropped (drop: {{from: client, {which}}})"]


@docker_slow
def test_corruption_that_no_checksum_shows_differs_in_the_ledger(invoke: Invoke, scenario: Callable[..., str]) -> None:
    """With the checksum made to fit, the peer's program reads a wrong byte, and the ledger says which."""
    path = scenario(
        "summary: s\nlink: {faults: [{corrupt: {from: client, of: data, checksum: fix}}]}\n"
        "server: {steps: [{listen: 10011}, {accept: }, {recv_all: }, {close: }]}\n"
        "client: {steps: [{connect: 'server:10011'}, {send: hello}, {close: }]}\n",
        "silent",
    )
    result = finished(invoke("run", path, "--json"))
    (row,) = (row for row in result["ledger"] if row["sender"] == "client")
    assert row["read"]["bytes"] == 5
    assert row["difference"]


def test_a_link_that_dies_makes_the_run_inconclusive(
    engine: docker.DockerClient, scenario: Callable[..., str], tmp_path: Path
) -> None:
    """Killed in mid-transfer: exit 3, the summary says so, what was captured is kept, the lab is gone."""
    path = scenario(
        "summary: s\nlink: {delay: 1ms}\n"
        "server: {steps: [{listen: 10011}, {accept: }, {recv_all: }, {close: }]}\n"
        "client: {steps: [{connect: 'server:10011'}, {send: a}, {sleep: 20s}, {send: b}, {close: }]}\n",
        "dying",
    )
    words = command("run", path, "--json", "--runs", str(tmp_path))
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        container = _link_of(engine, running, tmp_path)
        kill = 'for p in /proc/[0-9]*; do [ "$(cat $p/comm)" = link ] && kill -9 ${p#/proc/}; done'
        container.exec_run(["sh", "-c", kill])
        out, err = running.communicate(timeout=120)
    assert running.returncode == 3, out + err
    result = json.loads(out)
    assert result["outcome"] == "inconclusive"
    assert "the link program died" in result["reasons"][0]
    assert "SIGKILL" in result["reasons"][0]
    assert any(one["flags"] == "S" and one["fate"] == "crossed" for one in result["crossings"])


def _link_of(engine: docker.DockerClient, running: subprocess.Popen[str], runs: Path) -> Any:
    """Wait until the transfer is under way; return the link host's container."""
    import time

    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and running.poll() is None:
        for path in (runs / "runs").glob("dying/*/link.jsonl"):
            if path.read_bytes().count(b'"flags":"P."') >= 1:
                run_id = path.parent.name.rpartition("-")[2]
                labels = [f"{RUN_LABEL}={run_id}", f"{ROLE_LABEL}=link"]
                return engine.containers.list(filters={"label": labels})[0]
        time.sleep(0.05)
    raise AssertionError(running.communicate(timeout=60))


def test_what_the_kernel_lacks_is_unsupported(tmp_path: Path) -> None:
    """Without NFQUEUE the run ends with exit 4 and names it, before any program starts."""
    script = (
        "import sys, testbed.lab.link_host as link\n"
        "link.FILTERS = {4: ('false',), 6: ('false',)}\n"
        "from invoke import Program\nimport tasks\nfrom testbed.cli.invoke_words import adapt\n"
        "program = Program(namespace=tasks.ns)\nadapt(program)\n"
        "program.run(['invoke', 'run', 'nagle', '--runs', sys.argv[1]])\n"
    )
    argv = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 4, done.stdout + done.stderr
    assert "NFQUEUE" in done.stderr
    (directory,) = (tmp_path / "runs/nagle").glob("*-*")
    assert not (directory / "client.out").exists()
