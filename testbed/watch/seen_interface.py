"""By which name the packets of an interface can be told from all others of the machine, in any network namespace.

Most containers call theirs ``eth0``. The other end of its veth, on the engine's bridge, has a name that no other has.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from testbed.observe.kernel.observed_interface import SeenInterface

_HELD = (Path("/run/netns"), Path("/run/docker/netns"))
"""Where network namespaces are kept that no process need be in."""
_CLONE_NEWNET = 0x40000000
_NEW_LINK, _GET_LINK, _GET_NSID = 16, 18, 90  # rtnetlink(7)
_ERROR, _DONE = 2, 3
_REQUEST, _MULTI, _DUMP = 1, 2, 0x300
_IFNAME, _LINK, _LINK_NETNSID = 3, 5, 37  # linux/if_link.h
_NSID, _FD = 1, 3  # linux/net_namespace.h
_HEADER = struct.Struct("=IHHII")
_IFINFO_SIZE, _RTGEN_SIZE = 16, 4
_RECEIVE = 1 << 18
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Interface:
    """``other`` is the number of a veth's other end, in the namespace that is called ``nsid`` here (None: in ours)."""

    number: int
    name: str
    other: int
    nsid: int | None


def seen_interface(namespace: Path, device: str) -> SeenInterface | None:
    """Return by which name an interface of a network namespace is known, None where no name is its alone."""
    all_namespaces = _all_namespaces()
    interfaces = {number: _interfaces(path) for number, path in all_namespaces.items()}
    names = Counter(each.name for own in interfaces.values() for each in own)
    try:
        own = next(each for each in _interfaces(namespace) if each.name == device)
    except StopIteration:
        return None
    place = _inode(namespace) if own.nsid is None else _numbered(namespace, own.nsid, all_namespaces)
    peer = next((each for each in interfaces.get(place, []) if each.number == own.other), None)
    if peer is not None and peer.other == own.number and names[peer.name] == 1:
        return SeenInterface(peer.name, by_peer=True)
    return SeenInterface(device, by_peer=False) if names[device] == 1 else None


def _all_namespaces() -> dict[int, Path]:
    """Return all network namespaces of this machine that can be found, by inode."""
    found: dict[int, Path] = {}
    for path in _paths():
        inode = _inode(path)
        if inode:
            found.setdefault(inode, path)
    return found


def _paths() -> Iterator[Path]:
    yield from Path("/proc").glob("[0-9]*/ns/net")
    for folder in _HELD:
        yield from folder.glob("*")


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def _interfaces(namespace: Path) -> list[_Interface]:
    """Return the interfaces of a network namespace, none where it is gone."""
    request = _HEADER.pack(_HEADER.size + _IFINFO_SIZE, _GET_LINK, _REQUEST | _DUMP, 1, 0) + bytes(_IFINFO_SIZE)
    found = []
    for kind, body in _inside(namespace, lambda: list(_asked(request))):
        if kind != _NEW_LINK:
            continue
        attributes = dict(_attributes(body[_IFINFO_SIZE:]))
        name = attributes.get(_IFNAME, b"").rstrip(b"\0").decode(errors="replace")
        nsid = attributes.get(_LINK_NETNSID)
        found.append(
            _Interface(
                _number(body[4:8]), name, _number(attributes.get(_LINK, b"")), None if nsid is None else _number(nsid)
            )
        )
    return found


def _numbered(namespace: Path, nsid: int, candidates: dict[int, Path]) -> int:
    """Return the inode of the network namespace that is called ``nsid`` in another one, 0 where it is not found."""

    def find() -> list[int]:
        return [inode for inode, path in candidates.items() if _nsid_of(path) == nsid][:1]

    return next(iter(_inside(namespace, find)), 0)


def _nsid_of(path: Path) -> int | None:
    try:
        with path.open("rb") as file:
            attribute = struct.pack("=HHI", 8, _FD, file.fileno())
            size = _HEADER.size + _RTGEN_SIZE + len(attribute)
            request = _HEADER.pack(size, _GET_NSID, _REQUEST, 1, 0) + bytes(_RTGEN_SIZE) + attribute
            answers = [dict(_attributes(body[_RTGEN_SIZE:])) for kind, body in _asked(request) if kind != _ERROR]
    except OSError:
        return None
    return next((_number(each[_NSID]) for each in answers if _NSID in each), None)


def _inside(namespace: Path, ask: Callable[[], list[_T]]) -> list[_T]:
    """Return what is answered in a network namespace, nothing where it cannot be entered."""
    found: list[_T] = []

    def enter() -> None:
        try:
            with namespace.open("rb") as file:
                entered = ctypes.CDLL(None, use_errno=True).setns(file.fileno(), _CLONE_NEWNET) == 0
            found.extend(ask() if entered else [])
        except OSError:
            pass

    thread = threading.Thread(target=enter)  # of a process, each thread can be in another one
    thread.start()
    thread.join()
    return found


def _asked(request: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield kind and body of each answer to a request to the kernel (netlink(7))."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as asking:
        asking.sendall(request)
        more = True
        while more:
            data = asking.recv(_RECEIVE)
            at = 0
            while at + _HEADER.size <= len(data):
                size, kind, flags, _, _ = _HEADER.unpack_from(data, at)
                if kind == _DONE:
                    return
                more = bool(flags & _MULTI)
                yield kind, data[at + _HEADER.size : at + size]
                at += (size + 3) & ~3


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        size, kind = struct.unpack_from("=HH", data, at)
        if size < 4:
            return
        yield kind, data[at + 4 : at + size]
        at += (size + 3) & ~3


def _number(data: bytes) -> int:
    return int.from_bytes(data, sys.byteorder, signed=True)
