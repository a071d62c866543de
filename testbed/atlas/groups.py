"""Under which heading of the Atlas a scenario stands: by its tags, the first heading that wants one of them. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple


class Group(NamedTuple):
    """A heading: its anchor, its title, what the reader finds there, the tags that lead to it, its calls."""

    anchor: str
    title: str
    what: str
    tags: frozenset[str]
    calls: frozenset[str]


_SEND = frozenset({"send", "sendto", "sendmsg", "write", "writev", "sendfile", "setsockopt"})
_READ = frozenset({"recv", "recvfrom", "recvmsg", "read"})
_END = frozenset({"close", "shutdown", "exit"})

GROUPS = (
    Group(
        "connect",
        "connect(): opening",
        "What opens a connection, and what happens when nobody answers.",
        frozenset({"open"}),
        frozenset({"connect", "sendto"}),
    ),
    Group(
        "send",
        "send(): writing",
        "When bytes leave at once, when they wait, and how they are cut.",
        frozenset({"send"}),
        _SEND,
    ),
    Group(
        "recv",
        "recv(): reading",
        "What reading, or not reading, makes the kernel send: ACKs and windows.",
        frozenset({"receive"}),
        _READ | _SEND,
    ),
    Group(
        "close",
        "close() and shutdown(): ending",
        "FIN or RST, and whether all bytes arrived.",
        frozenset({"close"}),
        _END,
    ),
    Group(
        "idle",
        "An idle or silent peer",
        "What the kernel sends when no program does.",
        frozenset({"keep-alive", "alive"}),
        _SEND | _READ | _END,
    ),
    Group(
        "path",
        "A path that loses, changes or forges",
        "What is sent again, by whom, and when.",
        frozenset({"loss", "reorder", "duplicate", "corrupt", "mtu", "forged", "fragments"}),
        _SEND | _END | {"connect"},
    ),
    Group(
        "udp",
        "Datagrams",
        "UDP: a call, a datagram; and what comes back.",
        frozenset({"udp"}),
        _SEND | _READ | {"connect"},
    ),
    Group(
        "programs",
        "Whole programs",
        "The same calls as others' programs make them.",
        frozenset({"program"}),
        _SEND | _END | {"connect"},
    ),
    Group("others", "And", "What stands nowhere else.", frozenset(), _SEND | _READ | _END | {"connect"}),
)
"""In the order of the page."""

_FIRST = ("programs", "udp", "idle", "path", "connect", "send", "recv", "close")
"""In the order in which they are asked: what is special comes before what most scenarios do as well."""


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
