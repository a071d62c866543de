"""Flows, their generations and their relative numbers, from captures made by hand."""

from __future__ import annotations

from testbed.analysis.join.flows import HostPackets, find_flows
from testbed.analysis.join.join import join, sentinels
from testbed.capture.columns import Capture
from testbed.capture.read_file import read
from testbed.model import Endpoint, Flow, Host
from tests.builders.frames import (
    ACK,
    CLIENT,
    CLIENT6,
    FIN,
    PSH,
    RST,
    SERVER,
    SERVER6,
    SYN,
    ethernet,
    icmp,
    ip,
    pcap,
    tcp,
    udp,
)

HOSTS: dict[Host, list[str]] = {"client": [CLIENT, CLIENT6], "server": [SERVER, SERVER6]}


def up(payload: bytes = b"", **fields: int) -> bytes:
    return ethernet(tcp(payload, **fields))  # type: ignore[arg-type]


def down(payload: bytes = b"", **fields: int) -> bytes:
    return ethernet(tcp(payload, src=SERVER, dst=CLIENT, sport=10011, dport=4711, **fields))  # type: ignore[arg-type]


def of(frames: list[bytes], others: list[bytes] | None = None) -> tuple[tuple[Flow, ...], dict[Host, HostPackets]]:
    captures: dict[Host, Capture] = {
        "client": read(pcap(frames)),
        "server": read(pcap(frames if others is None else others)),
    }
    return find_flows(captures, HOSTS)[:2]


def handshake(client_isn: int = 1000, server_isn: int = 5000) -> list[bytes]:
    return [
        up(seq=client_isn, flags=SYN),
        down(seq=server_isn, ack=client_isn + 1, flags=SYN | ACK),
        up(seq=client_isn + 1, ack=server_isn + 1),
    ]


def test_numbers_count_as_wireshark_does_and_offsets_from_zero() -> None:
    frames = [*handshake(), up(b"abc", seq=1001, ack=5001, flags=PSH | ACK), up(seq=1004, ack=5001, flags=FIN | ACK)]
    flows, taps = of(frames)
    assert flows == (Flow(0, "tcp", Endpoint(CLIENT, 4711), Endpoint(SERVER, 10011), 1000, 5000),)
    assert taps["client"].seq.tolist() == [0, 0, 1, 1, 4]
    assert taps["client"].ack.tolist() == [0, 1, 1, 1, 1]
    assert taps["client"].start.tolist() == [0, 0, 0, 0, 3]


def test_data_on_a_syn_starts_at_offset_zero() -> None:
    _, taps = of(
        [up(b"fast", seq=1000, flags=SYN), down(seq=5000, ack=1005, flags=SYN | ACK), up(b"x", seq=1005, ack=5001)]
    )
    assert taps["client"].start.tolist() == [0, 0, 4]


def test_numbers_go_on_beyond_the_wrap() -> None:
    isn = 2**32 - 3
    _, taps = of(
        [
            *handshake(isn),
            up(b"abcdef", seq=isn + 1, ack=5001),
            up(b"g", seq=isn + 7, ack=5001),
            down(seq=5001, ack=isn + 8),
        ]
    )
    assert taps["client"].seq.tolist()[3:5] == [1, 7]
    assert taps["client"].ack.tolist()[-1] == 8


def test_a_stream_longer_than_the_number_space_is_unwrapped() -> None:
    step = 2**29
    places = [1 + step * k for k in range(20)]
    frames = [*handshake(), *(up(b"x", seq=1000 + place, ack=5001) for place in places)]
    frames += [down(seq=5001, ack=1000 + place) for place in places]
    _, taps = of(frames)
    assert taps["client"].seq.tolist()[3:23] == places
    assert taps["client"].ack.tolist()[23:] == places


def test_a_stray_reset_does_not_move_the_numbers() -> None:
    step = 2**29
    frames = [*handshake(), *(up(b"x", seq=1001 + step * k, ack=5001) for k in range(4))]
    frames += [up(seq=1001 + 2**31 + step * 3, flags=RST), up(b"x", seq=1001 + step * 4, ack=5001)]
    _, taps = of(frames)
    assert taps["client"].seq.tolist()[-1] == 1 + step * 4


def test_without_a_syn_offsets_count_from_the_first_byte_seen() -> None:
    frames = [up(b"def", seq=7003, ack=90), up(b"abc", seq=7000, ack=90), down(seq=90, ack=7006)]
    flows, taps = of(frames)
    assert (flows[0].client_isn, flows[0].server_isn) == (None, None)
    assert taps["client"].start.tolist() == [3, 0, 0]
    assert taps["client"].ack.tolist() == [1, 1, 7]


def test_a_closed_port_answers_within_the_flow() -> None:
    flows, taps = of([up(seq=1000, flags=SYN), down(seq=0, ack=1001, flags=RST | ACK)])
    assert len(flows) == 1
    assert (taps["client"].seq.tolist(), taps["client"].ack.tolist()) == ([0, 1], [0, 1])


