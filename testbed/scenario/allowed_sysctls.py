"""The kernel settings that a scenario may give to a host: those that a network namespace has to itself.

Others (``net.ipv4.tcp_mem``, ``net.core.rmem_max``) are of the whole machine, and no lab changes
these. Names are those of Documentation/networking/ip-sysctl.rst and Documentation/admin-guide/sysctl/net.rst; which
ones a kernel has depends on its version.
"""

from __future__ import annotations

import re

_TCP = (
    *("abort_on_overflow", "adv_win_scale", "app_win", "autocorking", "backlog_ack_defer", "base_mss"),
    *("challenge_ack_limit", "comp_sack_delay_ns", "comp_sack_nr", "comp_sack_slack_ns", "congestion_control"),
    *("dsack", "early_demux", "early_retrans", "ecn", "ecn_fallback", "ecn_option", "ecn_option_beacon"),
    *("fastopen", "fastopen_blackhole_timeout_sec", "fastopen_key", "fin_timeout", "frto", "invalid_ratelimit"),
    *("keepalive_intvl", "keepalive_probes", "keepalive_time", "limit_output_bytes", "max_reordering"),
    *("max_syn_backlog", "max_tw_buckets", "migrate_req", "min_rtt_wlen", "min_snd_mss", "min_tso_segs"),
    *("moderate_rcvbuf", "mtu_probe_floor", "mtu_probing", "no_metrics_save", "no_ssthresh_metrics_save"),
    *("notsent_lowat", "orphan_retries", "pacing_ca_ratio", "pacing_ss_ratio", "pingpong_thresh"),
    *("probe_interval", "probe_threshold", "recovery", "reflect_tos", "reordering", "retrans_collapse"),
    *("retries1", "retries2", "rfc1337", "rmem", "rto_max_ms", "rto_min_us", "sack", "shrink_window"),
    *("slow_start_after_idle", "stdurg", "syn_linear_timeouts", "syn_retries", "synack_retries", "syncookies"),
    *("thin_linear_timeouts", "timestamps", "tso_rtt_log", "tso_win_divisor", "tw_reuse", "tw_reuse_delay"),
    *("window_scaling", "wmem", "workaround_signed_windows"),
)
_IP = (
    *("icmp_echo_ignore_all", "icmp_errors_use_inbound_ifaddr", "icmp_msgs_burst", "icmp_msgs_per_sec"),
    *("icmp_ratelimit", "icmp_ratemask", "ip_autobind_reuse", "ip_default_ttl", "ip_early_demux"),
    *("ip_forward_use_pmtu", "ip_local_port_range", "ip_local_reserved_ports", "ip_no_pmtu_disc"),
    *("ip_nonlocal_bind", "ip_unprivileged_port_start", "ipfrag_high_thresh", "ipfrag_low_thresh"),
    *("ipfrag_max_dist", "ipfrag_time", "ping_group_range", "udp_early_demux", "udp_rmem_min", "udp_wmem_min"),
)
_IPV6 = (
    *("auto_flowlabels", "bindv6only", "flowlabel_consistency", "flowlabel_reflect", "flowlabel_state_ranges"),
    *("ip6frag_high_thresh", "ip6frag_low_thresh", "ip6frag_time", "ip_nonlocal_bind"),
    *("icmp.echo_ignore_all", "icmp.ratelimit", "icmp.ratemask"),
)
SYSCTLS = (
    *("net.core.optmem_max", "net.core.somaxconn", "net.core.txrehash", "net.unix.max_dgram_qlen"),
    *(f"net.ipv4.{name}" for name in _IP),
    *(f"net.ipv4.tcp_{name}" for name in _TCP),
    *(f"net.ipv6.{name}" for name in _IPV6),
)
"""All of them but those of :data:`OF_AN_INTERFACE`."""
OF_AN_INTERFACE = r"net\.ipv[46]\.(?:conf|neigh)\.(?:all|default|eth0)\.[a-z0-9_]+"
"""A pattern of the names of settings that each interface has."""


def is_known(name: str) -> bool:
    """Whether a scenario may set this one."""
    return name in SYSCTLS or re.fullmatch(OF_AN_INTERFACE, name) is not None
