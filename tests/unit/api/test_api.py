"""The public Python API, on a run of tests/data and its captures."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import testbed
from testbed import CaptureComparison, ComparedFlow, RunResult, compare_captures, load_run
from testbed.model import Outcome
from testbed.model.errors import CaptureError, UsageError
from tests.api_examples import ROOT, RUN, carry_out, examples

CLIENT, SERVER = RUN / "client.pcap", RUN / "server.pcap"


@pytest.fixture(scope="module")
def run() -> RunResult:
    return load_run(RUN)


@pytest.fixture(scope="module")
def comparison() -> CaptureComparison:
    return compare_captures(CLIENT, SERVER, one_clock=True)


def test_a_run_is_what_its_result_says(run: RunResult) -> None:
    """Outcome, calls, packets, causes and ledger are those that result.json of the run has."""
    kept = json.loads((RUN / "result.json").read_text())
    assert run.directory == RUN
    assert run.outcome is Outcome(kept["outcome"])
    assert {host: [call.name for call in calls] for host, calls in run.calls.items()} == {
        host: [call["name"] for call in about["calls"]] for host, about in kept["hosts"].items()
    }
    assert [packet.n for packet in run.packets] == list(range(len(kept["crossings"])))
    assert [cause.rule for cause in run.causes] == [packet["cause"]["rule"] for packet in kept["crossings"]]
    assert [(flow, sender) for flow, sender in run.ledger] == [(row["flow"], row["sender"]) for row in kept["ledger"]]
    assert run.ledger[0, "client"].written.bytes == kept["ledger"][0]["written"]["bytes"]
    assert run.to_json()["run"] == kept["run"]


def test_the_summary_of_a_run_is_that_of_the_command(run: RunResult) -> None:
    done = _invoke("show", str(RUN))
    assert run.summary(width=80) == done.stdout
    assert run.verdict[0] in run.summary(width=200)
    assert len(run.summary(width=60).splitlines()) > len(run.summary(width=200).splitlines())


def test_a_comparison_is_what_the_command_prints(comparison: CaptureComparison) -> None:
    done = _invoke("compare", str(CLIENT), str(SERVER), "--one-clock")
    assert comparison.summary() == done.stdout
    told = json.loads(_invoke("compare", str(CLIENT), str(SERVER), "--one-clock", "--json").stdout)
    assert comparison.to_json() == told
    assert comparison.same is told["same"]
    assert (comparison.lost, comparison.altered) == (told["counts"]["lost"], told["counts"]["altered"])


def test_flows_are_values(comparison: CaptureComparison) -> None:
    told = comparison.to_json()["flows"]
    assert told
    assert [flow.at_client for flow in comparison.flows] == [tuple(each["ends"]["client"]) for each in told]
    for flow in comparison.flows:
        assert flow == ComparedFlow(flow.protocol, flow.at_client, flow.at_client, lost=0, altered=0, reordered=0)
    assert comparison.flows[0].protocol == "tcp"


def test_what_was_lost_is_counted(tmp_path: Path) -> None:
    """A packet cut out of the server's capture: lost, in the totals, in its flow and in what differs."""
    frames = _records(SERVER.read_bytes())
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(b"".join(frames[:5] + frames[6:]))
    found = compare_captures(CLIENT, cut, one_clock=True)
    assert found.lost + found.counts["not-captured"] == 1
    assert sum(flow.lost for flow in found.flows) == found.lost
    assert found.same is not bool(found.lost)


def test_bad_use_is_an_error() -> None:
    with pytest.raises(UsageError, match="there is no run `nothing`"):
        load_run("nothing")
    with pytest.raises(UsageError, match="`loss` is no category"):
        compare_captures(CLIENT, SERVER, fail_on=["loss"])
    with pytest.raises(CaptureError):
        compare_captures(CLIENT, RUN / "manifest.json")


def test_reports_are_written_again(tmp_path: Path) -> None:
    directory = tmp_path / RUN.parent.name / RUN.name
    directory.mkdir(parents=True)
    for path in RUN.iterdir():
        (directory / path.name).write_bytes(path.read_bytes())
    made = load_run(directory).write_reports()
    assert [path.name for path in made] == ["result.json", "report.html", "annotated.pcapng"]
    assert all(path.stat().st_size for path in made)


@pytest.mark.parametrize("heading", ["Read a run", "Compare two captures"])
def test_the_examples_of_the_page(heading: str, tmp_path: Path) -> None:
    """That of a run is carried out in a lab (tests/lab/test_api.py)."""
    found = examples()
    assert list(found) == ["Run a scenario", "Read a run", "Compare two captures"]
    assert carry_out(found[heading], tmp_path)


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import testbed", ("numpy", "docker", "pydantic", "rich", "yaml", "scapy", "invoke", "dataclasses")),
        ("from testbed import load_run", ("numpy", "docker", "pydantic", "rich", "yaml", "scapy", "invoke")),
        ("from testbed import run_scenario", ("numpy", "docker", "pydantic", "rich", "yaml", "scapy", "invoke")),
        ("from testbed import compare_captures", ("docker", "pydantic", "rich", "yaml", "scapy", "invoke")),
        (
            "import tasks",
            ("numpy", "docker", "pydantic", "rich", "scapy", "testbed.api", "testbed.lab", "testbed.model"),
        ),
    ],
)
def test_an_import_brings_only_what_it_needs(code: str, absent: Sequence[str]) -> None:
    """So that the start of every command stays as quick as it is."""
    show = f"{code}\nimport sys\nprint([name for name in {list(absent)!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", show], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_every_exported_name_is_there() -> None:
    assert len(testbed.__all__) > 5
    for name in testbed.__all__:
        assert getattr(testbed, name) is not None
        assert name in dir(testbed)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = testbed.nothing


def test_the_version_is_that_of_the_package() -> None:
    assert f'fallback-version = "{testbed.__version__}" ' in (ROOT / "pyproject.toml").read_text()


def _invoke(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "invoke", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def _records(pcap: bytes) -> list[bytes]:
    """Return a pcap's header and its records."""
    found, at = [pcap[:24]], 24
    while at < len(pcap):
        size = int.from_bytes(pcap[at + 8 : at + 12], "little")
        found.append(pcap[at : at + 16 + size])
        at += 16 + size
    return found