def test_a_syn_with_another_number_is_another_flow() -> None:
    first = [*handshake(), up(seq=1001, ack=5001, flags=RST | ACK)]
    second = [*handshake(700_000_000, 800_000_000), up(b"new", seq=700_000_001, ack=800_000_001)]
    flows, taps = of(first + second)
    assert [(flow.client_isn, flow.server_isn) for flow in flows] == [(1000, 5000), (700_000_000, 800_000_000)]
    assert taps["client"].flow.tolist() == [0] * 4 + [1] * 4
    assert taps["client"].start.tolist()[-1] == 0


def test_a_repeated_syn_is_the_same_flow() -> None:
    flows, _ = of([up(seq=1000, flags=SYN), up(seq=1000, flags=SYN), *handshake()[1:]])
    assert len(flows) == 1


def test_a_simultaneous_open_is_one_flow() -> None:
    frames = [
        up(seq=1000, flags=SYN),
        down(seq=5000, flags=SYN),
        up(seq=1000, ack=5001, flags=SYN | ACK),
        down(seq=5000, ack=1001, flags=SYN | ACK),
    ]
    flows, _ = of(frames)
    assert [(flow.client_isn, flow.server_isn) for flow in flows] == [(1000, 5000)]


def test_a_late_packet_of_the_older_flow_stays_in_it() -> None:
    late = up(b"late", seq=1001, ack=5001)
    second = handshake(700_000_000, 800_000_000)
    ordered = [*handshake(), late, *second]
    reordered = [*handshake(), second[0], late, *second[1:]]
    _, taps = of(ordered, reordered)
    assert taps["server"].flow.tolist() == [0, 0, 0, 1, 0, 1, 1]


def test_the_end_of_a_connection_older_than_the_capture_is_a_flow_of_its_own() -> None:
    flows, taps = of([up(b"old", seq=3_000_000_000, ack=9), *handshake()])
    assert taps["client"].flow.tolist() == [0, 1, 1, 1]
    assert [flow.client_isn for flow in flows] == [None, 1000]


def test_a_syn_lost_before_the_server_is_still_its_flow() -> None:
    flows, taps = of(handshake(), handshake()[1:])
    assert len(flows) == 1
    assert taps["server"].seq.tolist() == [0, 1]


def test_five_thousand_connections_on_one_port_pair_stay_apart() -> None:
    count = 5_000
    flows, _ = of([up(seq=(n * 100_003) % 2**32, flags=SYN) for n in range(count)])
    assert len(flows) == count


def test_udp_conversations_and_icmp_which_has_none() -> None:
    frames = [
        ethernet(udp(b"a")),
        ethernet(udp(b"b", src=SERVER, dst=CLIENT, sport=10011, dport=4711)),
        ethernet(udp(b"c", sport=4712)),
        ethernet(icmp(8, 0, 1, b"ping")),
    ]
    flows, taps = of(frames)
    assert [(flow.protocol, flow.client.port) for flow in flows] == [("udp", 4711), ("udp", 4712)]
    assert taps["client"].flow.tolist() == [0, 0, 1, -1]
    assert taps["client"].sender.tolist() == [0, 1, 0, 0]


def test_what_is_not_between_the_hosts_is_counted_by_name() -> None:
    solicitation = ip(bytes([135, 0]) + bytes(22), 58, CLIENT6, SERVER6)
    frames = [
        up(seq=1),
        ethernet(bytes(28), ethertype=0x0806),
        ethernet(udp(b"dns", dst="198.18.0.9")),
        ethernet(solicitation),
        ethernet(ip(bytes([143, 0]) + bytes(22), 58, CLIENT6, "ff02::16")),
    ]
    _, taps = of(frames)
    assert len(taps["client"]) == 1
    assert taps["client"].other == {"ARP": 1, "UDP": 1, "NDP": 1, "MLD": 1}


def test_sentinels_are_seen_but_are_no_packets() -> None:
    sentinel = udp(b"BOTHENDS-SENTINEL 1", sport=50000, dport=9)
    back = udp(b"BOTHENDS-SENTINEL 2", src=SERVER, dst=CLIENT, sport=50000, dport=9)
    answer = icmp(3, 3, 0, sentinel, src=SERVER, dst=CLIENT)
    discard = udp(b"of the user", sport=50000, dport=9)
    capture = read(pcap([ethernet(packet) for packet in (sentinel, answer, back, discard)]))
    joined = join(capture, capture, HOSTS)
    assert sentinels(capture) == (b"BOTHENDS-SENTINEL 1", b"BOTHENDS-SENTINEL 2")
    assert joined.packets == {"client": 1, "server": 1}
    assert joined.other == {"client": {}, "server": {}}
    assert [crossing.payload for crossing in joined.crossings] == [b"of the user"]
