"""Where a cause is easily guessed wrong: who wrote which byte is told by the bytes themselves, on a real kernel."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pytest

from testbed.lab.namespace import lab_orders, machine
from testbed.lab.namespace.namespace_engine import Namespaces
from testbed.model import Crossing, Host, Outcome
from testbed.model.absences import NoPacketReason
from testbed.report.evidence_text import sentence
from testbed.report.json.result_file import result_of
from testbed.run.live_lab import Finished, run
from testbed.scenario.load import load

from .coverage import uncovered_bytes, unexplained_packets

PROGRAMS = Path(__file__).parent / "programs"
Run = Callable[[str], Finished]


@pytest.fixture(scope="module")
def run_here(namespaces: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Run a scenario in namespaces in which /opt/programs holds this folder's programs, those in C compiled."""
    del namespaces
    root = tmp_path_factory.mktemp("hard")
    programs = shutil.copytree(PROGRAMS, root / "programs")
    for source in programs.glob("*.c"):
        words = ("gcc", "-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-pthread")
        subprocess.run([*words, "-o", str(source.with_suffix("")), str(source)], check=True)

    def call(text: str) -> Finished:
        path = root / "hard.yaml"
        path.write_text(text)
        return run(load(path), root=root, make_engine=Namespaces(), progress=lambda _: None)

    ours = {"programs": machine.Ours(made={"/opt/programs": str(programs)})}
    with pytest.MonkeyPatch.context() as patch:
        for module in (machine, lab_orders):
            patch.setattr(module, "IMAGES", {**machine.IMAGES, **ours})
        yield call


def python(client: str, server: str = "drain.py 10011", more: str = "") -> str:
    """Return a scenario of two Python programs."""
    return native(f"/usr/bin/python3 /opt/programs/{client}", server, more)


def native(client: str, server: str = "drain.py 10011", more: str = "") -> str:
    """Return a scenario of a client of any kind and a Python server."""
    return (
        "summary: x\ntimeout: 1m\n"
        f"server: {{image: programs, command: /usr/bin/python3 /opt/programs/{server}, ready: {{port: 10011}}, "
        "until: client-ends}\n"
        f"client: {{image: programs, command: '{client}'}}\n{more}"
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
    assert unexplained_packets(result_of(finished.directory, finished.analysis)) == []
    assert uncovered_bytes(result_of(finished.directory, finished.analysis)) == []
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


@pytest.mark.parametrize("observer", ["probe", "strace"])
def test_native_threads_and_copies(observer: str, run_here: Run) -> None:
    """Threads of a C program, which no interpreter lets run one at a time; and the close of a copy sends nothing."""
    cases = ("native-threads", "copies")
    observe = f"observe: {{client: {observer}}}"
    finished = run_here(native(f"/opt/programs/writes {{server}} 10011 {' '.join(cases)}", more=observe))
    assert check_writers(finished) == set(cases)
    calls = finished.analysis.inputs.calls["client"]
    (copy,) = (call for call in calls if call.name == "dup")
    closed = next(call for call in calls if call.name == "close" and call.fd == copy.result)
    reason = finished.analysis.no_packet["client", closed.n]
    assert reason.reason is NoPacketReason.OPEN_UNTIL
    assert reason.call is not None
    assert reason.call.name == "close"


@pytest.mark.parametrize("observer", ["probe", "strace"])
def test_what_io_uring_sends_is_given_to_no_call(observer: str, run_here: Run) -> None:
    """No observer but the kernel's trace sees it: no call is its bytes' cause, and the calls beside keep their own."""
    observe = f"observe: {{client: {observer}, kernel: false}}"
    finished = run_here(native("/opt/programs/writes {server} 10011 uring", more=observe))
    analysis = finished.analysis
    sent = [each for each in analysis.inputs.joined.crossings if each.sender == "client" and each.length]
    found = [(each.payload.partition(b".")[0], analysis.causes[each.n].rule) for each in sent]
    assert found == [(b"send", "data"), (b"unseen", "unlogged-data"), (b"send", "data")]
    first, unseen, last = (analysis.causes[each.n] for each in sent)
    names = {call.n: call.data for call in analysis.inputs.calls["client"]}
    assert [names[n] for n in first.calls + last.calls] == [sent[0].payload, sent[2].payload]
    assert unseen.calls == ()
    assert "io_uring may have" in sentence(unseen.evidence)
    (row,) = (row for row in analysis.ledger if row.sender == "client")
    assert row.written.bytes is None
    assert row.close is not None
    assert row.close.unlogged == sent[1].length


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may read the kernel's trace")
def test_what_io_uring_sends_is_told_by_the_kernel(run_here: Run) -> None:
    """Beside the probe: a call of its own, between the two that the probe saw, and the ledger is whole."""
    finished = run_here(native("/opt/programs/writes {server} 10011 uring"))
    analysis = finished.analysis
    written = [call for call in analysis.inputs.calls["client"] if call.direction == "out" and call.length]
    assert [(call.name, call.kernel_only) for call in written] == [
        ("send", False),
        ("io_uring_send", True),
        ("send", False),
    ]
    (row,) = (row for row in analysis.ledger if row.sender == "client")
    assert row.written.bytes == row.read.bytes == sum(call.length for call in written)
    assert analysis.outcome is Outcome.PASS, analysis.reasons


def test_a_stream_whose_sequence_numbers_wrap(run_here: Run) -> None:
    """The client opens connections until the kernel gives it a number near 2^32, and sends until it is past that."""
    finished = run_here(native("/opt/programs/wrap {server} 10011", server="numbers.py 10011"))
    analysis = finished.analysis
    long = max(analysis.inputs.joined.crossings, key=lambda each: each.end).flow
    of_it = [each for each in analysis.inputs.joined.crossings if each.flow == long and each.sender == "client"]
    data = [each for each in of_it if each.length]
    raw = [each.raw_seq for each in data]
    assert max(raw) > 2**32 - (9 << 20)
    assert min(raw) < 1 << 20
    pieces = re.findall(rb"at (\d+);", stream_of(data))
    assert list(map(int, pieces)) == list(range(0, len(pieces) << 16, 1 << 16))
    assert unexplained_packets(result_of(finished.directory, finished.analysis)) == []
    assert uncovered_bytes(result_of(finished.directory, finished.analysis)) == []
    assert analysis.outcome is Outcome.PASS, analysis.reasons
    (row,) = (row for row in analysis.ledger if row.flow == long and row.sender == "client")
    assert row.sent.bytes == row.read.bytes == row.acknowledged.bytes == row.written.bytes
    assert row.difference is None
