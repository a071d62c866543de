"""Windows programs under Wine: how their calls are found, and what is said of what cannot be seen."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.lab.namespace import lab_orders, machine
from testbed.lab.namespace.namespace_engine import Namespaces
from testbed.lab.observers.winsock_observer import STARTER
from testbed.model import Analysis, Outcome, Program, StopReason
from testbed.report.json.result_file import result_of
from testbed.run.live_lab import Finished, run
from testbed.scenario.load import load

from .coverage import uncovered_bytes, unexplained_packets

WINDOWS = machine.IMAGES["winsock"]
GDBSERVER = Path("/usr/share/win64/gdbserver.exe")
CLIENT = """
summary: a Windows client asks, a server answers
timeout: 30s
server:
  steps: [{listen: 10011}, {accept: }, {recv_all: }, {send: answer}, {close: }]
client:
  image: windows
  command: wine /opt/windows/windows.exe {server} 10011 MODE
  exit: any
"""
STOCK = """
summary: Debian's gdbserver for Windows, unmodified, and a client that speaks its protocol
server:
  image: windows
  command: wine /usr/share/win64/gdbserver.exe --once --multi 0.0.0.0:10011
  ready: {port: 10011}
  exit: any
client:
  steps:
    - connect: server:10011
    - send: "+$qSupported#37"
    - recv: 1
    - shutdown: write
    - recv_all:
    - close:
"""


@pytest.fixture(scope="module")
def on_wine(namespaces: None, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Finished]:
    """Run a scenario whose image `windows` has the programs that are compiled here, in namespaces."""
    del namespaces
    lacking = machine.missing(WINDOWS.programs)
    if lacking:
        if os.environ.get("CI"):
            pytest.fail(f"CI must have {machine.install_command(lacking)}")
        pytest.skip("no Wine on this machine")
    root = tmp_path_factory.mktemp("windows")
    root.chmod(0o755)
    (root / "made").mkdir(mode=0o755)
    compiler = shutil.which(machine.WINDOWS_COMPILER)
    assert compiler is not None
    source = Path(__file__).parent / "windows" / "windows.c"
    words: list[str | Path] = [
        compiler,
        "-Wall",
        "-Wextra",
        "-Werror",
        "-O2",
        "-o",
        root / "made" / "windows.exe",
        source,
        "-lws2_32",
    ]
    subprocess.run(words, check=True, timeout=300)
    ours = {"windows": machine.Ours(WINDOWS.programs, {**WINDOWS.made, "/opt/windows": str(root / "made")})}

    def call(scenario: str) -> Finished:
        path = root / "windows.yaml"
        path.write_text(scenario)
        with pytest.MonkeyPatch.context() as patch:
            for module in (machine, lab_orders):
                patch.setattr(module, "IMAGES", {**machine.IMAGES, **ours})
            return run(load(path), root=root, make_engine=Namespaces(), progress=lambda _: None)

    return call


@pytest.mark.parametrize("mode", ["late", "old"])
def test_functions_that_a_program_finds_itself_are_seen(on_wine: Callable[[str], Finished], mode: str) -> None:
    """GetProcAddress leads to the log as imports do, also by wsock32, which forwards: each packet has its call."""
    finished = on_wine(CLIENT.replace("MODE", mode))
    analysis = finished.analysis
    assert analysis.outcome is Outcome.PASS, analysis.reasons
    assert analysis.inputs.observed["client"] == "winsock"
    names = [call.name for call in analysis.inputs.calls["client"]]
    assert names == ["socket", "connect", "send", "shutdown", "recv", "recv", "closesocket", "exit"]
    result = result_of(finished.directory, analysis)
    assert unexplained_packets(result) == []
    assert uncovered_bytes(result) == []
    assert [(row["written"]["bytes"], row["read"]["bytes"]) for row in result["ledger"]] == [(8, 8), (6, 6)]
    assert all(row["difference"] is None for row in result["ledger"])


@pytest.mark.skipif(
    not GDBSERVER.exists() and not os.environ.get("CI"), reason="no gdb-mingw-w64-target on this machine"
)
def test_a_stock_windows_program(on_wine: Callable[[str], Finished]) -> None:
    """Debian's own gdbserver.exe: what it answers is in the ledger, by its calls."""
    finished = on_wine(STOCK)
    analysis = finished.analysis
    assert analysis.outcome is Outcome.PASS, analysis.reasons
    names = [call.name for call in analysis.inputs.calls["server"]]
    order = [names.index(name) for name in ("socket", "bind", "listen", "accept", "recv", "send")]
    assert order == sorted(order)
    result = result_of(finished.directory, analysis)
    assert unexplained_packets(result) == []
    assert uncovered_bytes(result) == []
    asked, answered = result["ledger"]
    assert asked["read"]["bytes"] == 15
    assert answered["written"]["bytes"] == answered["read"]["bytes"] > 100


