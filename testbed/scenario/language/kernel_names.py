"""Names that a scenario may use, as the kernel's headers spell them.

The tables of flags and options are those of ``compose/actor/names.c``; a unit test compares the two.
"""

from __future__ import annotations

from testbed.model.call_table import EXPECTABLE

SEND_FLAGS = (
    "MSG_CONFIRM",
    "MSG_DONTROUTE",
    "MSG_DONTWAIT",
    "MSG_EOR",
    "MSG_FASTOPEN",
    "MSG_MORE",
    "MSG_NOSIGNAL",
    "MSG_OOB",
    "MSG_ZEROCOPY",
)
RECV_FLAGS = ("MSG_DONTWAIT", "MSG_ERRQUEUE", "MSG_OOB", "MSG_PEEK", "MSG_TRUNC", "MSG_WAITALL", "MSG_WAITFORONE")

INT_OPTIONS = (
    *("SO_ACCEPTCONN", "SO_BROADCAST", "SO_BUSY_POLL", "SO_DEBUG", "SO_DOMAIN", "SO_DONTROUTE", "SO_ERROR"),
    *("SO_INCOMING_CPU", "SO_KEEPALIVE", "SO_MARK", "SO_MAX_PACING_RATE", "SO_NO_CHECK", "SO_OOBINLINE"),
    *("SO_PRIORITY", "SO_PROTOCOL", "SO_RCVBUF", "SO_RCVBUFFORCE", "SO_RCVLOWAT", "SO_REUSEADDR"),
    *("SO_REUSEPORT", "SO_SNDBUF", "SO_SNDBUFFORCE", "SO_SNDLOWAT", "SO_TIMESTAMP", "SO_TIMESTAMPNS"),
    *("SO_TYPE", "SO_ZEROCOPY"),
    *("TCP_CORK", "TCP_DEFER_ACCEPT", "TCP_FASTOPEN", "TCP_FASTOPEN_CONNECT", "TCP_FASTOPEN_NO_COOKIE"),
    *("TCP_INQ", "TCP_KEEPCNT", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_LINGER2", "TCP_MAXSEG", "TCP_NODELAY"),
    *("TCP_NOTSENT_LOWAT", "TCP_QUICKACK", "TCP_SAVE_SYN", "TCP_SYNCNT", "TCP_THIN_DUPACK"),
    *("TCP_RTO_MAX_MS", "TCP_RTO_MIN_US", "TCP_DELACK_MAX_US"),
    *("TCP_THIN_LINEAR_TIMEOUTS", "TCP_TIMESTAMP", "TCP_USER_TIMEOUT", "TCP_WINDOW_CLAMP"),
    *("UDP_CORK", "UDP_SEGMENT", "UDP_GRO", "IP_MULTICAST_ALL"),
    *("IP_BIND_ADDRESS_NO_PORT", "IP_FREEBIND", "IP_MINTTL", "IP_MTU", "IP_MTU_DISCOVER", "IP_MULTICAST_LOOP"),
    *("IP_MULTICAST_TTL", "IP_PKTINFO", "IP_RECVERR", "IP_RECVTOS", "IP_RECVTTL", "IP_TOS", "IP_TRANSPARENT"),
    *("IP_TTL", "IPV6_DONTFRAG", "IPV6_MTU", "IPV6_MTU_DISCOVER", "IPV6_MULTICAST_HOPS"),
    *("IPV6_MULTICAST_LOOP", "IPV6_RECVERR", "IPV6_RECVHOPLIMIT", "IPV6_RECVPKTINFO", "IPV6_RECVTCLASS"),
    *("IPV6_TCLASS", "IPV6_UNICAST_HOPS", "IPV6_V6ONLY"),
)
DURATION_OPTIONS = ("SO_RCVTIMEO", "SO_SNDTIMEO")
TEXT_OPTIONS = ("SO_BINDTODEVICE", "TCP_CONGESTION", "TCP_ULP")
LINGER_OPTIONS = ("SO_LINGER",)
READ_ONLY_OPTIONS = ("TCP_INFO", "TCP_SAVED_SYN")
GROUP_OPTIONS = ("IP_ADD_MEMBERSHIP", "IP_DROP_MEMBERSHIP", "IPV6_JOIN_GROUP", "IPV6_LEAVE_GROUP")
INTERFACE_OPTIONS = ("IP_MULTICAST_IF", "IPV6_MULTICAST_IF")
BLOB_OPTIONS = ("IP_OPTIONS", "IPV6_HOPOPTS", "IPV6_DSTOPTS", "IPV6_RTHDR", "IPV6_RTHDRDSTOPTS")
OPTIONS = (
    *(*INT_OPTIONS, *DURATION_OPTIONS, *TEXT_OPTIONS, *LINGER_OPTIONS, *READ_ONLY_OPTIONS),
    *(*GROUP_OPTIONS, *INTERFACE_OPTIONS, *BLOB_OPTIONS),
)

PACKET_BARRIER = "packet."
"""What the name of the barrier at which a step waits for a packet begins with; the step's number follows."""
NEW_OPTIONS = {
    "TCP_DELACK_MAX_US": "Linux 6.15 has it",
    "TCP_RTO_MAX_MS": "Linux 6.15 has it",
    "TCP_RTO_MIN_US": "Linux 6.15 has it",
    "TCP_ULP": "Linux 4.13 has it; `tls` also needs the module of this name: modprobe tls",
    "UDP_GRO": "Linux 5.0 has it",
    "UDP_SEGMENT": "Linux 4.18 has it",
}
"""Options that a kernel may lack, and what has them. Without one, setsockopt gives ENOPROTOOPT (TCP_ULP: ENOENT)."""

ERRNOS = (
    *("EACCES", "EADDRINUSE", "EADDRNOTAVAIL", "EAFNOSUPPORT", "EAGAIN", "EALREADY", "EBADF", "ECONNABORTED"),
    *("ECONNREFUSED", "ECONNRESET", "EDESTADDRREQ", "EFAULT", "EHOSTDOWN", "EHOSTUNREACH", "EINPROGRESS"),
    *("EINTR", "EINVAL", "EIO", "EISCONN", "EMFILE", "EMSGSIZE", "ENETDOWN", "ENETUNREACH", "ENFILE", "ENOBUFS"),
    *("ENODEV", "ENOMEM", "ENOPROTOOPT", "ENOTCONN", "ENOTSOCK", "EOPNOTSUPP", "EPERM", "EPIPE", "EPROTO"),
    *("EPROTONOSUPPORT", "ESHUTDOWN", "ETIMEDOUT"),
)
"""What Linux's socket calls fail with (the manual pages of section 2, tcp(7), udp(7), ip(7))."""

CALLS = EXPECTABLE
"""Functions of the socket API, and those that act on any descriptor."""

SIGNALS = (
    *("SIGABRT", "SIGALRM", "SIGBUS", "SIGFPE", "SIGHUP", "SIGILL", "SIGINT", "SIGKILL", "SIGPIPE", "SIGQUIT"),
    *("SIGSEGV", "SIGSYS", "SIGTERM", "SIGTRAP", "SIGUSR1", "SIGUSR2", "SIGXCPU", "SIGXFSZ"),
)
"""Signals that end a process."""


LABELS = (
    *("zero_window_probe", "zero_window", "lost_segment", "keep_alive", "window_update", "window_full"),
    *("keep_alive_ack", "zero_window_probe_ack", "duplicate_ack", "ack_lost_segment", "spurious_retransmission"),
    *("fast_retransmission", "out_of_order", "retransmission", "reused_ports"),
)
"""Wireshark's labels, named as in ``testbed/wireshark/label_names.py``."""
