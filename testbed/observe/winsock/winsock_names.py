"""Names of Winsock's numbers, of which many are other ones than Linux has.

From winsock2.h, ws2ipdef.h and winerror.h. Errors get the name that POSIX has for them, so that they are those of any
other call: ``WSAECONNRESET`` is ``ECONNRESET``. One that POSIX lacks keeps its own.
"""

from __future__ import annotations

_ERRORS = """
10004 EINTR 10009 EBADF 10013 EACCES 10014 EFAULT 10022 EINVAL 10024 EMFILE 10035 EAGAIN 10036 EINPROGRESS
10037 EALREADY 10038 ENOTSOCK 10039 EDESTADDRREQ 10040 EMSGSIZE 10041 EPROTOTYPE 10042 ENOPROTOOPT
10043 EPROTONOSUPPORT 10044 ESOCKTNOSUPPORT 10045 EOPNOTSUPP 10046 EPFNOSUPPORT 10047 EAFNOSUPPORT 10048 EADDRINUSE
10049 EADDRNOTAVAIL 10050 ENETDOWN 10051 ENETUNREACH 10052 ENETRESET 10053 ECONNABORTED 10054 ECONNRESET
10055 ENOBUFS 10056 EISCONN 10057 ENOTCONN 10058 ESHUTDOWN 10060 ETIMEDOUT 10061 ECONNREFUSED 10064 EHOSTDOWN
10065 EHOSTUNREACH 10091 WSASYSNOTREADY 10092 WSAVERNOTSUPPORTED 10093 WSANOTINITIALISED 10101 WSAEDISCON
997 WSA_IO_PENDING
"""
FAMILY = {0: "AF_UNSPEC", 2: "AF_INET", 23: "AF_INET6"}
TYPE = {1: "SOCK_STREAM", 2: "SOCK_DGRAM", 3: "SOCK_RAW"}
PROTOCOL = {0: "0", 1: "IPPROTO_ICMP", 6: "IPPROTO_TCP", 17: "IPPROTO_UDP", 58: "IPPROTO_ICMPV6"}
SHUTDOWN = {0: "SHUT_RD", 1: "SHUT_WR", 2: "SHUT_RDWR"}
"""SD_RECEIVE, SD_SEND, SD_BOTH."""
MESSAGE_FLAGS = {0x1: "MSG_OOB", 0x2: "MSG_PEEK", 0x4: "MSG_DONTROUTE", 0x8: "MSG_WAITALL"}
EVENTS = {0x1: "FD_READ", 0x2: "FD_WRITE", 0x4: "FD_OOB", 0x8: "FD_ACCEPT", 0x10: "FD_CONNECT", 0x20: "FD_CLOSE"}
REQUEST = {0x4004667F: "FIONREAD", 0x8004667E: "FIONBIO", 0x40047307: "SIOCATMARK"}
LEVEL = {0: "IPPROTO_IP", 6: "IPPROTO_TCP", 17: "IPPROTO_UDP", 41: "IPPROTO_IPV6", 0xFFFF: "SOL_SOCKET"}
OPTION = {
    0xFFFF: {
        0x1: "SO_DEBUG",
        0x2: "SO_ACCEPTCONN",
        0x4: "SO_REUSEADDR",
        0x8: "SO_KEEPALIVE",
        0x10: "SO_DONTROUTE",
        0x20: "SO_BROADCAST",
        0x80: "SO_LINGER",
        0x100: "SO_OOBINLINE",
        0x1001: "SO_SNDBUF",
        0x1002: "SO_RCVBUF",
        0x1005: "SO_SNDTIMEO",
        0x1006: "SO_RCVTIMEO",
        0x1007: "SO_ERROR",
        0x1008: "SO_TYPE",
        -5: "SO_EXCLUSIVEADDRUSE",
        -129: "SO_DONTLINGER",
    },
    6: {1: "TCP_NODELAY", 3: "TCP_KEEPIDLE", 5: "TCP_MAXRT", 16: "TCP_KEEPCNT", 17: "TCP_KEEPINTVL"},
}

_words = _ERRORS.split()
ERROR = {int(number): name for number, name in zip(_words[::2], _words[1::2], strict=True)}


def error(number: int) -> str:
    """Return the name of an error of Winsock, or of Windows with its number."""
    return ERROR.get(number, f"WINDOWS_{number}")


def name(table: dict[int, str], number: int) -> str:
    """Return the number's name, or the number as text where it has none."""
    return table.get(number) or str(number)


def flags(table: dict[int, str], number: int) -> str:
    """Return ``A|B``, lowest bit first, with unnamed bits as one hexadecimal number; ``0`` for none."""
    named = [each for bit, each in table.items() if number & bit]
    rest = number & ~sum(table)
    return "|".join([*named, *([hex(rest)] if rest else [])]) or "0"
