"""Two runs that are the same to the last bit, and the first place in which others differ."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from testbed.report.text.exact_text import IDENTICAL, exact_lines
from testbed.run.exact_difference import ArtefactDifference, exact_differences
from testbed.rundir.layout import RunDirectory
from tests.builders.retimed_run import retimed

KEPT = next((Path(__file__).parents[2] / "data/run-v1/server-reads-once").iterdir())


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return shutil.copytree(KEPT, tmp_path / "copy")


def found(copy: Path) -> dict[str, ArtefactDifference]:
    return {each.artefact: each for each in exact_differences(RunDirectory(KEPT), RunDirectory(copy))}


def test_a_copy_of_a_run_is_the_same_and_its_manifest_does_not_matter(copy: Path) -> None:
    (copy / "manifest.json").write_text("{}")
    assert found(copy) == {}
    assert exact_lines(()) == [IDENTICAL]


def test_one_nanosecond_is_found_in_each_capture_and_log(tmp_path: Path) -> None:
    later = found(retimed(KEPT, tmp_path / "later", lambda time: time + 1))
    assert later["client.pcap"] == ArtefactDifference("client.pcap", "frame", 1, ("time",), 1)
    assert later["server.calls.jsonl"].what == ("start", "end")
    assert later["server.calls.jsonl"].apart == 1
    assert "client.pcap: frame 1: time differs (1 ns later in the second)" in exact_lines(tuple(later.values()))


def test_one_bit_of_a_packet_is_found(copy: Path) -> None:
    capture = bytearray((copy / "server.pcap").read_bytes())
    capture[-1] ^= 1
    (copy / "server.pcap").write_bytes(capture)
    (name,) = found(copy)
    assert (name, found(copy)[name].what, found(copy)[name].place > 3) == ("server.pcap", ("bytes",), True)


def test_what_only_one_run_has_is_found(copy: Path) -> None:
    log = copy / "client.calls.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:-1]))
    (copy / "server.out").unlink()
    shown = exact_lines(tuple(found(copy).values()))
    assert "server.out: only one run has it" in shown
    assert any(
        line.startswith("client.calls.jsonl: line ") and line.endswith(": only one run has it") for line in shown
    )


def test_a_damaged_file_differs_as_a_whole(copy: Path) -> None:
    (copy / "client.pcap").write_bytes(b"no capture")
    assert found(copy)["client.pcap"] == ArtefactDifference("client.pcap", what=("content",))
