"""A scenario's link becomes these lines for the link program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6PacketTooBig, IPv6

from testbed.model import HOSTS, Host
from testbed.model.hosts import HostAddresses, IpVersion
from testbed.scenario.link.link_plan import LinkPlan, link_plan
from testbed.scenario.load import parse

HOSTS4: dict[Host, str] = {"client": "198.18.0.2", "server": "198.18.1.3"}
LINK4: dict[Host, str] = {"client": "198.18.0.4", "server": "198.18.1.4"}
HOSTS6: dict[Host, str] = {"client": "fd00::2", "server": "fd01::3"}
LINK6: dict[Host, str] = {"client": "fd00::4", "server": "fd01::4"}


def plan(link: str, steps: str = "{close: }", ip: int | list[int] = 4) -> LinkPlan:
    text = (
        f"summary: s\nip: {ip}\nlink: {link}\nserver: {{steps: [{{listen: 80}}, {{barrier: b}}]}}\n"
        f"client: {{steps: [{{connect: 'server:80'}}, {{barrier: b}}, {steps}]}}\n"
    )
    scenario = parse(text.encode(), name="s", path=Path("s.yaml"), shown="s.yaml")
    return link_plan(scenario, places(HOSTS4, HOSTS6, scenario.ip), places(LINK4, LINK6, scenario.ip))


def places(four: dict[Host, str], six: dict[Host, str], ip: tuple[IpVersion, ...]) -> dict[Host, HostAddresses]:
    return {host: HostAddresses({each: ((four if each == 4 else six)[host],) for each in ip}) for host in HOSTS}


@pytest.mark.parametrize(
    ("link", "client", "server"),
    [
        ("routed", {}, {}),
        ("{delay: 200us}", {"delay": "200000", "jitter": "0"}, {"delay": "200000", "jitter": "0"}),
        ("{loss: 1%, client: {loss: 0.5}}", {"loss": "0.5"}, {"loss": "0.01"}),
        ("{server: {rate: 10Mbit, queue: 5}}", {}, {"rate": "10000000", "queue": "5"}),
        ("{client: {mtu: 1300}}", {"mtu": "1300", "icmp": "1"}, {}),
        ("{client: {mtu: {size: 1300, icmp: false}}}", {"mtu": "1300", "icmp": "0"}, {}),
        ("{client: {down: 2s}}", {"down_after": "0", "down_for": "2000000000"}, {}),
        ("{client: {down: {after: 1s, for: 2s}}}", {"down_after": "1000000000", "down_for": "2000000000"}, {}),
        ("{client: {reorder: 10%}}", {"reorder": "0.1", "behind": "1", "within": "50000000"}, {}),
    ],
)
def test_impairments(link: str, client: dict[str, str], server: dict[str, str]) -> None:
    """One direction's own come over those of both; what is not named is not set."""
    assert plan(link).settings == {"client": client, "server": server}


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        ("drop: {from: client, nth: 2, of: data}", "do=drop from=client of=data nth=2 count=1"),
        ("drop: {from: server, flags: .S, count: all}", "do=drop from=server of=any nth=1 count=0 flags=S."),
        ("duplicate: {from: client, payload: hi}", "do=duplicate from=client of=any nth=1 count=1 payload=6869"),
        ("drop: {from: client, bytes: 5-9}", "do=drop from=client of=any nth=1 count=1 bytes=5-9"),
        ("drop: {from: client, after: b}", "do=drop from=client of=any nth=1 count=1 after=b"),
        ("hold: {from: client, behind: 2}", "do=hold from=client of=any nth=1 count=1 for=50000000 behind=2"),
        ("truncate: {from: client, to: 3}", "do=truncate from=client of=any nth=1 count=1 to=3"),
        ("rewrite: {from: client, of: syn, mss: 1300}", "do=rewrite from=client of=syn nth=1 count=0 mss=1300"),
        ("rewrite: {from: client, ttl: 9, count: 2}", "do=rewrite from=client of=any nth=1 count=2 ttl=9"),
        ("corrupt: {from: client, checksum: fix}", "do=corrupt from=client of=any nth=1 count=1 fix=1"),
    ],
)
def test_faults(fault: str, line: str) -> None:
    assert plan(f"{{faults: [{{{fault}}}]}}").faults == (line,)


@pytest.mark.parametrize(
    ("link", "payload"),
    [
        ("{delay: 1ms, loss: 1%, faults: [{drop: {from: client}}]}", False),
        ("{client: {corrupt: 1%}}", True),
        ("{faults: [{truncate: {from: client, to: 1}}]}", True),
        ("{faults: [{rewrite: {from: client, ttl: 1}}]}", True),
        ("{faults: [{drop: {from: client, payload: x}}]}", True),
    ],
)
def test_whole_packets_are_read_only_where_payload_matters(link: str, payload: bool) -> None:
    assert plan(link).payload is payload


