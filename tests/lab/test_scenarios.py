"""Every shipped scenario on both engines, as a user runs it, and what it leaves in its run directory."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from junitparser import JUnitXml

from testbed.lab.choose_engine import DOCKER, NAMESPACE
from testbed.lab.namespace import machine

from .conftest import LIMIT, ROOT, Invoke, Invoked, both_engines, command, docker_slow
from .coverage import UNPROVEN, uncovered_bytes, unexplained_packets, untold
from .survivors import surviving

ALL = sorted(path.stem for path in (ROOT / "scenarios").glob("*.yaml"))
VIRTUAL = [name for name in ALL if "\nclock: virtual" in (ROOT / "scenarios" / f"{name}.yaml").read_text()]
"""Those that nobody waits for: for a kernel of our own (test_uml.py), and unsupported on these engines."""
WINDOWS = [name for name in ALL if "image: winsock" in (ROOT / "scenarios" / f"{name}.yaml").read_text()]
"""Those of Windows programs: unsupported in namespaces of a machine without Wine; CI's has it."""
NO_WINE = bool(machine.missing(machine.IMAGES["winsock"].programs))
RESOLVED = {"link-down"}
"""Whose packets wait together for a hardware address, which is looked for again after the silence: the stack from which
such a packet leaves at last is not that of the call or timer which sent it, and they cannot be told apart."""
NAMES = [name for name in ALL if name not in VIRTUAL]
PLAIN = [name for name in NAMES if "\nmatrix:" not in (ROOT / "scenarios" / f"{name}.yaml").read_text()]
SOME = sorted({"connect-send-close", "server-reads-once", "large-transfer", "own-program", *PLAIN[::12]})
"""What CI runs on Docker: the origin's and every twelfth scenario. All of them take minutes there, and are `slow`."""
SCHEMA = Draft202012Validator(json.loads((ROOT / "testbed" / "report" / "json" / "result.schema.json").read_text()))
ARTEFACTS = {
    "scenario.yaml",
    "client.pcap",
    "server.pcap",
    "client.calls.jsonl",
    "server.calls.jsonl",
    "client.out",
    "client.err",
    "server.out",
    "server.err",
    "manifest.json",
    "result.json",
}


def _result(done: Invoked) -> dict[str, Any]:
    assert done.code == 0, done.out + done.err
    result: dict[str, Any] = done.json
    return result


def _kept(runs: Path, name: str, file: str = "result.json") -> Any:
    return json.loads((runs / "runs" / name / "latest" / file).read_text())


def _row(result: dict[str, Any], sender: str) -> dict[str, Any]:
    (row,) = (row for row in result["ledger"] if row["sender"] == sender)
    return {point: row[point]["bytes"] for point in ("written", "sent", "arrived", "acknowledged", "read")}


def _chosen(request: pytest.FixtureRequest, fixture: str, every: Sequence[str]) -> Sequence[str]:
    """Return what to run: all, or only the scenarios about which there are tests this time (`-k`, a second try)."""
    tests = [item for item in request.session.items if {fixture, "ran"} & {*getattr(item, "fixturenames", ())}]
    names = [item.callspec.params.get("name", "") if hasattr(item, "callspec") else "" for item in tests]
    return sorted(set(names)) if all(names) else every


def _run_all(engine: str, root: Path, chosen: Sequence[str]) -> tuple[Invoked, Path]:
    words = ["run", *chosen, "--jobs", "3", "--engine", engine, "--runs", str(root)]
    words += ["--witness"] if engine == NAMESPACE else []
    done = subprocess.run(
        command(*words, "--junit", str(root / "junit.xml")),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=4 * LIMIT,
        check=False,
    )
    return Invoked(done.returncode, done.stdout, done.stderr), root


@pytest.fixture(scope="module")
def whole_of_namespaces(
    namespaces: None, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Invoked, Path]:
    """`invoke run --all` once in namespaces: how it ended, and where its runs are."""
    del namespaces  # that there are any
    return _run_all(NAMESPACE, tmp_path_factory.mktemp("namespaces"), _chosen(request, "whole", ["--all"]))


