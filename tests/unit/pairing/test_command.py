"""``invoke compare``: what it prints and writes, and its exit codes."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scapy.utils import RawPcapNgReader

from testbed.cli.compare_command import compare
from tests.builders.frames import ethernet, pcap
from tests.builders.transfers import MS, Transfer, file_of, moved, rewritten, transfer

ROOT = Path(__file__).parents[3]


def run(client: Path | str, server: Path | str, **options: Any) -> int:
    plain = {"as_json": False, "csv": "", "merged": "", "html": "", "fail_on": "", "choose": "", "one_clock": False}
    return compare([str(client), str(server)], **{**plain, **options})


def written(folder: Path, made: Transfer, **options: Any) -> tuple[Path, Path]:
    paths = folder / "client.pcap", folder / "server.pcap"
    for path, packets in zip(paths, (made.client, made.server), strict=True):
        path.write_bytes(file_of(packets, **options))
    return paths


def test_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0: same, 1: something differs, 2: it cannot be compared; what counts can be chosen."""
    same = written(tmp_path, transfer())
    assert run(*same) == 0
    assert "same" in capsys.readouterr().out
    (tmp_path / "lost").mkdir()
    lost = written(tmp_path / "lost", transfer({3: "lost", 9: "window"}))
    assert run(*lost) == 1
    assert "differs: lost, altered" in capsys.readouterr().out
    assert run(*lost, fail_on="appeared,duplicated") == 0
    assert run(*lost, fail_on="lost") == 1
    capsys.readouterr()
    assert run(tmp_path / "none.pcap", same[1]) == 2
    assert "none.pcap: No such file or directory" in capsys.readouterr().err
    assert run(*same, fail_on="gone") == 2
    assert "`gone` is no category of differences" in capsys.readouterr().err
    assert run("-", "-") == 2


def test_captures_without_an_ip_packet_are_not_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of two files of ARP alone nothing is compared: they neither differ nor are the same."""
    arp = ethernet(bytes(28), ethertype=0x0806)
    path, other = tmp_path / "arp.pcap", written(tmp_path, transfer())[0]
    path.write_bytes(pcap([arp, arp]))
    assert run(path, path) == 3
    assert "inconclusive: neither capture has an IP packet" in capsys.readouterr().out
    assert run(path, path, as_json=True) == 3
    assert json.loads(capsys.readouterr().out)["same"] is False
    assert run(path, other) == 1


def test_json_has_everything_that_the_summary_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = transfer({3: "lost", 9: "window"})
    made.server = moved(made.server, offset=421 * MS)
    assert run(*written(tmp_path, made), as_json=True) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["differs"] == ["lost", "altered"]
    assert told["counts"]["lost"] == 1
    assert told["altered"] == {"window": 1}
    assert told["directions"]["client to server"]["retransmissions"] == {"needed": 1, "not_needed": 0, "unknown": 0}
    (flow,) = told["flows"]
    assert flow["mapping"] == "198.18.0.2:4711, 198.18.0.3:10011, TTL -3, sequence +0"
    assert flow["close"] == "client FIN, then server FIN"
    assert flow["handshake"]["text"].startswith("complete")
    (piece,) = told["clock"]["pieces"]
    assert abs(piece["offset"] - 421 * MS) <= piece["error"]


def test_csv_has_a_line_for_each_crossing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = transfer({3: "lost", 5: "duplicated", 7: "split"})
    assert run(*written(tmp_path, made), csv=str(tmp_path / "out.csv"), one_clock=True) == 1
    capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text())))
    assert len(rows) == len(made.client) + 2  # the copy, and two pieces of one
    assert [row["fate"] for row in rows if row["fate"] != "crossed"] == ["lost", "split", "split", "duplicated"]
    pieces = [(row["first_byte"], row["bytes"]) for row in rows if row["fate"] == "split"]
    assert pieces == [("0", "50"), ("50", "50")]
    for row in rows:
        if row["delay_ns"]:
            late = int(row["server_time_ns"]) - int(row["client_time_ns"])
            assert abs(late) == int(row["delay_ns"])


def test_the_merged_file_is_on_one_clock_and_keeps_nanoseconds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = transfer({3: "lost"}, segments=5)
    made.server = [*moved(made.server, offset=421 * MS + 7)]
    target = tmp_path / "merged.pcapng"
    run(*written(tmp_path, made), merged=str(target))
    capsys.readouterr()
    reader: Any
    with RawPcapNgReader(str(target)) as reader:
        packets = [(about.tshigh << 32 | about.tslow, about.ifname.decode(), about.comments) for _, about in reader]
    assert len(packets) == len(made.client) + len(made.server)
    assert sorted({name for _, name, _ in packets}) == ["client", "server"]
    assert [time for time, _, _ in packets] == sorted(time for time, _, _ in packets)
    assert {each.time for each in made.client} == {time for time, name, _ in packets if name == "client"}
    assert [comments for _, _, comments in packets if comments] == [[b"lost"]]


def test_frames_of_one_time_are_merged_in_the_order_in_which_they_passed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In virtual time a packet leaves, arrives and is answered at one time stamp."""
    made = transfer(segments=3)
    last = made.server[-1].time
    for end in (made.client, made.server):  # FIN, FIN+ACK and ACK: at one time
        end[-3:] = [replace(each, time=last) for each in end[-3:]]
    target = tmp_path / "merged.pcapng"
    run(*written(tmp_path, made), merged=str(target), one_clock=True)
    capsys.readouterr()
    reader: Any
    with RawPcapNgReader(str(target)) as reader:
        names = [about.ifname.decode() for _, about in reader]
    assert names[-6:] == ["client", "server", "server", "client", "client", "server"]


