"""ICMP errors belong to the flow that they quote, also where a NAT rewrites both, or only one of the two."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from testbed.capture.read_file import load, read
from testbed.cli.compare_command import compare as compare_files
from testbed.model.ip import ICMP
from testbed.pairing.compare_captures import Comparison
from testbed.pairing.flow_filter import parse_filter
from testbed.pairing.icmp_errors import IcmpError, errors_of_capture, errors_of_pairs
from testbed.pairing.packet_table import PacketTable
from testbed.pairing.same import count_differences
from testbed.report.text.icmp_text import error_text
from testbed.run.read_captures import read_one
from tests.builders.frames import CLIENT6, SERVER6, ethernet, icmp, ip, pcap, tcp, udp
from tests.builders.shared_captures import compare_files as compare_shared
from tests.builders.shared_captures import needs_corpus
from tests.builders.transfers import MS, compare_bytes

INSIDE, OUTSIDE, SERVER, ROUTER = "10.0.0.5", "203.0.113.9", "198.51.100.7", "198.51.100.1"
SAID = IcmpError(six=False, type=3, code=4, mtu=1400, by=ROUTER)


def capture(host: str, port: int, *, quoted: tuple[str, int] | None = None, at: int = 0, clients: int = 1) -> bytes:
    """Datagrams of some clients, and an error about the last one of each; all say the same and have no numbers."""
    frames = []
    for k in range(clients):
        address, own = (host.rsplit(".", 1)[0] + f".{5 + k}" if host == INSIDE else host), port + k
        sent: dict[str, Any] = {"dst": SERVER, "dport": 53, "ident": 0}
        for n in range(3):
            payload = struct.pack(">QQ", k, n) + bytes(1400)
            frames.append((at + 10**9 + (5 * n + k) * MS, ethernet(udp(payload, src=address, sport=own, **sent))))
        source, number = quoted or (address, own)
        about = udp(bytes(1416), src=source, sport=number, **sent)[:28]
        error = icmp(3, 4, 1400, about, src=ROUTER, dst=address, ident=0)
        frames.append((at + 10**9 + (20 + 3 * k) * MS, ethernet(error)))
    return pcap(frames)


def flows_of_errors(compared: Comparison) -> int:
    packets, flows = compared.packets[0], compared.flows[0]
    return sum(packets.ends[int(flows.conversation[a])].quoted is not None for a in compared.pairs.a.tolist())


@pytest.mark.parametrize("clients", [1, 3, 12])
def test_a_nat_that_rewrites_what_is_quoted_alters_nothing(clients: int) -> None:
    compared = compare_bytes(capture(INSIDE, 5000, clients=clients), capture(OUTSIDE, 20000, at=MS, clients=clients))
    counts = count_differences(compared)
    assert {name: count for name, count in counts.items() if count} == {"rewritten": 2 * clients}
    assert flows_of_errors(compared) == clients
    errors = errors_of_pairs(compared)
    assert sorted(errors) == [k for k in range(2 * clients) if k in errors]
    assert [(each.error, each.packets, each.misquoted) for one in errors.values() for each in one] == [
        (SAID, [1, 1], False)
    ] * clients
    for pair in errors:
        a, b = int(compared.pairs.a[pair]), int(compared.pairs.b[pair])
        ports = [set(compared.packets[k].ends[int(compared.flows[k].conversation[n])].ports) - {53}
                 for k, n in enumerate((a, b))]  # fmt: skip
        assert ports[1] == {port + 15000 for port in ports[0]}


def test_a_quote_that_was_not_rewritten_is_the_same_error_and_says_so() -> None:
    compared = compare_bytes(capture(INSIDE, 5000), capture(OUTSIDE, 20000, quoted=(INSIDE, 5000), at=MS))
    counts = count_differences(compared)
    assert {name: count for name, count in counts.items() if count} == {"rewritten": 2}
    ((about,),) = errors_of_pairs(compared).values()
    assert (about.error, about.packets, about.misquoted) == (SAID, [1, 1], True)


def test_an_error_whose_quote_is_damaged_is_still_the_same_packet() -> None:
    quote = udp(bytes(20), src=INSIDE, dst=SERVER)[:28]
    files = [pcap([ethernet(udp(bytes(20), src=INSIDE, dst=SERVER)),
                   ethernet(icmp(3, 3, 0, each, src=SERVER, dst=INSIDE, ident=77))])
             for each in (quote, b"\x99" + quote[1:], quote[:13] + b"\x09" + quote[14:])]  # fmt: skip
    for other, expected in zip(files[1:], ("altered", "rewritten"), strict=True):
        for ends in ((files[0], other), (other, files[0])):
            counts = count_differences(compare_bytes(*ends))
            assert counts[expected] == 1
            assert not any(counts[name] for name in ("alone", "lost", "appeared", "ambiguous"))


def test_an_error_that_a_device_in_between_sent_is_about_the_flow_although_one_capture_has_it() -> None:
    one = capture(INSIDE, 5000)
    two = pcap([(10**9 + (5 * n + 2) * MS, ethernet(udp(struct.pack(">QQ", 0, n) + bytes(1400), src=INSIDE, dst=SERVER,
                 sport=5000, dport=53, ident=0))) for n in range(3)])  # fmt: skip
    compared = compare_bytes(one, two)
    ((about,),) = errors_of_pairs(compared).values()
    assert (about.error, about.packets) == (SAID, [1, 0])
    assert count_differences(compared)["alone"] == 1


def test_errors_of_port_reuse_are_about_the_connection_that_had_begun() -> None:
    frames = []
    for k, isn in enumerate((1000, 900000)):
        segment: dict[str, Any] = {"src": INSIDE, "dst": SERVER, "sport": 5000, "dport": 80}
        frames += [tcp(flags=2, seq=isn, **segment), tcp(b"x" * 9, seq=isn + 1, **segment)]
        frames.append(icmp(11, 0, 0, tcp(b"x" * 9, seq=isn + 1, **segment)[:28], src=ROUTER, dst=INSIDE))
        frames.append(tcp(flags=20, seq=isn + 10, **segment))
        assert len(frames) == 4 * (k + 1)
    packets, flows = read_one(load(pcap([ethernet(each) for each in frames])))
    errors = errors_of_capture(packets, flows)
    assert [[(each.error.type, each.packets[0]) for each in errors[flow]] for flow in sorted(errors)] == [[(11, 1)]] * 2


QUOTES = {
    "UDP": (udp(b"hello", src=INSIDE, dst=SERVER)[:28], (17, INSIDE, SERVER, 4711, 10011)),
    "TCP": (tcp(b"hello", src=INSIDE, dst=SERVER)[:40], (6, INSIDE, SERVER, 4711, 10011)),
    "ports that are not quoted": (udp(src=INSIDE, dst=SERVER)[:23], (17, INSIDE, SERVER, 0, 0)),
    "a later fragment": (ip(bytes(8), 17, INSIDE, SERVER, fragment=5), (17, INSIDE, SERVER, 0, 0)),
    "a header with options": (
        b"\x46" + udp(src=INSIDE, dst=SERVER)[1:20] + bytes(4) + struct.pack(">HHI", 7, 9, 0),
        (17, INSIDE, SERVER, 7, 9),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(QUOTES))
def test_what_an_error_quotes_is_read(name: str) -> None:
    quote, expected = QUOTES[name]
    found = read(pcap([ethernet(icmp(3, 1, 0, quote, src=ROUTER, dst=INSIDE))]))
    assert found.quoted_rows.tolist() == [0]
    quoted = found.quoted
    ports = int(quoted.sport[0]), int(quoted.dport[0])
    assert (int(quoted.proto[0]), quoted.source(0), quoted.destination(0), *ports) == expected


def test_what_an_error_of_icmpv6_quotes_is_read_behind_extension_headers() -> None:
    datagram = udp(b"", src=CLIENT6, dst=SERVER6)
    behind = ip(b"\x11\x00" + bytes(6) + datagram[40:], 60, CLIENT6, SERVER6)
    body = struct.pack(">BBHI", 2, 0, 0, 1280) + behind
    found = read(pcap([ethernet(ip(body, 58, SERVER6, CLIENT6))]))
    assert (int(found.quoted.sport[0]), int(found.quoted.dport[0])) == (4711, 10011)
    packets, _ = read_one(load(pcap([ethernet(ip(body, 58, SERVER6, CLIENT6)), ethernet(datagram)])))
    assert ends_of_errors(packets) == [f"[{CLIENT6}]:4711 - [{SERVER6}]:10011"]


def ends_of_errors(packets: PacketTable) -> list[str]:
    return [" - ".join(sorted(map(each.quoted.end, (0, 1)))) for each in packets.ends if each.quoted]


def test_an_error_put_together_from_fragments_quotes_as_well() -> None:
    whole = icmp(3, 3, 0, udp(bytes(60), src=INSIDE, dst=SERVER), src=SERVER, dst=INSIDE)[20:]
    parts = [ip(whole[:48], 1, SERVER, INSIDE, fragment=0x2000), ip(whole[48:], 1, SERVER, INSIDE, fragment=6)]
    packets, _ = read_one(load(pcap(map(ethernet, parts))))
    assert ends_of_errors(packets) == [f"{INSIDE}:4711 - {SERVER}:10011"]


@pytest.mark.parametrize(
    ("text", "taken"),
    [("port 53", True), ("udp and port 53", True), ("icmp", True), ("tcp", False), ("not icmp", False)],
)
def test_a_filter_takes_errors_with_the_flow_that_they_quote(text: str, *, taken: bool) -> None:
    packets, _ = read_one(load(capture(INSIDE, 5000)))
    (ends,) = (each for each in packets.ends if each.quoted)
    assert parse_filter(text)(ends) is taken


def test_errors_have_names() -> None:
    assert error_text(SAID) == f"destination unreachable (fragmentation needed, MTU 1,400) from {ROUTER}"
    assert error_text(IcmpError(six=True, type=2, code=0, mtu=1280, by="::1")) == "packet too big (MTU 1,280) from ::1"
    assert error_text(IcmpError(six=False, type=12, code=7, mtu=None, by="a")) == "parameter problem (code 7) from a"


def test_the_summary_and_the_json_tell_of_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [tmp_path / name for name in ("one.pcap", "two.pcap")]
    paths[0].write_bytes(capture(INSIDE, 5000))
    paths[1].write_bytes(capture(OUTSIDE, 20000, quoted=(INSIDE, 5000), at=MS))
    compare_files([*map(str, paths)])
    told = capsys.readouterr().out
    assert f"ICMP about flow 1: {error_text(SAID)}, 1 at the client and 1 at the server; what lies" in told
    assert "rewrites the flow, but not what the error quotes" in told
    compare_files([str(paths[0])], as_json=True)
    alone = json.loads(capsys.readouterr().out)
    assert [[each["mtu"] for each in flow["icmp_errors"]] for flow in alone["flows"]] == [[1400], []]
    assert [flow["about"] for flow in alone["flows"]] == [None, f"{SERVER}:53 - {INSIDE}:5000"]


@needs_corpus
@pytest.mark.parametrize("name", ["pnat", "portmap", "endpoint", "sequence"])
def test_errors_whose_quotes_a_tool_left_alone_are_found(name: str) -> None:
    compared = compare_shared("pairs/tcpreplay-rewrites/original.pcap", f"pairs/tcpreplay-rewrites/rewrite_{name}.pcap")
    packets, flows = compared.packets[0], compared.flows[0]
    every = [flow for flow in range(len(flows)) if packets.ends[int(flows.conversation[flow])].quoted]
    assert len(every) == 5
    assert set(every) <= set(compared.pairs.a.tolist())
    assert not any(packets.protocol[compared.table.one[row]] == ICMP for row in np.flatnonzero(compared.table.changes))
    errors = errors_of_pairs(compared)
    assert sum(each.packets[0] for told in errors.values() for each in told) == 6
    assert {each.misquoted for told in errors.values() for each in told} == {name == "endpoint"}
