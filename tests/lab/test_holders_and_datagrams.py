"""What the kernel does with a socket's holders and with datagrams, against what the analysis says of it."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from testbed.lab.namespace.namespace_engine import Namespaces
from testbed.model import Analysis, CauseName, Outcome
from testbed.report.evidence_text import sentence
from testbed.run.live_lab import run
from testbed.scenario.load import load

PROGRAMS = Path(__file__).parent / "programs"


def analysed(name: str, port: str, root: Path, observe: str) -> Analysis:
    """Run a program of ours at both ends, in namespaces."""
    source = base64.b64encode((PROGRAMS / f"{name}.py").read_bytes()).decode()
    start = f"import base64, sys; exec(base64.b64decode('{source}'))"
    path = root / f"{name}.yaml"
    path.write_text(
        f"""
summary: {name}
observe: {observe}
server: {{command: [python3, -c, "{start}", server], ready: {port}}}
client: {{command: [python3, -c, "{start}", client, "{{server}}"]}}
"""
    )
    finished = run(load(path), root=root, make_engine=Namespaces(), progress=lambda _: None)
    assert finished.analysis.outcome is Outcome.PASS, finished.analysis.reasons
    return finished.analysis


@pytest.mark.parametrize("observer", ["probe", "strace"])
def test_the_last_holder_of_a_socket_sends_the_fin(namespaces: None, tmp_path: Path, observer: str) -> None:
    """A child of posix_spawn, system or vfork by its end, one of fork by the exec that closes it."""
    del namespaces
    found = analysed("holders", "{port: 7001}", tmp_path, f"{{client: {observer}, server: {observer}}}")
    fins: dict[int | None, tuple[CauseName, str]] = {}
    for packet, cause in zip(found.inputs.joined.crossings, found.causes, strict=True):
        if packet.sender == "client" and "F" in packet.flags:
            fins[packet.flow] = cause.rule, sentence(cause.evidence)
    spawned, system, vfork, executed, plain = (fins[flow] for flow in range(5))
    for rule, why in (spawned, system, vfork):
        assert rule is CauseName.EXIT, why
    assert " ended with the socket open (exit " in system[1]
    assert " ended with the socket open (exit " in vfork[1]
    unlogged = "closed the last descriptor in a log; a process without one still held the socket"  # no kernel trace
    assert " ended with the socket open (exit " in spawned[1] or spawned[1].endswith(unlogged)
    assert executed[0] in (CauseName.EXIT, CauseName.FIN)
    assert "execve #" in executed[1]
    assert plain[1].startswith("close #")


def figures(found: Analysis) -> list[tuple[int | None, int | None]]:
    row = found.ledger[0]
    return [(count.bytes, count.datagrams) for count in (row.written, row.sent, row.arrived, row.read)]


def test_calls_and_datagrams_that_are_not_one_to_one(namespaces: None, tmp_path: Path) -> None:
    """MSG_MORE, UDP_CORK, UDP_SEGMENT, UDP_GRO, and a datagram that a cork holds for ever."""
    del namespaces
    found = analysed("datagrams", "{udp: 7002}", tmp_path, "{client: probe, server: probe}")
    assert [packet.payload[:2] for packet in found.inputs.joined.crossings] == [
        b"ab",
        b"ef",
        b"ss",
        b"ss",
        b"ss",
        b"en",
    ]
    assert {cause.rule for cause in found.causes} == {CauseName.DATAGRAM}
    assert figures(found) == [(2516, 7), (2511, 6), (2511, 6), (2511, 6)]
    assert found.ledger[0].difference is None
    reasons: dict[str, Any] = {call.data.decode(): found.no_packet.get(("client", call.n)) for call in sends(found)}
    assert [text for text, reason in reasons.items() if reason is not None] == ["never"]


def sends(found: Analysis) -> list[Any]:
    return [call for call in found.inputs.calls["client"] if call.name == "send"]
