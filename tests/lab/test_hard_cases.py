"""Where a cause is easily guessed wrong: who wrote which byte is told by the bytes themselves, on a real kernel."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pytest

from testbed.lab.namespace import machine, plan
from testbed.lab.namespace.engine import Namespaces
from testbed.model import Crossing, Host, Outcome
from testbed.run import Finished, run
from testbed.scenario.load import load

from .coverage import uncovered_bytes, unexplained_packets

PROGRAMS = Path(__file__).parent / "programs"
Run = Callable[[str], Finished]


@pytest.fixture(scope="module")
def run_here(namespaces: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Run a scenario in namespaces in which /opt/programs holds this folder's programs."""
    del namespaces
    root = tmp_path_factory.mktemp("hard")

    def call(text: str) -> Finished:
        path = root / "hard.yaml"
        path.write_text(text)
        return run(load(path), root=root, make_engine=Namespaces(), progress=lambda _: None)

    ours = {"programs": machine.Ours(made={"/opt/programs": str(PROGRAMS)})}
    with pytest.MonkeyPatch.context() as patch:
        for module in (machine, plan):
            patch.setattr(module, "IMAGES", {**machine.IMAGES, **ours})
        yield call


def python(client: str, server: str = "drain.py 10011", more: str = "") -> str:
    return (
        "summary: x\ntimeout: 1m\n"
        f"server: {{image: programs, command: /usr/bin/python3 /opt/programs/{server}, ready: {{port: 10011}}, "
        "until: client-ends}\n"
        f"client: {{image: programs, command: '/usr/bin/python3 /opt/programs/{client}'}}\n{more}"
    )


@dataclass(frozen=True)
class Token:
    """What a program wrote with one call, and where it stands in the stream: ``CALL.CASE.PID.THREAD.NUMBER;``."""

    start: int
    end: int
    text: str

    @property
    def writer(self) -> tuple[str, int, int]:
        """The call's name, its process and its thread."""
        call, _, pid, thread, _ = self.text.rstrip("x;").split(".")
        return call, int(pid), int(thread)


def tokens(stream: bytes) -> list[Token]:
    """Cut a stream into its tokens; what is behind the last one is one that was cut short."""
    found = [Token(match.start(), match.end(), match[0].decode()) for match in re.finditer(rb"[^;]+;", stream)]
    assert not found or found[-1].end == len(stream), stream[-80:]
    return found


def stream_of(crossings: Iterable[Crossing]) -> bytes:
    """Put the payloads of one direction together; each byte as it was first sent."""
    stream = bytearray()
    for crossing in crossings:
        stream += crossing.payload[max(len(stream) - crossing.start, 0) :]
        assert len(stream) >= crossing.end, "a gap in what was sent"
    return bytes(stream)


def check_writers(finished: Finished, sender: Host = "client") -> set[str]:
    """Check every data segment: the calls that its cause names are those whose tokens it carries. Return the cases."""
    analysis = finished.analysis
    made = {call.n: call for call in analysis.inputs.calls[sender]}
    by_flow: dict[int, list[Crossing]] = {}
    for crossing in analysis.inputs.joined.crossings:
        if crossing.sender == sender and crossing.length and crossing.flow is not None:
            by_flow.setdefault(crossing.flow, []).append(crossing)
    cases: set[str] = set()
    for packets in by_flow.values():
        written = tokens(stream_of(packets))
        cases.update(token.text.split(".")[1] for token in written)
        for packet in packets:
            carried = [token for token in written if token.start < packet.end and token.end > packet.start]
            cause = analysis.causes[packet.n]
            calls = [made[n] for n in cause.calls if made[n].direction == "out"]
            wanted = [token.writer for token in carried]
            found = [(call.name, call.pid, call.tid) for call in calls]
            # A call that wrote a part makes another for the rest: both are of one token.
            assert [each for each, _ in groupby(found)] == [each for each, _ in groupby(wanted)], (packet, cause)
            for call in calls:
                assert not call.data or any(call.data.decode() in token.text for token in carried), (packet, call)
    assert unexplained_packets(finished.result) == []
    assert uncovered_bytes(finished.result) == []
    assert finished.analysis.outcome is Outcome.PASS, finished.analysis.reasons
    return cases


WRITES = ("interleaved", "threads", "forked", "passed", "inherited", "moves", "zerocopy", "urgent", "reused", "hundred")


@pytest.mark.parametrize("observer", ["probe", "strace"])
def test_every_byte_is_given_to_the_call_that_wrote_it(observer: str, run_here: Run) -> None:
    """Interleaved connections, threads, children, SCM_RIGHTS, exec, sendfile and the like: 115 connections."""
    finished = run_here(
        python(f"writes.py {{server}} 10011 {' '.join(WRITES)}", more=f"observe: {{client: {observer}}}")
    )
    assert check_writers(finished) == set(WRITES)
