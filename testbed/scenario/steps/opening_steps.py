"""Steps that make sockets and connections: socket, setsockopt, getsockopt, bind, listen, accept, connect, dup."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, StrictBool
from typing_extensions import override

from testbed.scenario.language.base import Opt, Short
from testbed.scenario.language.endpoints import HostPort, Local, Remote
from testbed.scenario.language.values import Name, Option, OptionValue, Port, Whole
from testbed.scenario.steps.open_sockets import OpenSocket, OpenSockets, Use
from testbed.scenario.steps.socket_options import option_value
from testbed.scenario.steps.step import CallStep, NoValue, OnSocketStep, ScriptContext


class NewSocket(Short):
    """The socket to make."""

    short = "type"
    type: Literal["tcp", "udp"]
    """tcp or udp."""
    nonblocking: StrictBool = False
    """Create it with SOCK_NONBLOCK."""
    ip: Opt[Literal[4, 6]] = None
    """The version of IP that it is made for. Default: the lab's first. A socket of IPv6 takes IPv4 addresses too, which
    are then IPv4-mapped (::ffff:198.18.0.3), unless IPV6_V6ONLY is set."""


class SocketStep(CallStep):
    """Creates a socket."""

    key = "socket"
    socket: NewSocket
    """tcp, udp, or a mapping."""
    as_: Name = Field(default="sock", alias="as")
    """The new socket's name."""

    @override
    def act(self, sockets: OpenSockets) -> Use:
        # Make the socket.
        at = "as" if "as_" in self.model_fields_set else self.key
        made = sockets.make(self.as_, self.socket.type, at, self.socket.ip)
        return Use(made=made.name, type=made.type, version=made.version)

    @override
    def lines(self, use: Use, context: ScriptContext) -> Iterator[str]:
        nonblocking = " nonblock=1" if self.socket.nonblocking else ""
        yield context.new_socket(use.made, self.socket.type) + nonblocking + self.expect


class SetsockoptStep(OnSocketStep):
    """Sets socket options, one call for each."""

    key = "setsockopt"
    setsockopt: dict[Option, OptionValue] = Field(min_length=1)
    """Names and values: a number or true; 500ms for SO_RCVTIMEO and SO_SNDTIMEO; [1, 0] for SO_LINGER (l_onoff,
    l_linger); text for TCP_CONGESTION, TCP_ULP and SO_BINDTODEVICE; an interface's name for IP_MULTICAST_IF and
    IPV6_MULTICAST_IF; a group such as 239.1.2.3 or 239.1.2.3%eth0 for IP_ADD_MEMBERSHIP and IPV6_JOIN_GROUP; hex
    for IP_OPTIONS and IPv6 extension headers (IPV6_DSTOPTS and IPV6_HOPOPTS need CAP_NET_RAW, which a lab's hosts do
    not have: EPERM). A new option that the kernel does not have yet makes the run unsupported."""

    @override
    def act(self, sockets: OpenSockets) -> Use:
        # Judge the values of the options, too.
        for name, value in self.setsockopt.items():
            try:
                option_value(name, value)
            except ValueError as error:
                sockets.wrong(("setsockopt", name), *error.args)
        if self.error and len(self.setsockopt) > 1:
            sockets.wrong("error", "each option is a call of its own", "one step for the one that must fail")
        return super().act(sockets)

    @override
    def check(self, sock: OpenSocket, sockets: OpenSockets) -> None:
        # Options of TCP are for TCP sockets.
        _check_options(tuple(self.setsockopt), self.key, sock, sockets)

    @override
    def lines(self, use: Use, context: ScriptContext) -> Iterator[str]:
        for name, value in self.setsockopt.items():
            yield f"setsockopt sock={use.sock} name={name} value={option_value(name, value)}{self.expect}"


class GetsockoptStep(OnSocketStep):
    """Reads a socket option; its value is in the call log."""

    key = "getsockopt"
    getsockopt: Option
    """The option's name."""

    @override
    def check(self, sock: OpenSocket, sockets: OpenSockets) -> None:
        # Options of TCP are for TCP sockets.
        _check_options((self.getsockopt,), self.key, sock, sockets)

    @override
    def arguments(self, context: ScriptContext) -> str:
        return f" name={self.getsockopt}"


