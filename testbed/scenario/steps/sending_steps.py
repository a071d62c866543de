"""Steps that send: send, sendmsg, sendmmsg, writev, sendfile, splice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Self

from pydantic import Field, StrictBool, model_validator
from typing_extensions import override

from testbed.scenario.language.base import Opt, Short
from testbed.scenario.language.endpoints import Destination, HostAddress
from testbed.scenario.language.payload import Data, Payload
from testbed.scenario.language.values import Name, SendFlag, Size
from testbed.scenario.steps.open_sockets import OpenSocket, OpenSockets, Use
from testbed.scenario.steps.step import CallStep, OnSocketStep, ScriptContext, Step, arguments_of

LARGEST_BUFFER = 64 << 20
"""The largest buffer (bytes) of one call in the actor."""
Chunk = Annotated[Size, Field(ge=1, le=LARGEST_BUFFER)]
LARGEST_DATAGRAM = 65527
"""Bytes: 65535 less the UDP header (RFC 768). IPv4 takes another 20 (ip(7))."""


class Sending(Payload):
    """What to send."""

    chunk: Opt[Chunk] = None
    """With `size`: how many bytes to give to each call (default: all that remain, at most 64MiB)."""
    flags: tuple[SendFlag, ...] = ()
    """Flags of the call: MSG_MORE."""
    to: Opt[Destination] = None
    """Where to send a datagram: server:5000; or a group, 239.1.2.3:5000, or all, 255.255.255.255:5000."""
    partial: StrictBool = False
    """One call only: what the kernel does not take of it, as a non-blocking call may do, is not sent."""

    @model_validator(mode="after")
    def _chunk_of_size(self) -> Self:
        if self.chunk is not None and self.size is None:
            raise ValueError("`chunk` goes with `size`")
        return self

    @property
    def call_size(self) -> int:
        """How many bytes the first call is given."""
        return min(self.length, self.chunk or self.length)

    @property
    def total(self) -> int:
        """How many bytes all calls together are given."""
        return self.length


class SendingParts(Short):
    """What to send in one call from several buffers."""

    short = "parts"
    parts: tuple[Data, ...] = Field(min_length=1, max_length=1024)
    """The buffers, each text or {bytes: "00ff"}."""
    flags: tuple[SendFlag, ...] = ()
    """Flags of the call."""
    to: Opt[Destination] = None
    """Where to send a datagram."""
    from_: Opt[HostAddress] = Field(default=None, alias="from")
    """From which address of its own the host sends a datagram: server.2. It is given with the message (IP_PKTINFO,
    IPV6_PKTINFO), and the socket may be bound to every address or to another one. Default: the address that the socket
    is bound to, else that which the route to the destination prefers."""
    partial: StrictBool = False
    """One call only: what the kernel does not take of it is not sent."""

    @property
    def call_size(self) -> int:
        """How many bytes the call is given."""
        return self.total

    @property
    def total(self) -> int:
        """As :attr:`call_size`: there is one call."""
        return _length(self.parts)


class SendingMessages(Short):
    """Several messages to send in one call, each of one buffer."""

    short = "messages"
    messages: tuple[Data, ...] = Field(min_length=1, max_length=1024)
    """The messages, each text or {bytes: "00ff"}."""
    flags: tuple[SendFlag, ...] = ()
    """Flags of the call."""
    to: Opt[Destination] = None
    """Where to send datagrams."""
    partial: StrictBool = False
    """One call only: messages that the kernel does not take are not sent."""

    @property
    def call_size(self) -> int:
        """How many bytes the largest message has."""
        return max(len(part.content or b"") for part in self.messages)

    @property
    def total(self) -> int:
        """How many bytes all messages have."""
        return _length(self.messages)


Spec = Sending | SendingParts | SendingMessages


class DataStep(OnSocketStep):
    """Sends data by a call that takes flags and an address."""

    @property
    def sending(self) -> Spec:
        """What is sent."""
        raise NotImplementedError

    @property
    @override
    def sends(self) -> int:
        return self.sending.total

    @override
    def check(self, sock: OpenSocket, sockets: OpenSockets) -> None:
        # A socket that can send, to the other host.
        spec = self.sending
        if spec.to is not None and spec.to.host == sockets.host:
            hint = "packets to itself do not cross the link"
            sockets.wrong((self.key, "to"), f"the {sockets.host} sends to itself", hint)
        if sock.state == "listening":
            sockets.wrong(self.key, f"{sock.described}; it carries no data")
        elif sock.write_shut:
            wrong_after_shutdown(self, sock, sockets)
        elif sock.type == "udp":
            self._check_datagram(spec, sock, sockets)
        elif spec.to is not None and "MSG_FASTOPEN" not in spec.flags:
            message = f"`{sock.name}` is a TCP socket; its peer is the one that it is connected to"
            sockets.wrong((self.key, "to"), message)
        elif spec.to is None and sock.state not in ("connected", "unknown"):
            sockets.wrong(self.key, sock.described)

    def _check_datagram(self, spec: Spec, sock: OpenSocket, sockets: OpenSockets) -> None:
        if spec.to is None and sock.state in ("new", "bound"):
            hint = f'{{{self.key}: {{..., to: "server:5000"}}}}, or `connect` before'
            sockets.wrong(self.key, f"`{sock.name}` is not connected, and no `to` says where to send", hint)
        if spec.call_size > LARGEST_DATAGRAM:
            message = f"a datagram cannot hold {spec.call_size} bytes: EMSGSIZE"
            sockets.wrong(self.key, message, "at most 65507 with IPv4")

    @override
    def change(self, sock: OpenSocket) -> None:
        # The kernel binds a UDP socket that sends; a new TCP socket sends with MSG_FASTOPEN, which connects.
        if sock.state == "new":
            sock.state = "bound" if sock.type == "udp" else "connected"


class SendStep(DataStep):
    """Sends bytes; with `size`, as many calls as it takes."""

    key = "send"
    send: Sending
    """Text, or a mapping with one of text, bytes and size."""

    @property
    @override
    def sending(self) -> Sending:
        return self.send

    @override
    def arguments(self, context: ScriptContext) -> str:
        spec = self.send
        if spec.size is None:
            data = f" hex={_hex(spec)}"
        else:
            data = arguments_of(size=spec.size, seed=context.seed, chunk=spec.chunk)
        return data + _how(spec, context)


class SendmsgStep(DataStep):
    """Sends several buffers in one call."""

    key = "sendmsg"
    sendmsg: SendingParts
    """A list of buffers, or a mapping."""

    @property
    @override
    def sending(self) -> SendingParts:
        return self.sendmsg

    @override
    def arguments(self, context: ScriptContext) -> str:
        spec = self.sendmsg
        source = context.address(spec.from_) if spec.from_ else None
        return f" parts={','.join(map(_hex, spec.parts))}{arguments_of(**{'from': source})}{_how(spec, context)}"

    @override
    def check(self, sock: OpenSocket, sockets: OpenSockets) -> None:
        # A datagram may leave from any address of its host.
        source = self.sendmsg.from_
        if source is not None and sock.type != "udp":
            message = f"`{sock.name}` is no UDP socket; all that it sends leaves from one address"
            sockets.wrong((self.key, "from"), message, "`bind` before `connect` chooses it")
        elif source is not None and source.host != sockets.host:
            sockets.wrong((self.key, "from"), f"the {sockets.host} cannot send from an address of the {source.host}")
        super().check(sock, sockets)


class SendmmsgStep(DataStep):
    """Sends several messages in one call."""

    key = "sendmmsg"
    sendmmsg: SendingMessages
    """A list of messages, or a mapping."""

    @property
    @override
    def sending(self) -> SendingMessages:
        return self.sendmmsg

    @override
    def arguments(self, context: ScriptContext) -> str:
        spec = self.sendmmsg
        return f" parts={','.join(map(_hex, spec.messages))}{_how(spec, context)}"


class _StreamStep(OnSocketStep):
    """Sends on a connected socket, without flags and address."""

    @override
    def check(self, sock: OpenSocket, sockets: OpenSockets) -> None:
        # A connected socket whose sending direction is open.
        if sock.write_shut:
            wrong_after_shutdown(self, sock, sockets)
        elif sock.state not in ("unknown", "connected"):
            sockets.wrong(self.key, sock.described)


class WritevStep(_StreamStep):
    """Writes several buffers in one call."""

    key = "writev"
    writev: Annotated[tuple[Data, ...], Field(min_length=1, max_length=1024)]
    """The buffers, each text or {bytes: "00ff"}."""

    @property
    @override
    def sends(self) -> int:
        return _length(self.writev)

    @override
    def arguments(self, context: ScriptContext) -> str:
        return f" parts={','.join(map(_hex, self.writev))}"


class SendfileStep(_StreamStep):
    """Sends a file in memory that holds the pattern of the scenario's seed, in as many calls as it takes."""

    key = "sendfile"
    sendfile: Annotated[Size, Field(ge=1, le=LARGEST_BUFFER)]
    """How many bytes."""

    @property
    @override
    def sends(self) -> int:
        return self.sendfile

    @override
    def arguments(self, context: ScriptContext) -> str:
        return arguments_of(size=self.sendfile, seed=context.seed)