@pytest.fixture(scope="module", params=[pytest.param(DOCKER, marks=pytest.mark.slow), NAMESPACE])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Invoked, Path]:
    """The same on either engine."""
    if request.param == DOCKER:
        request.getfixturevalue("engine")
        return _run_all(DOCKER, tmp_path_factory.mktemp("docker"), _chosen(request, "whole", ["--all"]))
    found: tuple[Invoked, Path] = request.getfixturevalue("whole_of_namespaces")
    return found


@pytest.fixture(scope="module")
def some(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Invoked, Path]:
    """The scenarios of SOME, in turn on Docker: how that ended, and where the runs are."""
    request.getfixturevalue("engine")
    root = tmp_path_factory.mktemp("some")
    done = subprocess.run(
        command("run", *_chosen(request, "some", SOME), "--engine", DOCKER, "--quiet", "--runs", str(root)),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=4 * LIMIT,
        check=False,
    )
    return Invoked(done.returncode, done.stdout, done.stderr), root


@pytest.fixture(scope="module", params=[DOCKER, NAMESPACE])
def ran(request: pytest.FixtureRequest) -> Path:
    """Where runs of the scenarios of SOME are, of either engine."""
    if request.param == DOCKER:
        _, root = request.getfixturevalue("some")
    else:
        _, root = request.getfixturevalue("whole_of_namespaces")
    return Path(root)


@pytest.mark.timeout(5 * LIMIT)
def test_the_whole_catalogue_in_one_command(whole: tuple[Invoked, Path]) -> None:
    """`invoke run --all`: a line for each run, and a suite of JUnit for each; green if each has passed.

    Which have is for test_shipped_scenario to judge, so that one that fails is tried again without all others.
    """
    done, root = whole
    suites = list(JUnitXml.fromfile(str(root / "junit.xml")))
    runs = [line for line in done.out.splitlines() if line.startswith(("PASS", "FAIL", "INCONCLUSIVE"))]
    assert (done.code == 0) == all(line.startswith("PASS") for line in runs), done.out + done.err
    unsupported = [line for line in done.out.splitlines() if line.startswith("UNSUPPORTED")]
    without = [line for line in unsupported if "wine" in line]
    assert len(unsupported) - len(without) == len(VIRTUAL)
    assert NO_WINE or not without
    assert len(runs) == len(suites) - len(unsupported) >= len(NAMES) - len(without)
    assert f"{len(suites)} runs on " in done.out.splitlines()[-1]


@pytest.mark.parametrize("name", NAMES)
def test_shipped_scenario(name: str, whole: tuple[Invoked, Path]) -> None:
    """Every artefact is there, the result fits its schema, and it passes.

    Every packet has a cause, and every byte that a call wrote is in a segment of its, or a reason is given. The
    kernel's own events are those packets and calls, and contradict no cause.
    """
    _fits(name, *whole)


@pytest.mark.timeout(5 * LIMIT)
@pytest.mark.parametrize("name", SOME)
def test_shipped_scenario_on_docker(name: str, some: tuple[Invoked, Path]) -> None:
    """The same of some of them on Docker."""
    _fits(name, *some)


def _fits(name: str, done: Invoked, root: Path) -> None:
    found = _runs_of(name, root)
    if not found and NO_WINE and name in WINDOWS:
        pytest.skip("no Wine on this machine")
    assert found, done.out + done.err
    for directory in found:
        result = json.loads((directory / "result.json").read_text())
        SCHEMA.validate(result)
        assert result["outcome"] == "pass"
        assert result["checks"], "a scenario without expectations shows nothing"
        manifest = json.loads((directory / "manifest.json").read_text())
        routed = manifest["link"]["kind"] == "routed"
        witnessed = manifest["witness"] != "none" and os.geteuid() == 0
        assert {path.name for path in directory.iterdir()} == ARTEFACTS | (
            {"link.jsonl", "link.plan"} if routed else set()
        ) | ({"kernel.jsonl"} if witnessed else set()) | {
            f"{host}.loopback.pcap" for host, about in result["hosts"].items() if about["loopback"]
        }
        for host in ("client", "server"):
            capture = (directory / f"{host}.pcap").read_bytes()
            assert capture[:4] == bytes.fromhex("4d3cb2a1"), "not a little-endian nanosecond capture"
        assert unexplained_packets(result) == []
        assert uncovered_bytes(result) == []
        for crossing in result["crossings"]:  # what the link did not do to it happened to no packet
            by_link = [text for text in crossing["link"] if not text.startswith("delayed")]
            assert crossing["fate"] == "crossed" or by_link
        if witnessed:
            left = untold(result, directory)
            assert [each for each in left if not (name in RESOLVED and each.endswith(UNPROVEN))] == []