def test_a_filter_chooses_flows_at_either_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = transfer(segments=4), transfer({2: "lost"}, segments=4, seed=4, isns=(7, 9))
    two.client = rewritten(two.client, **ports(99))
    two.server = rewritten(two.server, **ports(88))  # through a NAT
    both = Transfer(one.client + two.client, one.server + two.server)
    paths = written(tmp_path, both)
    assert run(*paths) == 1
    assert run(*paths, choose="port 4711") == 0
    assert run(*paths, choose="tcp and host 198.18.0.2 and not port 99 and not port 88") == 0
    assert run(*paths, choose="port 88", fail_on="lost") == 1
    assert run(*paths, choose="port 99", fail_on="lost") == 1
    capsys.readouterr()
    assert run(*paths, choose="port 88", fail_on="duplicated") == 0
    assert "same in everything that --fail-on names; also found: lost, rewritten" in capsys.readouterr().out
    assert run(*paths, choose="port 12") == 1
    assert "no flow of either capture fits the filter" in capsys.readouterr().out
    assert run(*paths, choose="src host 1.2.3.4") == 2
    assert "'src' is unknown" in capsys.readouterr().err


def test_a_filter_that_only_flows_of_one_capture_fit_is_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = transfer(segments=4), transfer(segments=4, seed=4, isns=(7, 9))
    other.client = rewritten(other.client, **ports(99))
    paths = written(tmp_path, Transfer(one.client + other.client, one.server))
    assert run(*paths, choose="port 99") == 1
    assert "no flow of the second capture fits the filter" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["csv", "merged", "html"])
def test_a_file_is_not_written_to_standard_output(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*written(tmp_path, transfer(segments=2)), **{option: "-"}) == 2
    assert f"--{option} -: name a file" in capsys.readouterr().err


def ports(number: int) -> dict[str, Any]:
    return {
        "sport": lambda each: number if each.from_client else 10011,
        "dport": lambda each: 10011 if each.from_client else number,
    }


def test_standard_input_is_read(tmp_path: Path) -> None:
    client, server = written(tmp_path, transfer())
    command = [sys.executable, "-m", "invoke", "compare", "-", str(server)]
    with client.open("rb") as stream:
        done = subprocess.run(command, cwd=ROOT, stdin=stream, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "same"


def test_large_files_are_read_at_once_with_the_same_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from testbed.run import read_captures

    paths = written(tmp_path, transfer({3: "lost", 5: "late", 7: "payload"}))
    run(*paths, as_json=True)
    alone = json.loads(capsys.readouterr().out)
    monkeypatch.setattr(read_captures, "_WORTH", 0)
    run(*paths, as_json=True)
    assert json.loads(capsys.readouterr().out) == alone
    broken = tmp_path / "broken.pcap"
    broken.write_bytes(b"no capture")
    assert run(paths[0], broken) == 2
    assert "broken.pcap: not a capture file: byte 0" in capsys.readouterr().err
