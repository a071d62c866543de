"""The compose file that adds taps, and the runs that what they captured becomes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.model.errors import UsageError
from testbed.rundir.layout import MANIFEST
from testbed.watch.overlay import is_overlay_folder, overlay, runs_of
from testbed.watch.target import parse_target
from tests.builders.frames import CLIENT, SERVER, ethernet, pcap, tcp

SECOND = 10**9
OTHER = "198.18.0.9"
BACK: dict[str, Any] = {"src": SERVER, "dst": CLIENT, "sport": 10011, "dport": 4711}


def test_each_service_gets_a_tap_that_may_capture_and_nothing_else() -> None:
    text = overlay([parse_target(name) for name in ("server=redis", "api", "client=web")], "bothends/tap:1", 128)
    services = yaml.safe_load(text)["services"]
    assert list(services) == ["watch-web", "watch-api", "watch-redis"]
    for name, service in services.items():
        assert service["network_mode"] == f"service:{name.removeprefix('watch-')}"
        assert (service["cap_drop"], service["cap_add"]) == (["ALL"], ["NET_ADMIN", "NET_RAW"])
    (script,) = services["watch-api"]["command"]
    assert "-s 128 " in script
    assert "-w 2-api.pcap" in script


@pytest.mark.parametrize("names", [("api",), ("api", "pid:1"), ("api", "db.example:5432")])
def test_what_is_no_service_is_told(names: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        overlay([parse_target(name) for name in names], "image", 0)


def tapped(folder: Path, name: str, address: str, packets: list[bytes], *, log: str = "", killed: bool = False) -> None:
    path = folder / f"{name}.pcap"
    path.write_bytes(pcap([((20 + n) * SECOND, ethernet(packet)) for n, packet in enumerate(packets)]))
    interface = {"ifname": "eth0", "flags": ["UP"], "addr_info": [{"local": address, "scope": "global"}]}
    path.with_suffix(".json").write_text(json.dumps([interface]))
    path.with_suffix(".begun").write_text(str(10 * SECOND))
    path.with_suffix(".log").write_text(log)
    if not killed:
        path.with_suffix(".ended").write_text(str(90 * SECOND))


def test_two_services_that_talked_become_a_run_of_their_own_packets(tmp_path: Path) -> None:
    """What they said to others is left out, and so is whoever said nothing to them."""
    packets = [tcp(b"ab", seq=1), tcp(seq=1, ack=3, **BACK)]
    elsewhere = tcp(b"x", seq=1, src=CLIENT, dst=OTHER, dport=53)
    tapped(tmp_path, "1-web", CLIENT, [*packets, elsewhere])
    tapped(tmp_path, "2-api", SERVER, packets, log="7 packets dropped by kernel\n0 packets dropped by interface\n")
    tapped(tmp_path, "10-idle", "198.18.0.77", [])
    assert is_overlay_folder(tmp_path)
    (kept,) = runs_of(tmp_path)
    assert (kept.client, kept.server) == ("web", "api")
    manifest = kept.directory.read_json(MANIFEST)
    assert manifest["hosts"]["client"]["addresses"] == [CLIENT]
    assert manifest["incomplete"] == ["server: tcpdump says that 7 packets were dropped by kernel"]
    whole = pcap([((20 + n) * SECOND, ethernet(packet)) for n, packet in enumerate(packets)])
    assert kept.directory.file("client.pcap").read_bytes() == whole


def test_a_tap_that_was_killed_makes_the_run_incomplete(tmp_path: Path) -> None:
    packets = [tcp(b"ab", seq=1)]
    tapped(tmp_path, "1-web", CLIENT, packets, killed=True)
    tapped(tmp_path, "2-api", SERVER, packets)
    (kept,) = runs_of(tmp_path)
    assert "its tap was killed" in kept.directory.read_json(MANIFEST)["incomplete"][0]


def test_a_folder_without_captures_of_taps_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(pcap([]))
    assert not is_overlay_folder(tmp_path)
    with pytest.raises(UsageError, match="0 captures"):
        list(runs_of(tmp_path))
