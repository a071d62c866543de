"""The kernel's counters of a network namespace, as text from real files of /proc/net."""

from __future__ import annotations

from testbed.lab.proc_counters import parse
from testbed.model.kernel_counters import KernelCounters
from testbed.report.text.counter_text import dropped_lines

NETSTAT = """\
TcpExt: SyncookiesSent SyncookiesRecv ListenOverflows ListenDrops
TcpExt: 0 0 4 4
IpExt: InNoRoutes InOctets
IpExt: 0 492
"""
SNMP = """\
Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens
Tcp: 1 200 120000 -1 2
Udp: InDatagrams RcvbufErrors
Udp: 7 5
"""
SNMP6 = """\
Ip6InReceives                   \t3
Udp6RcvbufErrors                \t0
"""


def test_counters_are_named_as_by_nstat() -> None:
    """The group stands before the name, snmp6 has it already; what is 0 is left out."""
    assert parse("/proc/net/netstat", NETSTAT) == {
        "TcpExtListenOverflows": 4,
        "TcpExtListenDrops": 4,
        "IpExtInOctets": 492,
    }
    assert parse("/proc/net/snmp", SNMP)["TcpMaxConn"] == -1
    assert parse("/proc/net/snmp6", SNMP6) == {"Ip6InReceives": 3}


def test_only_what_changed_is_a_difference() -> None:
    """What was there before and is so still does not count, what is gone does; a run cut short has no difference."""
    before = {"TcpRtoMin": 200, "TcpCurrEstab": 1}
    assert KernelCounters(before, {"TcpRtoMin": 200, "TcpActiveOpens": 2}).changed() == {
        "TcpCurrEstab": -1,
        "TcpActiveOpens": 2,
    }
    assert KernelCounters(before).changed() == {}


def test_drops_are_shown_with_their_reason() -> None:
    """A counter that is no drop, and one that did not rise, say nothing."""
    changed = {"UdpRcvbufErrors": 5, "UdpInDatagrams": 7, "TcpExtListenOverflows": 4, "TcpExtPruneCalled": -1}
    (line,) = dropped_lines({"client": {"TcpActiveOpens": 1}, "server": changed})
    assert line == (
        "dropped   by the server's kernel: TcpExtListenOverflows +4 (accept queue full),"
        " UdpRcvbufErrors +5 (receive buffer full)"
    )
