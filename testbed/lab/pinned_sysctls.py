"""The kernel's knobs that a lab pins, so that it behaves the same on every machine and can show it.

Values are those of a plain Linux kernel (Documentation/networking/ip-sysctl.rst), not of the machine; a scenario may
set any ``net.*`` name itself. Only names that have been per-namespace since Linux 5.10 are here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from testbed.model.errors import UsageError

CONGESTION_CONTROL = "net.ipv4.tcp_congestion_control"
DEFAULT_CONGESTION_CONTROL = "cubic"
"""Not set by sysctl: a namespace may choose only what ``tcp_allowed_congestion_control`` of the machine lists, and some
leave cubic out. The lab's routes name it instead (``congctl``), which the kernel always honours."""

PINNED: Mapping[str, str] = {
    "net.ipv4.ip_default_ttl": "64",
    "net.ipv4.ip_local_port_range": "32768 60999",
    "net.ipv4.ip_no_pmtu_disc": "0",
    "net.ipv4.tcp_autocorking": "1",
    "net.ipv4.tcp_dsack": "1",
    "net.ipv4.tcp_early_retrans": "3",
    "net.ipv4.tcp_ecn": "2",
    "net.ipv4.tcp_fastopen": "1",
    "net.ipv4.tcp_fin_timeout": "60",
    "net.ipv4.tcp_frto": "2",
    "net.ipv4.tcp_keepalive_intvl": "75",
    "net.ipv4.tcp_keepalive_probes": "9",
    "net.ipv4.tcp_keepalive_time": "7200",
    "net.ipv4.tcp_moderate_rcvbuf": "1",
    "net.ipv4.tcp_mtu_probing": "0",
    # No memory of earlier connections to the same address: each run starts from the same knowledge.
    "net.ipv4.tcp_no_metrics_save": "1",
    "net.ipv4.tcp_orphan_retries": "0",
    "net.ipv4.tcp_recovery": "1",
    "net.ipv4.tcp_reordering": "3",
    "net.ipv4.tcp_retries1": "3",
    "net.ipv4.tcp_retries2": "15",
    "net.ipv4.tcp_rmem": "4096 131072 6291456",
    "net.ipv4.tcp_sack": "1",
    "net.ipv4.tcp_slow_start_after_idle": "1",
    "net.ipv4.tcp_syn_retries": "6",
    "net.ipv4.tcp_synack_retries": "5",
    "net.ipv4.tcp_syncookies": "1",
    "net.ipv4.tcp_timestamps": "1",
    "net.ipv4.tcp_window_scaling": "1",
    "net.ipv4.tcp_wmem": "4096 16384 4194304",
}


class BadSysctlError(UsageError):
    """The kernel refused the value of the setting ``name``; ``reason`` is why."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"the kernel takes no such value for `{name}`: {reason}", hint="see its `ip-sysctl.rst`")
        self.name = name


def for_host(scenario: Mapping[str, str]) -> dict[str, str]:
    """Return the pinned values with a scenario's own over them, all but the congestion control."""
    return {name: value for name, value in {**PINNED, **scenario}.items() if name != CONGESTION_CONTROL}


def congestion_control(scenario: Mapping[str, str]) -> str:
    """Return the congestion control that a host's connections shall use."""
    return scenario.get(CONGESTION_CONTROL, DEFAULT_CONGESTION_CONTROL)


def for_link(ip: Collection[int]) -> dict[str, str]:
    """Return what makes a link host forward packets of some IP versions."""
    forward = {"net.ipv4.ip_forward": "1", "net.ipv4.conf.all.rp_filter": "0"}
    return {**forward, "net.ipv6.conf.all.forwarding": "1"} if 6 in ip else forward


READ_BELOW = ("/proc/sys/net/core", "/proc/sys/net/ipv4")
OF_INTERFACES = ("conf", "neigh")
"""Directories of settings of single interfaces."""


def by_name(files: Mapping[str, str]) -> dict[str, str]:
    """Turn files below /proc/sys, by path, into names and values."""
    return {
        path.removeprefix("/proc/sys/").replace("/", "."): " ".join(content.split()) for path, content in files.items()
    }
