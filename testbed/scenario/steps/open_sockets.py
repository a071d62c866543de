"""The open sockets of one host, followed through its steps: which one a step acts on, and what it cannot do to it.

Only what is certain before a run is a mistake here. A step that expects an error may do anything to an open socket; a
socket that may be in one of several states is not judged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Self

from testbed.model import Host
from testbed.model.hosts import IpVersion
from testbed.scenario.language.base import nearest

SocketType = Literal["tcp", "udp", "unix"]
State = Literal["new", "bound", "listening", "connected", "unknown"]
_STATES: dict[State, str] = {
    "new": "is not connected",
    "bound": "is bound and not connected",
    "listening": "is listening",
    "connected": "is connected",
    "unknown": "is in an unknown state",
}


@dataclass(slots=True)
class OpenSocket:
    """An open socket: ``type`` is tcp, udp or unix, ``unknown`` after a mistake that was reported."""

    name: str
    type: SocketType | Literal["unknown"]
    state: State = "new"
    write_shut: bool = False
    """Its sending direction was shut down."""
    port: int = 0
    """The port that a step bound it to, 0 where the kernel chooses."""
    version: IpVersion | None = None
    """The version of IP that it is made for, None for the lab's first one."""

    @property
    def described(self) -> str:
        """Its name and state, as a message begins with them."""
        return f"`{self.name}` {_STATES[self.state]}"


class Use(NamedTuple):
    """Which socket a step acts on, by name, and which one it makes; empty where there is none.

    ``type`` is tcp, udp or unix, ``unknown`` where it is not known, empty for a step without a socket; ``version`` as a
    socket has it.
    """

    sock: str = ""
    made: str = ""
    type: str = ""
    version: IpVersion | None = None


class Mistake(NamedTuple):
    """What a step cannot do: the path within the step, the message and a hint."""

    at: tuple[str | int, ...]
    message: str
    hint: str = ""


class OpenSockets:
    """The open sockets of a process of ``host`` in the order of making, as far as its steps were followed.

    ``index`` counts the steps that were followed, ``mistakes`` are this step's, ``children`` the names of the processes
    that this one has made.
    """

    def __init__(self, host: Host) -> None:
        self.host = host
        self.index = 0
        self.mistakes: list[Mistake] = []
        self.children: list[str] = []
        self._open: list[OpenSocket] = []

    def begin(self, index: int) -> None:
        """Begin with the next step, the ``index``-th that is followed."""
        self.index, self.mistakes = index, []

    def child(self) -> Self:
        """Return what a child process has that is made here: the same sockets, under the same names.

        From here on, what one of the two processes does to a socket that is not connected or listening, the other's
        steps do not show: its state is unknown.
        """
        for sock in self._open:
            share(sock)
        made = type(self)(self.host)
        made._open += [replace(sock) for sock in self._open]  # noqa: SLF001 - of its own class
        return made

    def wrong(self, at: str | tuple[str | int, ...], message: str, hint: str = "") -> None:
        """Report a mistake at a key of the step, or at a path within it."""
        self.mistakes.append(Mistake((at,) if isinstance(at, str) else at, message, hint))

    @property
    def last(self) -> OpenSocket | None:
        """The open socket that was made last."""
        return self._open[-1] if self._open else None

    def make(
        self, name: str, kind: SocketType | Literal["unknown"], at: str, version: IpVersion | None = None
    ) -> OpenSocket:
        """Add a new socket; the key ``at`` is the one that names it."""
        old = self._named(name)
        if old:
            self.wrong(at, f"the socket `{name}` is still open", "name the new one with `as`, or close the old one")
            self._open.remove(old)
        made = OpenSocket(name, kind, version=version)
        self._open.append(made)
        return made

    def find(self, name: str | None, at: str, step: str) -> OpenSocket:
        """Return the socket of a name, or the one made last; where there is none, report that at the key ``at``."""
        if name is None:
            return self.last or self._missing(at, f"`{step}` needs a socket, and none is open at this step")
        found = self._named(name)
        if found:
            return found
        known = tuple(sock.name for sock in self._open if sock.type != "unknown")
        listed = f"open here: {', '.join(known)}" if known else "no socket is open here"
        return self._missing(at, f"there is no open socket `{name}` at this step{nearest(name, known)}", listed, name)

    def find_listening(self, at: str) -> OpenSocket:
        """Return the listening socket that was made last, else one that may be listening."""
        latest = self._open[::-1]
        found = next((sock for sock in latest if sock.state == "listening"), None)
        found = found or next((sock for sock in latest if sock.state == "unknown"), None)
        return found or self._missing(at, "no socket is listening at this step", "`listen` comes before `accept`")

    def duplicate(self, sock: OpenSocket, name: str, at: str) -> OpenSocket:
        """Add another descriptor of a socket."""
        share(sock)
        made = self.make(name, sock.type, at)
        made.state, made.write_shut, made.port, made.version = sock.state, sock.write_shut, sock.port, sock.version
        return made

    def close(self, sock: OpenSocket) -> None:
        """Remove a socket."""
        self._open.remove(sock)

    def _named(self, name: str) -> OpenSocket | None:
        return next((sock for sock in self._open if sock.name == name), None)

    def _missing(self, at: str, message: str, hint: str = "", name: str = "missing") -> OpenSocket:
        """Report that a socket is missing; go on with one of unknown state, so that it is reported once."""
        self.wrong(at, message, hint)
        made = OpenSocket(name, "unknown", "unknown")
        self._open.append(made)
        return made


def share(sock: OpenSocket) -> None:
    """Note that a socket has another descriptor, whose use the steps of this one do not show."""
    if sock.state in ("new", "bound"):
        sock.state = "unknown"