def test_a_change_that_needs_payload_is_seen_from_the_start() -> None:
    made = plan("routed", "{link: {duplicate: 100%, client: {down: 1s}}}")
    assert made.payload
    change = made.changes["client", 2]
    assert change.settings == {"client": {"duplicate": "1.0"}, "server": {"duplicate": "1.0"}}
    assert change.down == {"client": 1_000_000_000}


def raw(forge: str, ip: int = 4) -> tuple[dict[str, str], Any]:
    (line,) = plan(f"{{faults: [{{forge: {{from: client, {forge}}}}}]}}", ip=ip).faults
    keys = dict(pair.split("=") for pair in line.split())
    data = bytes.fromhex(keys["raw"])
    return keys, IP(data) if ip == 4 else IPv6(data)


def test_a_forged_rst_looks_as_if_the_other_host_had_sent_it() -> None:
    keys, packet = raw("packet: rst, as: server, seq: -5")
    assert (keys["as"], keys["fill"], keys["offset"]) == ("server", "tcp", "-5")
    assert (packet[IP].src, packet[IP].dst, packet[TCP].flags) == (HOSTS4["server"], HOSTS4["client"], "R")


def test_a_forged_segment_has_numbers_stamps_and_blocks_of_its_own() -> None:
    """The link adds those of the connection where the keys say."""
    keys, packet = raw(
        "of: data, packet: data, data: evil, as: server, seq: 4, ack: -3, window: 0,"
        " timestamps: {value: -1000, echo: 2}, sack: [10-19, 30-39]"
    )
    assert {key: keys[key] for key in ("as", "offset", "ack", "stamp", "value", "echo", "sack", "blocks")} == {
        "as": "server",
        "offset": "4",
        "ack": "-3",
        "stamp": "24",
        "value": "-1000",
        "echo": "2",
        "sack": "36",
        "blocks": "2",
    }
    header = bytes(packet["TCP"])
    assert (packet["TCP"].flags, packet["TCP"].window, header[-4:]) == ("PA", 0, b"evil")
    assert header[22:24] == b"\x08\x0a", "the option's kind and length stand before the time stamps"
    edges = [int.from_bytes(header[at : at + 4], "big") for at in range(36, 52, 4)]
    assert edges == [10, 20, 30, 40]


def test_a_state_table_that_forgets() -> None:
    """All packets from then on; a RST comes from the other host."""
    (silent,) = plan("{faults: [{forget: {from: client, silence: 200ms}}]}").faults
    assert silent == "do=forget from=client of=any nth=1 count=0 for=200000000"
    (answered,) = plan("{faults: [{forget: {from: client, silence: 1s, answer: rst, count: 2}}]}").faults
    assert "count=2 for=1000000000 as=server raw=" in answered
    assert answered.endswith("fill=tcp")


def test_a_forged_icmp_error_comes_from_the_link_and_goes_to_the_sender() -> None:
    keys, packet = raw("packet: unreachable, code: 1")
    assert (keys["as"], keys["fill"]) == ("server", "quote")
    assert (packet[IP].src, packet[IP].dst) == (LINK4["client"], HOSTS4["client"])
    assert (packet[ICMP].type, packet[ICMP].code) == (3, 1)
    _, packet = raw("packet: too-big, mtu: 1000")
    assert (packet[ICMP].type, packet[ICMP].code, packet[ICMP].nexthopmtu) == (3, 4, 1000)


def test_forged_packets_of_ip6() -> None:
    _, packet = raw("packet: too-big, mtu: 1300", ip=6)
    assert packet[ICMPv6PacketTooBig].mtu == 1300
    _, packet = raw("packet: unreachable", ip=6)
    assert (packet[IPv6].src, packet[ICMPv6DestUnreach].code) == (LINK6["client"], 4)


def test_a_forged_packet_of_a_dual_stack_lab_is_there_for_both_versions() -> None:
    """The link takes the one of the packet that it follows."""
    (line,) = plan("{faults: [{forge: {from: client, packet: unreachable}}]}", ip=[6, 4]).faults
    six, four = (bytes.fromhex(pair[4:]) for pair in line.split() if pair.startswith("raw="))
    assert (IPv6(six).src, IPv6(six)[ICMPv6DestUnreach].code) == (LINK6["client"], 4)
    assert (IP(four).src, IP(four)[ICMP].code) == (LINK4["client"], 3)


def test_patience_covers_delays_holds_and_a_slow_line() -> None:
    assert plan("routed").patience == 0
    assert plan("{delay: 100ms}").patience >= 0.4
    assert plan("{faults: [{hold: {from: client, for: 3s}}]}").patience >= 3
    assert plan("{rate: 1Mbit, queue: 100}").patience >= 1
