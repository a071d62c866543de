"""Packets on their way as watching begins and ends are in one capture only, and were not lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.model import HOSTS, Host
from testbed.watch.edges import EDGE, all_written, leave_out_edges
from tests.builders.frames import CLIENT, SERVER, ethernet, pcap, tcp

DELAY = 1_000_000
BEGUN, ENDED = 100 * EDGE, 110 * EDGE


def test_only_what_was_on_its_way_is_left_out(tmp_path: Path) -> None:
    """Of segments sent every 400 ms, some before, some after, one lost in the middle."""
    sent = [(BEGUN - EDGE + n * 400_000_000, n) for n in range(30)]
    at_client = [(time, n) for time, n in sent]
    at_server = [(time + DELAY, n) for time, n in sent if n != 15]
    # on their way: one left just before watching began, one arrives after it has ended
    at_client += [(BEGUN - DELAY // 2, 100), (ENDED - DELAY // 2, 101)]
    at_server += [(BEGUN + DELAY // 2, 100), (ENDED + DELAY // 2, 101)]
    paths: dict[Host, Path] = {host: tmp_path / f"{host}.pcap" for host in HOSTS}
    for host, packets in (("client", at_client), ("server", at_server)):
        frames = [(time, ethernet(tcp(b"x" * 10, seq=n * 10, ack=1, ident=n))) for time, n in sorted(packets)]
        (tmp_path / f"{host}.pcap").write_bytes(pcap(frames))
    left_out = leave_out_edges(paths, {"client": [CLIENT], "server": [SERVER]}, BEGUN, ENDED)
    assert left_out == {"client": 1, "server": 1}
    inside = [(time, n) for time, n in sent if BEGUN <= time <= ENDED]
    for host, moved in (("client", 0), ("server", DELAY)):
        frames = [
            (time + moved, ethernet(tcp(b"x" * 10, seq=n * 10, ack=1, ident=n)))
            for time, n in inside
            if n != 15 or host == "client"
        ]
        assert (tmp_path / f"{host}.pcap").read_bytes() == pcap(frames)


@pytest.mark.parametrize(
    ("counted", "whole"),
    [
        ({"captured": 5, "received by filter": 5}, True),
        ({"captured": 5, "received by filter": 7}, False),  # two waited as it ended
        ({}, False),  # it was killed
    ],
)
def test_what_tcpdump_had_not_written_is_known_by_its_counters(counted: dict[str, int], whole: bool) -> None:
    assert all_written(counted) is whole
