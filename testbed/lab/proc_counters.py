"""What the kernel has counted in a network namespace: /proc/net/{netstat,snmp,snmp6}. Pure parsing.

The format of the first two, net/ipv4/proc.c: pairs of lines, names and values, each behind its group
(``TcpExt: SyncookiesSent ...``, ``TcpExt: 0 ...``); of snmp6, net/ipv6/proc.c: a name and a value a line.
"""

from __future__ import annotations

PAIRED_FILES = ("/proc/net/netstat", "/proc/net/snmp")
FILES = (*PAIRED_FILES, "/proc/net/snmp6")


def parse(path: str, text: str) -> dict[str, int]:
    """Return the counters of one of the files that are not 0, by nstat's names."""
    return {name: value for name, value in (_paired(text) if path in PAIRED_FILES else _single(text)) if value}


def _paired(text: str) -> list[tuple[str, int]]:
    lines = text.splitlines()
    found = []
    for names, values in zip(lines[::2], lines[1::2], strict=False):
        group, _, rest = names.partition(":")
        again, _, numbers = values.partition(":")
        if group == again:
            pairs = zip(rest.split(), numbers.split(), strict=False)
            found += [(group + name, int(number)) for name, number in pairs]
    return found


def _single(text: str) -> list[tuple[str, int]]:
    fields = (line.split() for line in text.splitlines())
    return [(pair[0], int(pair[1])) for pair in fields if len(pair) == 2]