def _check_options(options: tuple[str, ...], key: str, sock: OpenSocket, sockets: OpenSockets) -> None:
    for option in options:
        if sock.type in ("udp", "unix") and option.startswith("TCP_"):
            kind = "UDP" if sock.type == "udp" else "Unix"
            sockets.wrong((key, option), f"`{option}` is an option of TCP, and `{sock.name}` is a {kind} socket")
        if sock.type in ("tcp", "unix") and option.startswith("UDP_"):
            kind = "TCP" if sock.type == "tcp" else "Unix"
            sockets.wrong((key, option), f"`{option}` is an option of UDP, and `{sock.name}` is a {kind} socket")


class BindStep(OnSocketStep):
    """Gives the socket a local address and port."""

    key = "bind"
    bind: Local
    """":5000" for every address of the host, or client:5000, client.2:5000, client.v6:5000 for one of its addresses;
    port 0 lets the kernel choose."""

    @override
    def announces(self, use: Use) -> bool:
        # A bound UDP socket can be sent to.
        return use.type == "udp"

    @override
    def check(self, sock: OpenSocket, sockets: OpenSockets) -> None:
        # A socket is bound once, to an address of its host.
        if sock.state not in ("new", "unknown"):
            sockets.wrong("bind", f"{sock.described} already")
        if self.bind.host not in (None, sockets.host):
            sockets.wrong("bind", f"the {sockets.host} cannot bind the {self.bind.host}'s address")

    @override
    def change(self, sock: OpenSocket) -> None:
        # It is bound now.
        sock.state, sock.port = "bound", self.bind.port

    @override
    def arguments(self, context: ScriptContext) -> str:
        return context.to(self.bind)


class Listening(Short):
    """Where to listen."""

    short = "port"
    empty = True
    port: Opt[Port] = None
    """The port. Without it, listen(2) alone is called, on a socket that was created and bound before."""
    backlog: Whole = Field(default=128, ge=0, le=65535)
    """How many connections may wait for accept."""
    ip: Opt[Literal[4, 6]] = None
    """The version of IP of the socket that is made, as of `socket`."""


class ListenStep(OnSocketStep):
    """Listens on a port: creates a TCP socket, sets SO_REUSEADDR, binds and listens."""

    key = "listen"
    listen: Listening
    """The port, a mapping, or nothing to listen on a socket that was bound before."""
    as_: Opt[Name] = Field(default=None, alias="as")
    """The new socket's name (default: listener)."""

    @override
    def announces(self, use: Use) -> bool:
        return True

    @override
    def act(self, sockets: OpenSockets) -> Use:
        # Make a listening socket where there is a port, else listen on one.
        if self.listen.port is None:
            return super().act(sockets)
        if self.on:
            sockets.wrong("on", "`listen` with a port makes a new socket", "name it with `as`, or leave the port out")
        if self.error:
            sockets.wrong("error", "`listen` with a port is four calls", "write socket, bind and listen as steps")
        at = "as" if "as_" in self.model_fields_set else self.key
        sock = sockets.make(self.as_ or "listener", "tcp", at, self.listen.ip)
        sock.state = "listening"
        return Use(made=sock.name, type="tcp", version=sock.version)

    @override
    def check(self, sock: OpenSocket, sockets: OpenSockets) -> None:
        # A bound TCP socket can listen.
        if sock.type == "udp":
            sockets.wrong("listen", f"`{sock.name}` is a UDP socket; it does not listen", "`bind` is enough")
        elif sock.state not in ("bound", "unknown"):
            sockets.wrong("listen", sock.described, "`bind` comes before; or give `listen` a port")

    @override
    def change(self, sock: OpenSocket) -> None:
        # It is listening now.
        sock.state = "listening"

    @override
    def lines(self, use: Use, context: ScriptContext) -> Iterator[str]:
        if self.listen.port is None:
            yield from super().lines(use, context)
            return
        yield context.new_socket(use.made, "tcp")
        yield f"setsockopt sock={use.made} name=SO_REUSEADDR value=1"
        yield f"bind sock={use.made}{context.to(HostPort(None, self.listen.port))}"
        yield f"listen sock={use.made}{self.arguments(context)}"

    @override
    def arguments(self, context: ScriptContext) -> str:
        return f" backlog={self.listen.backlog}"


