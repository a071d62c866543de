"""The user's own files in a lab of namespaces: the orders that bring them in, each into its host alone. Pure.

All processes of a lab share one root, and two hosts may want different files at one path. So a host's files are put
below a directory that no process sees, and what holds them is mounted where the host shall have it: the topmost
directory that the root does not have already, or the file itself.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection, Iterator, Mapping

from testbed.lab.engine import LabHost
from testbed.model import Host
from testbed.model.errors import Unsupported
from testbed.model.host_files import HostFile

STAGED = "/.own"
"""Where launch (compose/launch/root.c) has them; an empty file system lies over it in every process."""
_LINE = "{name}:x:65534:65534:{name}:/tmp:/bin/sh\n"


def named_user(user: str, passwd: str, group: str) -> tuple[HostFile, ...]:
    """Return the files that call the one user of a host so: whoever asks for the name of its number gets this one."""
    if user in ("", "nobody"):
        return ()
    if user == "root":
        raise Unsupported(
            "programs of the namespace engine are nobody's, never root's",
            hint="--engine docker, or another `user`: the program then runs under that name, without any right",
        )
    return (
        HostFile("/etc/passwd", (_LINE.format(name=user) + passwd).encode()),
        HostFile("/etc/group", (f"{user}:x:65534:\n" + group).encode()),
    )


def own_orders(
    hosts: Mapping[Host, LabHost],
    present: Collection[str],
    scratch: Collection[str],
    users: Mapping[Host, tuple[HostFile, ...]],
    exists: Callable[[str], bool],
) -> Iterator[bytes]:
    """Yield the orders for all hosts' files; none where there are none.

    ``present`` are the paths that the root has already, ``scratch`` those over which memory file systems will lie;
    ``exists`` says whether a path below one of the machine's is there. Raises Unsupported for one that cannot be had.
    """
    above = {ancestor for path in (*present, *scratch) for ancestor in _ancestors(path)}
    any_files = False
    for host, described in hosts.items():
        places: dict[str, None] = {}
        for file in (*described.files, *users.get(host, ())):
            any_files = True
            place = _place(file.path, above, present, scratch, exists)
            places[place] = None
            yield f"own {host} {file.mode:o} {len(file.content)} {file.path}\n".encode() + file.content
        for place in places:
            yield f"place {host} {place}\n".encode()
    if any_files:
        yield f"scratch {STAGED} mode=0555\n".encode()


def _ancestors(path: str) -> Iterator[str]:
    while path != "/":
        path = posixpath.dirname(path)
        yield path


def _place(
    path: str,
    above: Collection[str],
    present: Collection[str],
    scratch: Collection[str],
    exists: Callable[[str], bool],
) -> str:
    """Return what is mounted so that a file is at this path."""
    chain = [*reversed([*_ancestors(path)]), path]
    if not set(chain).isdisjoint(scratch):
        raise Unsupported(f"no file can be at {path}: what is there is made new for each run", hint="another path")
    top = next((each for each in chain if each not in above), path)
    if top == path or top not in present:
        return top
    if exists(path):
        return path
    raise Unsupported(
        f"the namespace engine cannot put a file into {top}, which is this machine's", hint="another path: /app"
    )