def _runs_of(name: str, root: Path) -> list[Path]:
    """Return the directories of a scenario's runs, those of a campaign too (one scenario with `--jobs`)."""
    return [path.parent for path in (root / "runs").glob(f"**/{name}/*-*/result.json")]


@pytest.mark.parametrize("whole", [NAMESPACE], indirect=True)
@pytest.mark.parametrize("name", NAMES)
def test_no_expectation_is_empty(name: str, whole: tuple[Invoked, Path]) -> None:
    """Each expectation of each variant, made wrong in one place, fails on the run that met it."""
    done, root = whole
    runs = _runs_of(name, root)
    if not runs and NO_WINE and name in WINDOWS:
        pytest.skip("no Wine on this machine")
    assert runs, done.out + done.err
    for directory in runs:
        found = surviving(directory)
        assert found
        assert [text for text, (failed, _) in found.items() if not failed] == []


@docker_slow
def test_result_is_printed_as_it_is_kept(invoke: Invoke, tmp_path: Path) -> None:
    """`--json` prints what result.json holds."""
    result = _result(invoke("run", "echo", "--json"))
    assert json.loads((tmp_path / "runs/echo/latest/result.json").read_text()) == result


def test_manifest_names_the_conditions(ran: Path) -> None:
    """Versions, image ids, addresses, seed, sysctls and offloads: what a repeat next year needs to compare."""
    manifest = _kept(ran, "connect-send-close", "manifest.json")
    assert manifest["engine"]["kernel"]
    if manifest["engine"]["name"] == "docker":
        assert {"host", "tap", "tools"} <= manifest["images"].keys()
        assert all(image.startswith("sha256:") for image in manifest["images"].values())
    else:
        assert manifest["engine"]["tools"]
    assert manifest["scenario"]["seed"] == 1
    for host in ("client", "server"):
        described = manifest["hosts"][host]
        assert described["address"].startswith(("198.18.", "198.19."))
        assert described["sysctls"]["net.ipv4.tcp_sack"] == "1"
        assert described["offloads"]["tcp-segmentation-offload"] == "off"
        assert manifest["taps"][host]["statistics"]["dropped by kernel"] == 0
        assert manifest["taps"][host]["version"].startswith("tcpdump version")


def test_kernels_counters_of_the_run(ran: Path) -> None:
    """The manifest has them before and after the programs, the result those that changed: the one connection."""
    counted = _kept(ran, "connect-send-close", "manifest.json")["counters"]
    result = _kept(ran, "connect-send-close")
    for host, name in (("client", "TcpActiveOpens"), ("server", "TcpPassiveOpens")):
        assert name not in counted[host]["before"]
        assert counted[host]["after"][name] == 1
        assert result["hosts"][host]["counters"][name] == 1
        assert "IpDefaultTTL" not in result["hosts"][host]["counters"]


def test_origin_three_sends(ran: Path) -> None:
    """The origin's calls on one bridge: three segments, each caused by its own send, and all 8 bytes read."""
    result = _kept(ran, "connect-send-close")
    sends = [call for call in result["hosts"]["client"]["calls"] if call["name"] == "send"]
    carried = [
        bytes.fromhex(result["crossings"][n]["payload"])
        for call in sends
        for n in call["packets"]
        if result["crossings"][n]["length"]
    ]
    assert carried == [b"c", b"c", b"string"]
    assert _row(result, "client") == dict.fromkeys(("written", "sent", "arrived", "acknowledged", "read"), 8)