class AcceptStep(OnSocketStep):
    """Waits for a connection. Default for `on`: the last listening socket."""

    key = "accept"
    accept: NoValue
    """Takes no value."""
    as_: Name = Field(default="conn", alias="as")
    """The new socket's name."""

    @override
    def act(self, sockets: OpenSockets) -> Use:
        # Make the connection's socket.
        sock = sockets.find(self.on, "on", self.key) if self.on else sockets.find_listening(self.key)
        self.judge(sock, sockets)
        if self.error not in (None, "any"):
            # A socket that is not made leaves its name free; the actor still wants one for it.
            return Use(sock.name, f"{self.as_}-failed-{sockets.index}", "tcp")
        at = "as" if "as_" in self.model_fields_set else self.key
        made = sockets.make(self.as_, "tcp", at, sock.version)
        made.state = "connected" if self.error is None else "unknown"
        return Use(sock.name, made.name, "tcp", made.version)

    @override
    def check(self, sock: OpenSocket, sockets: OpenSockets) -> None:
        # Only a listening socket accepts.
        if sock.state not in ("listening", "unknown"):
            sockets.wrong(self.place, f"`{sock.name}` is not listening")

    @override
    def lines(self, use: Use, context: ScriptContext) -> Iterator[str]:
        yield f"accept sock={use.sock} as={use.made}{self.expect}"


class ConnectStep(OnSocketStep):
    """Connects the last socket created, if it is open and neither connected nor listening; else a new TCP socket."""

    key = "connect"
    connect: Remote
    """The host and port to connect to: server:10011; see [addresses](#addresses)."""
    as_: Opt[Name] = Field(default=None, alias="as")
    """Create a new TCP socket with this name."""

    @override
    def act(self, sockets: OpenSockets) -> Use:
        # Choose the socket, or make it, and connect it.
        if self.on and self.as_:
            sockets.wrong("on", "`on` names an open socket, `as` makes a new one", "only one of them")
        last, made = sockets.last, ""
        if self.on:
            sock = sockets.find(self.on, "on", self.key)
            if self.error is None and sock.type == "tcp" and sock.state in ("connected", "listening"):
                sockets.wrong("connect", f"{sock.described} already", "without `on`, `connect` makes a socket")
        elif not self.as_ and last and (last.type == "udp" or last.state in ("new", "bound", "unknown")):
            sock = last
        else:
            at = "as" if "as_" in self.model_fields_set else self.key
            sock = sockets.make(self.as_ or "sock", "tcp", at, self.connect.name and self.connect.name.version)
            made = sock.name
        if self.connect.host == sockets.host and sock.port != self.connect.port:
            hint = (
                "packets to itself do not cross the link; `bind` that port before for a socket that connects to itself"
            )
            sockets.wrong("connect", f"the {sockets.host} connects to itself", hint)
        if self.error in (None, "EINPROGRESS"):
            sock.state = "connected"
        elif sock.state != "connected":
            sock.state = "unknown"
        return Use(sock.name, made, sock.type, sock.version)

    @override
    def lines(self, use: Use, context: ScriptContext) -> Iterator[str]:
        if use.made:
            yield context.new_socket(use.made, "tcp")
        yield f"connect sock={use.sock}{context.to(self.connect)}{self.expect}"


class DupStep(CallStep):
    """Makes another descriptor of a socket: it is closed only when all its descriptors are."""

    key = "dup"
    dup: Name | None
    """The socket's name, or nothing for the one made last."""
    as_: Name = Field(default="copy", alias="as")
    """The name of the new descriptor."""

    @override
    def act(self, sockets: OpenSockets) -> Use:
        # What one of the two descriptors is used for, holds for both.
        sock = sockets.find(self.dup, self.key, self.key)
        at = "as" if "as_" in self.model_fields_set else self.key
        return Use(sock.name, sockets.duplicate(sock, self.as_, at).name, sock.type, sock.version)

    @override
    def lines(self, use: Use, context: ScriptContext) -> Iterator[str]:
        yield f"dup sock={use.sock} as={use.made}{self.expect}"
