"""Pairs of captures that other tools made: exactly what is found in them, and what is not to be trusted."""

from __future__ import annotations

import pytest

from testbed.api.diagnosing import diagnose_files
from tests.builders.shared_captures import CORPUS, needs_corpus

FOUND = {
    ("mptcpanalyzer-1", "client", "server"): [
        "sent-after-close",  # iperf3's server ends the test while the client still sends
        "random-loss",
        "ack-loss",
        "spurious-retransmission",
    ],
    ("pres-bwm-eth1", "h1", "server"): ["bufferbloat", "rate-limit", "slow-start-after-idle"],
    ("pres-tc-eth0", "h1", "server"): [],
    ("tcp-over-icmp", "local", "remote"): [],
    ("tcpreplay-rewrites", "original", "rewrite_1ttl"): [*["port-unreachable"] * 5, "ttl-rewritten"],
    ("vpn-wireguard-ftps", "client", "relay"): ["address-rewritten"],
}


@needs_corpus
@pytest.mark.parametrize("pair", FOUND)
def test_exactly_this_is_found(pair: tuple[str, str, str]) -> None:
    folder = CORPUS / "pairs" / pair[0]
    found = diagnose_files(*(folder / f"{name}.pcap" for name in pair[1:]))
    assert [each.name.value for each in found.findings] == FOUND[pair]
