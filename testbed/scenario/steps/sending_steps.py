"""Steps that send: send, sendmsg, writev, sendfile."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator
from typing_extensions import override

from testbed.scenario.language.base import Opt, Short
from testbed.scenario.language.payload import Data, Payload
from testbed.scenario.language.values import Remote, SendFlag, Size
from testbed.scenario.steps.open_sockets import OpenSocket, OpenSockets
from testbed.scenario.steps.step import OnSocketStep, ScriptContext, arguments_of

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
    to: Opt[Remote] = None
    """Where to send a datagram: server:5000."""

    @model_validator(mode="after")
    def _chunk_of_size(self) -> Self:
        if self.chunk is not None and self.size is None:
            raise ValueError("`chunk` goes with `size`")
        return self

    @property
    def call_size(self) -> int:
        """How many bytes the first call is given."""
        return min(self.length, self.chunk or self.length)


class SendingParts(Short):
    """What to send in one call from several buffers."""

    short = "parts"
    parts: tuple[Data, ...] = Field(min_length=1, max_length=1024)
    """The buffers, each text or {bytes: "00ff"}."""
    flags: tuple[SendFlag, ...] = ()
    """Flags of the call."""
    to: Opt[Remote] = None
    """Where to send a datagram."""

    @property
    def call_size(self) -> int:
        """How many bytes the call is given."""
        return sum(len(part.content or b"") for part in self.parts)


class _DataStep(OnSocketStep):
    """Sends data by a call that takes flags and an address."""

    @property
    def sending(self) -> Sending | SendingParts:
        """What is sent."""
        raise NotImplementedError

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

    def _check_datagram(self, spec: Sending | SendingParts, sock: OpenSocket, sockets: OpenSockets) -> None:
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


class SendStep(_DataStep):
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
        return data + arguments_of(flags=",".join(spec.flags)) + context.to(spec.to)


class SendmsgStep(_DataStep):
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
        flags = arguments_of(flags=",".join(spec.flags))
        return f" parts={','.join(map(_hex, spec.parts))}{flags}{context.to(spec.to)}"


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

    @override
    def arguments(self, context: ScriptContext) -> str:
        return f" parts={','.join(map(_hex, self.writev))}"


class SendfileStep(_StreamStep):
    """Sends a file in memory that holds the pattern of the scenario's seed, in as many calls as it takes."""

    key = "sendfile"
    sendfile: Annotated[Size, Field(ge=1, le=LARGEST_BUFFER)]
    """How many bytes."""

    @override
    def arguments(self, context: ScriptContext) -> str:
        return arguments_of(size=self.sendfile, seed=context.seed)


def wrong_after_shutdown(step: OnSocketStep, sock: OpenSocket, sockets: OpenSockets) -> None:
    """Report that a step sends after the sending direction was shut down (send(2): EPIPE)."""
    message = f"the sending direction of `{sock.name}` was shut down: EPIPE"
    sockets.wrong(step.key, message, "if you mean it: `error: EPIPE`")


def _hex(data: Data) -> str:
    content = data.content
    assert content is not None  # noqa: S101 - checked on loading
    return content.hex()