class Splicing(Short):
    """Bytes that go through a pipe, from one descriptor to another."""

    short = "size"
    size: Annotated[Size, Field(ge=1)]
    """How many bytes; fewer, where the socket that they come from ends before."""
    from_: Opt[Name] = Field(default=None, alias="from")
    """The socket that they come from. Default: they are the pattern of the scenario's seed."""
    to: Opt[Name] = None
    """The socket that they go to. Default: with `from`, they are thrown away; else the socket made last."""


class SpliceStep(CallStep):
    """Moves bytes with splice, without copying them to the program: to a socket, from one, or from one to another."""

    key = "splice"
    splice: Splicing
    """How many bytes of the pattern to send, or a mapping."""

    @property
    @override
    def sends(self) -> int:
        return self.splice.size

    @override
    def act(self, sockets: OpenSockets) -> Use:
        # Both sockets must carry a stream that goes this way.
        source = sockets.find(self.splice.from_, self.key, self.key) if self.splice.from_ else None
        sink = None if source and not self.splice.to else sockets.find(self.splice.to, self.key, self.key)
        for sock in filter(None, (source, sink)):
            if self.error is None and sock.state not in ("unknown", "connected"):
                sockets.wrong(self.key, sock.described)
        if sink and sink.write_shut and self.error is None:
            wrong_after_shutdown(self, sink, sockets)
        used = sink or source
        return Use(used.name if used else "", "", used.type if used else "")

    @override
    def lines(self, use: Use, context: ScriptContext) -> Iterator[str]:
        source = self.splice.from_
        sink = use.sock if self.splice.to or not source else None
        seed = None if source else context.seed
        yield f"splice{arguments_of(sock=source, to=sink, size=self.splice.size, seed=seed)}{self.expect}"


def _how(spec: Spec, context: ScriptContext) -> str:
    """Return what the calls that take flags and an address have in common."""
    once = 1 if spec.partial else None
    return arguments_of(flags=",".join(spec.flags), once=once) + context.to(spec.to)


def wrong_after_shutdown(step: Step, sock: OpenSocket, sockets: OpenSockets) -> None:
    """Report that a step sends after the sending direction was shut down (send(2): EPIPE)."""
    message = f"the sending direction of `{sock.name}` was shut down: EPIPE"
    sockets.wrong(step.key, message, "if you mean it: `error: EPIPE`")


def _length(parts: Iterable[Data]) -> int:
    return sum(len(part.content or b"") for part in parts)


def _hex(data: Data) -> str:
    content = data.content
    assert content is not None  # noqa: S101 - checked on loading
    return content.hex()
