"""Headings of the Atlas and the catalogue: a scenario's tags choose its heading. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple


class Group(NamedTuple):
    """A heading: its anchor, its title, what it holds, the tags that choose it, the calls that it lists."""

    anchor: str
    title: str
    what: str
    tags: frozenset[str]
    calls: frozenset[str]


_SEND = frozenset({"send", "sendto", "sendmsg", "write", "writev", "sendfile", "setsockopt"})
_READ = frozenset({"recv", "recvfrom", "recvmsg", "read"})
_END = frozenset({"close", "closesocket", "shutdown", "exit"})

GROUPS = (
    Group(
        "connect",
        "connect(): opening",
        "How a connection is opened, and what happens when nobody answers.",
        frozenset({"open"}),
        frozenset({"connect", "sendto"}),
    ),
    Group(
        "send",
        "send(): writing",
        "When bytes are sent at once, when they are held back, and how they are cut into segments.",
        frozenset({"send"}),
        _SEND,
    ),
    Group(
        "recv",
        "recv(): reading",
        "Which ACKs and window updates the kernel sends when a program reads, and when it does not.",
        frozenset({"receive"}),
        _READ | _SEND,
    ),
    Group(
        "close",
        "close() and shutdown(): ending",
        "When close sends a FIN and when a RST, and how a program can know that all bytes arrived.",
        frozenset({"close"}),
        _END,
    ),
    Group(
        "idle",
        "An idle or silent peer",
        "What the kernel sends while no program calls anything.",
        frozenset({"keep-alive", "alive"}),
        _SEND | _READ | _END,
    ),
    Group(
        "path",
        "A path that loses, changes or forges",
        "Lost, reordered, copied, corrupted, oversized and forged packets: what is retransmitted, and when.",
        frozenset({"loss", "reorder", "duplicate", "corrupt", "mtu", "forged", "fragments", "queue", "rewritten"}),
        _SEND | _END | {"connect"},
    ),
    Group(
        "udp",
        "Datagrams",
        "UDP: one call, one datagram, and the ICMP errors that come back.",
        frozenset({"udp"}),
        _SEND | _READ | {"connect"},
    ),
    Group(
        "programs",
        "Whole programs",
        "The same calls as unmodified programs make them.",
        frozenset({"program"}),
        _SEND | _END | {"connect"},
    ),
    Group(
        "others",
        "Others",
        "Scenarios that fit under none of these headings.",
        frozenset(),
        _SEND | _READ | _END | {"connect"},
    ),
)
"""In the order of the page."""

_FIRST = ("programs", "udp", "idle", "path", "connect", "send", "recv", "close")
"""The order in which headings are tried: special ones before those whose tags most scenarios carry."""


def group_of(tags: Collection[str]) -> Group:
    """Return the heading for a scenario with these tags."""
    by_anchor = {group.anchor: group for group in GROUPS}
    basic = {"connect", "send", "recv", "close"}
    for anchor in _FIRST:
        if anchor in basic:
            break
        if by_anchor[anchor].tags & set(tags):
            return by_anchor[anchor]
    for tag in tags:
        for group in GROUPS:
            if group.anchor in basic and tag in group.tags:
                return group
    return by_anchor["others"]
