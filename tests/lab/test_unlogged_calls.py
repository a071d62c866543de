"""Calls that no preloaded library sees, told by the kernel's trace: alone, and beside the probe."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.lab.namespace import lab_orders, machine
from testbed.lab.namespace.namespace_engine import Namespaces
from testbed.model import Analysis, Call, Outcome
from testbed.run.live_lab import run
from testbed.scenario.load import load

SCENARIO = """
summary: standard I/O, system calls made directly, and a child that keeps the socket
server:
  steps:
    - {{socket: udp, as: datagrams}}
    - {{bind: ":10011", on: datagrams}}
    - {{listen: 10011}}
    - {{accept: , as: stream}}
    - {{send: "hello\\n", on: stream}}
    - {{recv: 9, on: datagrams}}
    - {{recv: 9, on: datagrams}}
    - {{recv_all: , on: stream}}
client:
  image: unlogged
  command: [/opt/unlogged/{name}, "{{server}}", 10011]
observe: {{client: {observer}, kernel: offered}}
expect:
  - {{ledger: {{client: {{written: 6, sent: 6, arrived: 6, acknowledged: 6, read: 6, unread: 0}}}}, connection: 1}}
"""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may read the kernel's trace")


@pytest.fixture(scope="module")
def observe(namespaces: None, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Analysis]:
    """Run the program, static or not, under an observer, in namespaces."""
    del namespaces
    root = tmp_path_factory.mktemp("unlogged")
    root.chmod(0o755)
    (root / "made").mkdir()
    source = Path(__file__).parent / "programs" / "unlogged.c"
    for name, flags in (("dynamic", ()), ("static", ("-static",))):
        subprocess.run(["cc", *flags, "-o", root / "made" / name, source], check=True)
    ours = {"unlogged": machine.Ours(made={"/opt/unlogged": str(root / "made")})}

    def call(name: str, observer: str) -> Analysis:
        path = root / "unlogged.yaml"
        path.write_text(SCENARIO.format(name=name, observer=observer))
        with pytest.MonkeyPatch.context() as patch:
            for module in (machine, lab_orders):
                patch.setattr(module, "IMAGES", {**machine.IMAGES, **ours})
            return run(load(path), root=root, make_engine=Namespaces(), progress=lambda _: None).analysis

    return call


def _moving(analysis: Analysis) -> list[Call]:
    return [call for call in analysis.inputs.calls["client"] if call.direction is not None and call.length]


@pytest.mark.parametrize(("name", "observer", "chosen"), [("static", "auto", "trace"), ("dynamic", "auto", "probe")])
def test_the_ledger_is_whole_whatever_the_program_calls(
    name: str, observer: str, chosen: str, observe: Callable[[str, str], Analysis]
) -> None:
    """Each byte and datagram by a call of its own, in order; beside the probe those are marked that it missed."""
    analysis = observe(name, observer)
    assert analysis.outcome is Outcome.PASS, analysis.reasons
    assert analysis.inputs.observed["client"] == chosen
    assert "client" in analysis.inputs.proven
    moving = _moving(analysis)
    told = [(call.name, call.direction, call.length) for call in moving]
    assert told == [
        ("read", "in", 6),
        ("send", "out", 3),
        ("write", "out", 3),
        ("sendmmsg", "out", 5),
        ("sendmmsg", "out", 6),
    ]
    assert all(call.kernel_only == (chosen == "probe") for call in moving)
    assert all(row.read.bytes == row.written.bytes is not None for row in analysis.ledger)


def test_the_last_process_that_holds_the_socket_sends_the_fin(observe: Callable[[str, str], Analysis]) -> None:
    """The program has closed it and ended; the child that posix_spawn made still has it, and ends."""
    analysis = observe("static", "trace")
    calls = analysis.inputs.calls["client"]
    (child,) = (call.result for call in calls if call.name == "fork")
    (fin,) = (
        cause
        for crossing, cause in zip(analysis.inputs.joined.crossings, analysis.causes, strict=True)
        if crossing.sender == "client" and "F" in crossing.flags
    )
    made = [calls[n] for n in fin.calls]
    assert [(call.name, call.pid) for call in made] == [("exit", child)]
