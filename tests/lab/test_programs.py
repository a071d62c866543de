"""Programs that know nothing of the testbed, under the observers that can see them: every packet, every byte."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testbed.lab.namespace import lab_orders, machine
from testbed.lab.namespace.namespace_engine import Namespaces
from testbed.model import Outcome
from testbed.report.json.result_file import result_of
from testbed.run.live_lab import Finished, run
from testbed.scenario.load import load

from .conftest import ROOT, Invoke, docker_slow
from .coverage import uncovered_bytes, unexplained_packets

POINTS = ("written", "sent", "arrived", "acknowledged", "read")
GO = """
summary: a client and a server in Go
server:
  image: go
  command: /opt/go/echo server 0.0.0.0:10011
  ready: {port: 10011}
client:
  image: go
  command: /opt/go/echo client {server}:10011
"""


def _all_told(result: dict[str, Any]) -> None:
    """Every packet has a cause, every byte its place, and as many were read as were written."""
    assert unexplained_packets(result) == []
    assert uncovered_bytes(result) == []
    assert result["ledger"]
    for row in result["ledger"]:
        assert len({row[point]["bytes"] for point in POINTS}) == 1, row
        assert row["written"]["bytes"] is not None
        assert row["difference"] is None


@pytest.fixture(scope="module")
def run_go(namespaces: None, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Finished]:
    """Run the Go program under an observer, in namespaces: statically linked, without the C library."""
    del namespaces
    go = shutil.which("go")
    if go is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have Go")
        pytest.skip("no Go compiler here: apt-get install golang-go")
    root = tmp_path_factory.mktemp("go")
    root.chmod(0o755)
    source = Path(__file__).parent / "programs" / "echo.go"
    environment = {**os.environ, "CGO_ENABLED": "0", "GO111MODULE": "off", "GOCACHE": str(root / "cache")}
    subprocess.run([go, "build", "-o", root / "made" / "echo", source], env=environment, check=True, timeout=300)
    ours = {"go": machine.Ours(made={"/opt/go": str(root / "made")})}

    def call(observe: str) -> Finished:
        path = root / "go.yaml"
        path.write_text(f"{GO}observe: {observe}\n")
        with pytest.MonkeyPatch.context() as patch:
            for module in (machine, lab_orders):
                patch.setattr(module, "IMAGES", {**machine.IMAGES, **ours})
            return run(load(path), root=root, make_engine=Namespaces(), progress=lambda _: None)

    return call


def test_a_static_go_client_and_server_under_strace(run_go: Callable[[str], Finished]) -> None:
    """Go makes its system calls itself, from several threads: strace sees them, and nothing is unexplained."""
    finished = run_go("{client: strace, server: strace}")
    assert finished.analysis.outcome is Outcome.PASS, finished.analysis.reasons
    _all_told(result_of(finished.directory, finished.analysis))
    written = [call for call in finished.analysis.inputs.calls["client"] if call.direction == "out" and call.socket]
    assert [call.data for call in written] == [b"c", b"c", b"string"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may read the kernel's trace")
def test_a_static_go_client_and_server_by_the_kernels_trace(run_go: Callable[[str], Finished]) -> None:
    """auto: the trace, since the probe sees nothing of them; every byte by its call, without content."""
    finished = run_go("{client: auto, server: auto, kernel: offered}")
    analysis = finished.analysis
    assert analysis.outcome is Outcome.PASS, analysis.reasons
    assert analysis.inputs.observed == {"client": "trace", "server": "trace"}
    assert analysis.inputs.proven == {"client", "server"}
    _all_told(result_of(finished.directory, analysis))
    written = [call for call in analysis.inputs.calls["client"] if call.direction == "out" and call.socket]
    assert [(call.name, call.length) for call in written] == [("write", 1), ("write", 1), ("write", 6)]


def test_a_go_program_under_the_probe_is_told_of(run_go: Callable[[str], Finished]) -> None:
    """The probe sees nothing of it: without the kernel's trace inconclusive, and what would see it is said."""
    analysis = run_go("{client: probe, server: strace, kernel: false}").analysis
    assert analysis.outcome is Outcome.INCONCLUSIVE
    assert any(
        "a Go program, which is statically linked" in reason and "`strace` or `gdb` would see" in reason
        for reason in analysis.reasons
    ), analysis.reasons


@docker_slow
@pytest.mark.parametrize("name", ["redis-cli", "python-http"])
def test_stock_programs_under_gdb(name: str, invoke: Invoke, scenario: Callable[[str], str]) -> None:
    """Each call of redis-cli and of Python's interpreter is held; every packet and byte is told as without gdb."""
    text = (ROOT / "scenarios" / f"{name}.yaml").read_text().replace("observe: {", "observe: {client: gdb, ")
    assert "gdb" in text
    done = invoke("run", scenario(text), "--json")
    assert done.code == 0, done.out + done.err
    _all_told(done.json)
    calls = done.json["hosts"]["client"]["calls"]
    written = [call for call in calls if call["direction"] == "out" and call["socket"]]
    assert [call["length"] for call in written] == ([26] * 3 if name == "redis-cli" else [written[0]["length"]])
    assert all(call["packets"] and call["args"]["backtrace"] for call in written)