def test_bytes_of_overlapped_calls_are_not_known_and_that_is_said(on_wine: Callable[[str], Finished]) -> None:
    analysis = on_wine(CLIENT.replace("MODE", "overlapped")).analysis
    assert analysis.outcome is Outcome.INCONCLUSIVE
    assert any("`windows.exe`: it made overlapped calls" in reason for reason in analysis.reasons), analysis.reasons


def test_a_program_whose_child_makes_the_calls_is_told_of(on_wine: Callable[[str], Finished]) -> None:
    analysis = on_wine(CLIENT.replace("MODE", "child")).analysis
    assert analysis.outcome is Outcome.INCONCLUSIVE
    assert any("winsock saw no call of `/opt/windows/windows.exe`" in reason for reason in analysis.reasons)


def test_what_was_logged_survives_a_crash(on_wine: Callable[[str], Finished]) -> None:
    """The calls until then are there, and the bytes that they sent."""
    analysis = on_wine(CLIENT.replace("MODE", "crash")).analysis
    assert question_was_sent(analysis).end.status != 0


def test_a_server_of_wine_that_dies_ends_the_run(on_wine: Callable[[str], Finished]) -> None:
    """The program waits for it without end: the run does not, says why, and keeps what was logged."""
    analysis = on_wine(CLIENT.replace("MODE", "orphan")).analysis
    assert analysis.outcome is Outcome.INCONCLUSIVE
    assert any("wineserver) on the client died" in reason for reason in analysis.reasons), analysis.reasons
    assert question_was_sent(analysis).end.stopped is StopReason.WINE_DIED


def question_was_sent(analysis: Analysis) -> Program:
    """Check what the client's log must have where it ended after its first send; return how it ended."""
    calls = [call.name for call in analysis.inputs.calls["client"]]
    assert calls[:3] == ["socket", "connect", "send"]
    assert "closesocket" not in calls
    (row,) = (row for row in analysis.ledger if row.sender == "client")
    assert (row.written.bytes, row.sent.bytes, row.arrived.bytes) == (8, 8, 8)
    assert not any(cause.kind.value == "unknown" for cause in analysis.causes)
    (program,) = (each for each in analysis.inputs.programs if each.host == "client")
    return program


def test_a_host_without_the_starter_is_unsupported(on_wine: Callable[[str], Finished]) -> None:
    """The observer is asked for where its library is not there: what to do is said."""
    text = CLIENT.replace("MODE", "late").replace("image: windows", "image: host") + "observe: {client: winsock}\n"
    with pytest.raises(Exception, match="has no " + STARTER):
        on_wine(text)


def test_a_linux_program_is_not_for_this_observer(on_wine: Callable[[str], Finished]) -> None:
    text = CLIENT.replace("command: wine /opt/windows/windows.exe", "command: /bin/echo").replace("MODE", "late")
    with pytest.raises(Exception, match="the client's command is `/bin/echo`"):
        on_wine(text + "observe: {client: winsock}\n")
