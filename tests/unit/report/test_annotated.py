"""annotated.pcapng: both captures in one file with what is known of each packet, as tshark reads it."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dev.bench.long_run import long_run
from testbed.capture.containers.pcapng_write import Writer
from testbed.capture.read_file import read
from testbed.model import HOSTS
from testbed.report.captures import annotated_pcapng
from testbed.report.run_files import rebuild
from testbed.rundir.layout import RunDirectory

GDB_RUN = next((Path(__file__).parents[2] / "data/campaign-v1").glob("*/runs/gdb-three-segments/*"))
WITNESSED = next((Path(__file__).parents[2] / "data/witness-v1/keepalive-lookalike").iterdir())
needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="there is no tshark (apt-get install tshark)")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    analysis, captures = long_run(1_200)
    path = tmp_path_factory.mktemp("annotated") / annotated_pcapng.NAME
    with path.open("wb") as stream:
        annotated_pcapng.write(stream, analysis, captures)
    return path


def test_every_packet_of_both_captures_is_there_to_the_nanosecond(made: Path) -> None:
    _, captures = long_run(1_200)
    merged = read(made)
    assert merged.partial is None
    assert [interface.name for interface in merged.interfaces] == list(HOSTS)
    assert merged.time_ns.tolist() == sorted(merged.time_ns.tolist())
    for number, host in enumerate(HOSTS):
        rows = [row for row in range(len(merged)) if merged.interface[row] == number]
        capture = captures[host]
        assert [int(merged.time_ns[row]) for row in rows] == capture.time_ns.tolist()
        assert [merged.frame(row) for row in rows] == [capture.frame(row) for row in range(len(capture))]
        assert [int(merged.wire[row]) for row in rows] == capture.wire.tolist()


@needs_tshark
def test_tshark_shows_cause_call_and_fate_of_each_packet(made: Path) -> None:
    analysis, _ = long_run(1_200)
    fields = ["frame.time_epoch", "frame.interface_name", "tcp.len", "frame.comment"]
    command = ["tshark", "-r", str(made), "-T", "fields", "-E", "aggregator=|"]
    done = subprocess.run(
        [*command, *(word for field in fields for word in ("-e", field))], capture_output=True, text=True, check=True
    )
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    joined = analysis.inputs.joined
    assert len(lines) == joined.packets["client"] + joined.packets["server"]
    time, interface, _, comment = lines[0]
    assert time.replace(".", "") == str(joined.crossings[0].time)
    assert interface == "client"
    assert comment == (
        "#0 cause: call, connect: connect #0 opens the connection"
        "|call: client #0 connect(server:10011)|one way: 5.00 ms"
    )
    lost = [line for line in lines if "lost: not captured at the server" in line[3]]
    assert len(lost) == sum(crossing.fate == "lost" for crossing in joined.crossings) > 0
    assert all(line[1] == "client" for line in lost)
    assert all("cause: " in line[3] for line in lines)


@needs_tshark
def test_tshark_shows_where_in_the_program_a_real_runs_packets_come_from(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / GDB_RUN.name)
    shutil.copytree(GDB_RUN, directory.path)
    rebuild(directory)
    command = ["tshark", "-r", str(directory.file(annotated_pcapng.NAME)), "-T", "fields"]
    done = subprocess.run(
        [*command, "-e", "tcp.payload", "-e", "frame.comment"], capture_output=True, text=True, check=True
    )
    told = [line.split("\t")[1] for line in done.stdout.splitlines() if line.startswith(b"string".hex() + "\t")]
    assert len(told) == 2, "at both ends"
    assert all(re.search(r'call: client #\d+ send\("string"\) = 6 at client\.c:\d+', comment) for comment in told)


@needs_tshark
def test_tshark_shows_what_the_kernel_says_of_a_tail_loss_probe(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / WITNESSED.name)
    shutil.copytree(WITNESSED, directory.path)
    rebuild(directory)
    command = ["tshark", "-r", str(directory.file(annotated_pcapng.NAME)), "-T", "fields"]
    command += ["-Y", 'frame.comment contains "tail-loss-probe"']
    done = subprocess.run(
        [*command, "-E", "aggregator=|", "-e", "frame.comment"], capture_output=True, text=True, check=True
    )
    told = done.stdout.splitlines()
    assert len(told) == 2, "at both ends"
    for comment in told:
        assert [part for part in comment.split("|") if part.startswith("kernel: ")] == [
            "kernel: cause consistent: tcp_retransmit_skb in the Open state",
            "kernel: client sent it again (tcp_retransmit_skb)",
            "kernel: server dropped it: TCP_OLD_DATA in tcp_rcv_established",
            "kernel: sent with cwnd 10, ssthresh none, srtt 78 us, send window 65,160",
        ]


def test_a_run_without_a_witness_has_no_comment_of_the_kernels() -> None:
    analysis, captures = long_run(100)
    stream = io.BytesIO()
    annotated_pcapng.write(stream, analysis, captures)
    assert b"kernel: " not in stream.getvalue()


@needs_tshark
def test_comments_in_any_script_and_of_any_length_survive(tmp_path: Path) -> None:
    path = tmp_path / "x.pcapng"
    comments = ["ä 中 \N{GRINNING FACE}", "second", "x" * 100_000]
    with path.open("wb") as stream:
        writer = Writer(stream, application="test")
        number = writer.interface("client", 1)
        writer.packet(number, 1_700_000_000_123_456_789, bytes(61), 1500, comments)
    done = subprocess.run(
        [
            "tshark",
            "-r",
            str(path),
            "-T",
            "fields",
            "-E",
            "aggregator=|",
            "-e",
            "frame.comment",
            "-e",
            "frame.len",
            "-e",
            "frame.time_epoch",
        ],
        capture_output=True,
        check=True,
    )
    told, length, time = done.stdout.decode().rstrip("\n").split("\t")
    first, second, third = told.split("|")
    assert [first, second] == comments[:2]
    assert set(third) == {"x"}
    assert (length, time) == ("1500", "1700000000.123456789")


def test_a_file_without_packets_can_be_read() -> None:
    stream = io.BytesIO()
    Writer(stream, application="test").interface("client", 1)
    capture = read(stream.getvalue())
    assert (len(capture), capture.partial) == (0, None)
