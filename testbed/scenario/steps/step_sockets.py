"""The sockets of one host, followed through its steps: which one a step means, and what it cannot do.

Only what is certain before a run is a problem here. A step that expects an error may do anything to a socket that is
there; a socket that may be in one of several states is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from testbed.model import Host
from testbed.scenario.language.base import nearest
from testbed.scenario.steps import steps as s

State = Literal["new", "bound", "listening", "connected", "unknown"]


@dataclass(slots=True)
class Sock:
    """An open socket: ``type`` is tcp or udp, ``unknown`` after a mistake that was reported."""

    name: str
    type: Literal["tcp", "udp", "unknown"]
    state: State = "new"
    ended: bool = False
    """Its writing direction was shut down."""
    port: int = 0
    """The port that a step bound it to, 0 where the kernel chooses."""


class Use(NamedTuple):
    """Which socket a step acts on, by name, and which one it makes; empty where there is none.

    ``type`` is tcp or udp, ``unknown`` where it is not known, empty for a step without a socket.
    """

    sock: str = ""
    made: str = ""
    type: str = ""


class Mistake(NamedTuple):
    """What a step cannot do: the path within the step, the message and a hint."""

    at: tuple[str | int, ...]
    message: str
    hint: str = ""


def follow(steps: tuple[s.Step, ...], host: Host) -> Iterator[tuple[int, s.Step, Use, list[Mistake]]]:
    """Yield each step with its index, the sockets it uses and its mistakes."""
    sockets = _Sockets(host)
    for index, step in enumerate(steps):
        sockets.index, sockets.mistakes = index, []
        use = sockets.apply(step)
        yield index, step, use, sockets.mistakes


class _Sockets:
    def __init__(self, host: Host) -> None:
        self.host = host
        self.index = 0
        self.open: list[Sock] = []
        self.mistakes: list[Mistake] = []

    def apply(self, step: s.Step) -> Use:
        """Take one step; mistakes are added to ``mistakes``."""
        if isinstance(step, s.Socket):
            return Use(made=self._make(step.as_, step.socket.type, step).name, type=step.socket.type)
        if isinstance(step, s.Listen) and step.listen.port is not None:
            return self._listen_on_new(step)
        if isinstance(step, s.Connect):
            return self._connect(step)
        if not isinstance(step, s.SocketStep):
            return Use()
        sock = self._which(step)
        if step.error is None:
            self._check(step, sock)
        if isinstance(step, s.Accept):
            # A socket that is not made leaves its name free; the actor still wants one for it.
            failed = step.error not in (None, "any")
            made = f"{step.as_}-failed-{self.index}" if failed else self._accepted(step).name
            return Use(sock.name, made, "tcp")
        self._change(step, sock)
        return Use(sock.name, "", sock.type)

    def _wrong(self, at: str | tuple[str | int, ...], message: str, hint: str = "") -> None:
        self.mistakes.append(Mistake((at,) if isinstance(at, str) else at, message, hint))

    def _find(self, name: str) -> Sock | None:
        return next((sock for sock in self.open if sock.name == name), None)

    def _make(self, name: str, kind: Literal["tcp", "udp"], step: s.Step) -> Sock:
        old = self._find(name)
        if old:
            where = "as" if "as_" in step.model_fields_set else step.key
            self._wrong(where, f"the socket `{name}` is still open", "name the new one with `as`, or close the old one")
            self.open.remove(old)
        self.open.append(Sock(name, kind))
        return self.open[-1]

    def _accepted(self, step: s.Accept) -> Sock:
        sock = self._make(step.as_, "tcp", step)
        sock.state = "connected" if step.error is None else "unknown"
        return sock

    def _which(self, step: s.SocketStep) -> Sock:
        """Return the socket that a step means; a phantom of unknown state after reporting that there is none."""
        name = step.target if isinstance(step, s.Close) else step.on
        at = "on" if step.on else step.key
        if name:
            found = self._find(name)
            if not found:
                known = tuple(sock.name for sock in self.open if sock.type != "unknown")
                listed = f"open here: {', '.join(known)}" if known else "no socket is open here"
                self._wrong(at, f"there is no open socket `{name}` at this step{nearest(name, known)}", listed)
        elif isinstance(step, s.Accept):
            found = next((sock for sock in reversed(self.open) if sock.state == "listening"), None)
            found = found or next((sock for sock in reversed(self.open) if sock.state == "unknown"), None)
            if not found:
                self._wrong(at, "no socket listens at this step", "`listen` comes before `accept`")
        else:
            found = self.open[-1] if self.open else None
            if not found:
                self._wrong(at, f"`{step.key}` needs a socket, and none is open at this step")
        if not found:
            found = Sock(name or "missing", "unknown", "unknown")
            self.open.append(found)
        return found

    def _listen_on_new(self, step: s.Listen) -> Use:
        if step.on:
            self._wrong("on", "`listen` with a port makes a new socket", "name it with `as`, or leave the port out")
        if step.error:
            self._wrong("error", "`listen` with a port is four calls", "write socket, bind and listen apart")
        sock = self._make(step.as_ or "listener", "tcp", step)
        sock.state = "listening"
        return Use(made=sock.name, type="tcp")

    def _connect(self, step: s.Connect) -> Use:
        if step.on and step.as_:
            self._wrong("on", "`on` takes a socket that is there, `as` makes one", "only one of them")
        last = self.open[-1] if self.open else None
        made = ""
        if step.on:
            sock = self._which(step)
            if step.error is None and sock.type == "tcp" and sock.state in ("connected", "listening"):
                self._wrong(
                    "connect", f"`{sock.name}` {_doing(sock)} already", "without `on`, `connect` makes a socket"
                )
        elif not step.as_ and last and (last.type == "udp" or last.state in ("new", "bound", "unknown")):
            sock = last
        else:
            sock = self._make(step.as_ or "sock", "tcp", step)
            made = sock.name
        if step.connect.host == self.host and sock.port != step.connect.port:
            hint = (
                "packets to itself do not cross the link; `bind` that port before for a socket that connects to itself"
            )
            self._wrong("connect", f"the {self.host} connects to itself", hint)
        if step.error in (None, "EINPROGRESS"):
            sock.state = "connected"
        elif sock.state != "connected":
            sock.state = "unknown"
        return Use(sock.name, made, sock.type)

    def _check(self, step: s.SocketStep, sock: Sock) -> None:
        if sock.type == "unknown":
            return
        if isinstance(step, s.Bind):
            if sock.state not in ("new", "unknown"):
                self._wrong("bind", f"`{sock.name}` {_doing(sock)} already")
            if step.bind.host not in (None, self.host):
                self._wrong("bind", f"the {self.host} cannot bind the {step.bind.host}'s address")
        elif isinstance(step, s.Listen):
            if sock.type == "udp":
                self._wrong("listen", f"`{sock.name}` is a UDP socket; it does not listen", "`bind` is enough")
            elif sock.state not in ("bound", "unknown"):
                self._wrong("listen", f"`{sock.name}` {_doing(sock)}", "`bind` comes before; or give `listen` a port")
        elif isinstance(step, s.Accept):
            if sock.state not in ("listening", "unknown"):
                self._wrong("on" if step.on else "accept", f"`{sock.name}` does not listen")
        elif isinstance(step, (s.Send, s.Sendmsg)):
            self._check_send(step, sock)
        elif isinstance(step, (s.Recv, s.RecvExact, s.RecvAll, s.OnReadable)):
            self._check_receive(step, sock)
        elif isinstance(step, (s.Writev, s.Sendfile)):
            if sock.ended:
                self._wrong(
                    step.key, f"`{sock.name}` was shut down for writing: EPIPE", "if you mean it: `error: EPIPE`"
                )
            elif sock.state not in ("unknown", "connected"):
                self._wrong(step.key, f"`{sock.name}` {_doing(sock)}")
        elif isinstance(step, s.Shutdown) and sock.state in ("new", "bound"):
            self._wrong("shutdown", f"`{sock.name}` {_doing(sock)}")
        elif isinstance(step, (s.Setsockopt, s.Getsockopt)) and sock.type == "udp":
            options = [step.getsockopt] if isinstance(step, s.Getsockopt) else list(step.setsockopt)
            for option in options:
                if option.startswith("TCP_"):
                    self._wrong((step.key, option), f"`{option}` is an option of TCP, and `{sock.name}` is UDP")

    def _check_send(self, step: s.Send | s.Sendmsg, sock: Sock) -> None:
        spec = step.send if isinstance(step, s.Send) else step.sendmsg
        if spec.to is not None and spec.to.host == self.host:
            self._wrong((step.key, "to"), f"the {self.host} sends to itself", "packets to itself do not cross the link")
        if sock.state == "listening":
            self._wrong(step.key, f"`{sock.name}` listens; it carries no data")
        elif sock.ended:
            self._wrong(step.key, f"`{sock.name}` was shut down for writing: EPIPE", "if you mean it: `error: EPIPE`")
        elif sock.type == "udp":
            self._check_datagram(step, spec, sock)
        elif spec.to is not None and "MSG_FASTOPEN" not in spec.flags:
            self._wrong((step.key, "to"), f"`{sock.name}` is a TCP socket; its peer is the one it is connected to")
        elif spec.to is None and sock.state not in ("connected", "unknown"):
            self._wrong(step.key, f"`{sock.name}` {_doing(sock)}")

    def _check_datagram(self, step: s.Send | s.Sendmsg, spec: s.Sending | s.SendingParts, sock: Sock) -> None:
        if spec.to is None and sock.state in ("new", "bound"):
            hint = f'{{{step.key}: {{..., to: "server:5000"}}}}, or `connect` before'
            self._wrong(step.key, f"`{sock.name}` is not connected, and no `to` says where to send", hint)
        if isinstance(spec, s.Sending):
            size = min(spec.length, spec.chunk or spec.length)
        else:
            size = sum(len(part.content or b"") for part in spec.parts)
        # 65535 less the UDP header, and less the IPv4 header where there is one: ip(7), RFC 768.
        if size > 65527:
            self._wrong(step.key, f"a datagram cannot hold {size} bytes: EMSGSIZE", "at most 65507 with IPv4")

    def _check_receive(self, step: s.SocketStep, sock: Sock) -> None:
        to_end = isinstance(step, (s.RecvAll, s.RecvExact))
        to_end = to_end or (isinstance(step, s.OnReadable) and step.on_readable.read != "once")
        if sock.type == "udp" and to_end:
            message = f"`{sock.name}` is a UDP socket: datagrams have no end of stream"
            self._wrong(step.key, message, "`recv` takes one datagram")
        elif sock.state == "listening":
            self._wrong(step.key, f"`{sock.name}` listens; it carries no data", "`accept` makes the socket that does")
        elif sock.state == "new" or (sock.type == "tcp" and sock.state == "bound"):
            self._wrong(step.key, f"`{sock.name}` {_doing(sock)}: nothing can arrive")

    def _change(self, step: s.SocketStep, sock: Sock) -> None:
        """Follow what a step does to its socket."""
        if isinstance(step, s.Close):
            self.open.remove(sock)
        elif step.error is not None:
            return
        elif isinstance(step, s.Bind):
            sock.state, sock.port = "bound", step.bind.port
        elif isinstance(step, s.Listen):
            sock.state = "listening"
        elif isinstance(step, (s.Send, s.Sendmsg)) and sock.state == "new":
            # The kernel binds a UDP socket that sends; TCP here is MSG_FASTOPEN, which connects.
            sock.state = "bound" if sock.type == "udp" else "connected"
        elif isinstance(step, s.Shutdown) and step.shutdown != "read":
            sock.ended = True


def _doing(sock: Sock) -> str:
    return {
        "new": "is not connected",
        "bound": "is bound and not connected",
        "listening": "listens",
        "connected": "is connected",
        "unknown": "is in an unknown state",
    }[sock.state]
