"""What a host sent to itself, as its loopback's capture has it."""

from __future__ import annotations

from testbed.analysis.join.lab_frames import SENTINEL, SENTINEL_PORT
from testbed.analysis.join.loopback_frames import loopback_packets
from testbed.capture.read_file import read
from testbed.model import Endpoint
from testbed.model.loopback import MOST, SHOWN
from tests.builders import frames

OWN = "127.0.0.1"


def looped(*packets: bytes) -> bytes:
    return frames.pcap([(n * 1000, frames.ethernet(packet)) for n, packet in enumerate(packets, 1)])


def test_packets_with_their_ends_and_the_lab_s_own_left_out() -> None:
    syn = frames.tcp(src=OWN, dst=OWN, sport=40002, dport=8000, flags=frames.SYN)
    proof = frames.udp(SENTINEL + b" loopback 00", src=OWN, dst=OWN, dport=SENTINEL_PORT)
    datagram = frames.udp(b"x" * 100, src="::1", dst="::1", sport=5, dport=6)
    found = loopback_packets(read(looped(syn, proof, datagram)), "server")
    assert (found.total, found.length) == (2, 100)
    first, second = found.packets
    assert (first.host, first.frame, first.time, first.flags, first.protocol) == ("server", 1, 1000, "S", "tcp")
    assert (first.source, first.destination) == (Endpoint(OWN, 40002), Endpoint(OWN, 8000))
    assert (second.frame, second.flags, second.protocol, second.length) == (3, "", "udp", 100)
    assert second.payload == b"x" * SHOWN
    assert second.source == Endpoint("::1", 5)


def test_of_very_many_the_first_are_kept_and_all_are_counted() -> None:
    segment = frames.tcp(b"ab", src=OWN, dst=OWN)
    found = loopback_packets(read(looped(*[segment] * (MOST + 5))), "client")
    assert (len(found.packets), found.total, found.length) == (MOST, MOST + 5, 2 * (MOST + 5))