def test_origin_mystery(ran: Path) -> None:
    """The server that reads once: its wire had all 8 bytes, its program 1; the verdict says where 7 were lost."""
    result = _kept(ran, "server-reads-once")
    assert _row(result, "client") == {"written": 8, "sent": 8, "arrived": 8, "acknowledged": 8, "read": 1}
    verdict = " ".join(result["verdict"])
    assert "all 8 bytes reached the server's socket" in verdict
    assert "read 1" in verdict
    assert "7 unread" in verdict


def test_large_transfer_is_followed_by_digest(ran: Path) -> None:
    """8 MiB: the same digest at all four points where content is seen."""
    result = _kept(ran, "large-transfer")
    (row,) = (row for row in result["ledger"] if row["sender"] == "client")
    digests = {row[point]["digest"] for point in ("sent", "arrived")}
    assert len(digests) == 1
    assert None not in digests
    assert row["difference"] is None
    assert _row(result, "client") == dict.fromkeys(("written", "sent", "arrived", "acknowledged", "read"), 8 << 20)


def test_own_program_is_observed_unchanged(ran: Path) -> None:
    """A plain C client that knows nothing of the testbed: its calls are logged with where they came from."""
    result = _kept(ran, "own-program")
    calls = [call for call in result["hosts"]["client"]["calls"] if call["name"] in {"connect", "send", "close"}]
    assert [call["name"] for call in calls] == ["connect", "send", "send", "send", "close"]
    assert all(call["caller"].startswith("/opt/own-program/client+0x") for call in calls)
    source = (ROOT / "compose/own-program/client.c").read_text().splitlines()
    for call in calls:
        name, _, line = call["source"].partition(":")
        assert name == "client.c"
        assert f"{call['name']}(" in source[int(line) - 1]


@both_engines
def test_several_scenarios_in_one_command(invoke: Invoke, tmp_path: Path) -> None:
    """`invoke run A B` runs both; each summary is short: calls, packets, ledger, verdict, also of 8 MiB."""
    done = invoke("run", "connect-send-close", "large-transfer", "--quiet")
    assert done.code == 0, done.out + done.err
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"connect-send-close", "large-transfer"}
    first, second = done.out.split("large-transfer: PASS")
    for summary in (first, second):
        assert len(summary.splitlines()) <= 90
        for word in ("written", "acknowledged", "matched", "lost", "median"):
            assert word in summary
        assert "\x1b" not in summary


@docker_slow
def test_failed_expectation_is_shown_expected_above_actual(invoke: Invoke, tmp_path: Path) -> None:
    """A wrong expectation fails the run with exit 1, and names the scenario's line."""
    text = (ROOT / "scenarios/connect-send-close.yaml").read_text()
    path = tmp_path / "wrong.yaml"
    path.write_text(text[: text.index("expect:")] + "expect:\n  - {segments: {client: [c, cstring]}}\n")
    done = invoke("run", str(path))
    assert done.code == 1
    line = next(number for number, text in enumerate(path.read_text().splitlines(), 1) if "cstring" in text)
    assert f"wrong.yaml:{line}" in done.out
    assert done.out.index("expected") < done.out.index("actual")


@both_engines
def test_a_run_is_shown_again_from_its_directory(invoke: Invoke, tmp_path: Path) -> None:
    """`invoke show` works the same summary out of the artefacts alone."""
    first = invoke("run", "echo")
    again = invoke("show", "echo/latest")
    assert again.code == 0, again.err
    assert again.out == first.out
    (tmp_path / "runs/echo/latest/client.pcap").write_bytes(b"")
    assert invoke("show", "echo/latest").code == 3


@docker_slow
def test_unobserved_host_is_said(invoke: Invoke, tmp_path: Path) -> None:
    """Without an observer the wire still speaks: ledger and causes without calls, no invented ones."""
    text = (ROOT / "scenarios/connect-send-close.yaml").read_text()
    path = tmp_path / "unobserved.yaml"
    path.write_text(text[: text.index("expect:")] + "observe: {client: none, server: none}\n")
    result = _result(invoke("run", str(path), "--json"))
    assert [result["hosts"][host]["calls"] for host in ("client", "server")] == [[], []]
    row = _row(result, "client")
    assert (row["written"], row["sent"], row["arrived"], row["read"]) == (None, 8, 8, None)
