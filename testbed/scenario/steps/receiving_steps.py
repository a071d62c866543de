"""Steps that receive or wait for data: recv, readv, recvmsg, recvmmsg, recv_exact, recv_all, on_readable, wait."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from typing_extensions import override

from testbed.scenario.language.base import Opt, Short
from testbed.scenario.language.values import Duration, Name, RecvFlag, Size, Whole
from testbed.scenario.steps.open_sockets import OpenSocket, OpenSockets, Use
from testbed.scenario.steps.sending_steps import LARGEST_BUFFER, Chunk
from testbed.scenario.steps.step import OnSocketStep, ScriptContext, arguments_of


class _ReceivingStep(OnSocketStep):
    """Receives data."""

    @property
    def to_end(self) -> bool:
        """Whether it needs a stream, which has an end."""
        return False

    @override
    def check(self, sock: OpenSocket, sockets: OpenSockets) -> None:
        # A socket at which data can arrive.
        if sock.type == "udp" and self.to_end:
            message = f"`{sock.name}` is a UDP socket: datagrams have no end of stream"
            sockets.wrong(self.key, message, "`recv` takes one datagram")
        elif sock.state == "listening":
            sockets.wrong(self.key, f"{sock.described}; it carries no data", "`accept` makes the socket that does")
        elif sock.state == "new" or (sock.type == "tcp" and sock.state == "bound"):
            sockets.wrong(self.key, f"{sock.described}: nothing can arrive")


BufferSize = Annotated[Size, Field(le=LARGEST_BUFFER)]


def judge_buffers(key: str, size: int, sockets: OpenSockets) -> None:
    """Report buffers that are together larger than the actor's largest."""
    if size > LARGEST_BUFFER:
        sockets.wrong(key, f"the buffers hold {size:,} bytes together: at most 64MiB")


class Receiving(Short):
    """One receiving call."""

    short = "size"
    size: Chunk
    """The size of the buffer."""
    flags: tuple[RecvFlag, ...] = ()
    """Flags of the call: MSG_PEEK."""


class RecvStep(_ReceivingStep):
    """Receives once."""

    key = "recv"
    recv: Receiving
    """The size of the buffer, or a mapping."""

    @override
    def arguments(self, context: ScriptContext) -> str:
        return arguments_of(size=self.recv.size, flags=",".join(self.recv.flags))


Buffers = Annotated[tuple[BufferSize, ...], Field(min_length=1, max_length=1024)]


class ReadvStep(_ReceivingStep):
    """Receives once, into several buffers."""

    key = "readv"
    readv: Buffers
    """The sizes of the buffers."""

    @override
    def judge(self, sock: OpenSocket, sockets: OpenSockets) -> None:
        # All of them are one buffer in the actor.
        judge_buffers(self.key, sum(self.readv), sockets)
        super().judge(sock, sockets)

    @override
    def arguments(self, context: ScriptContext) -> str:
        return f" sizes={','.join(map(str, self.readv))}"


class ReceivingParts(Short):
    """One receiving call with several buffers."""

    short = "sizes"
    sizes: Buffers
    """The sizes of the buffers."""
    flags: tuple[RecvFlag, ...] = ()
    """Flags of the call: MSG_ERRQUEUE."""


class RecvmsgStep(_ReceivingStep):
    """Receives once with recvmsg, into several buffers, with room for what comes beside the bytes.

    After IP_PKTINFO or IPV6_RECVPKTINFO was set, a datagram says to which address of its host it came: the call has the
    argument pktinfo, with the members address and interface (its index), in the log of the observer probe.
    """

    key = "recvmsg"
    recvmsg: ReceivingParts
    """The sizes of the buffers, or a mapping."""

    @override
    def judge(self, sock: OpenSocket, sockets: OpenSockets) -> None:
        # As readv.
        judge_buffers(self.key, sum(self.recvmsg.sizes), sockets)
        super().judge(sock, sockets)

    @override
    def arguments(self, context: ScriptContext) -> str:
        sizes = ",".join(map(str, self.recvmsg.sizes))
        return arguments_of(sizes=sizes, flags=",".join(self.recvmsg.flags))


class ReceivingMessages(Short):
    """Receiving several messages in one call."""

    short = "messages"
    messages: Annotated[Whole, Field(ge=1, le=1024)]
    """How many at most. Without MSG_WAITFORONE or MSG_DONTWAIT the call waits for all of them."""
    size: Annotated[Size, Field(ge=1, le=65536)] = 2048
    """The size of the buffer of each."""
    flags: tuple[RecvFlag, ...] = ()
    """Flags of the call: MSG_WAITFORONE."""


class RecvmmsgStep(_ReceivingStep):
    """Receives several messages in one call."""

    key = "recvmmsg"
    recvmmsg: ReceivingMessages
    """How many messages, or a mapping."""

    @override
    def judge(self, sock: OpenSocket, sockets: OpenSockets) -> None:
        # As readv.
        judge_buffers(self.key, self.recvmmsg.messages * self.recvmmsg.size, sockets)
        super().judge(sock, sockets)

    @override
    def arguments(self, context: ScriptContext) -> str:
        spec = self.recvmmsg
        return arguments_of(count=spec.messages, size=spec.size, flags=",".join(spec.flags))


class ReceivingExactly(Short):
    """Receiving a number of bytes."""

    short = "size"
    size: Size
    """How many bytes."""
    chunk: Opt[Chunk] = None
    """The largest buffer of one call (default 64KiB)."""


class RecvExactStep(_ReceivingStep):
    """Receives a number of bytes, in as many calls as it takes; a stream that ends before is the error EOF."""

    key = "recv_exact"
    own_errors = ("EOF",)
    recv_exact: ReceivingExactly
    """How many bytes, or a mapping."""

    @property
    @override
    def to_end(self) -> bool:
        return True

    @override
    def arguments(self, context: ScriptContext) -> str:
        return arguments_of(size=self.recv_exact.size, chunk=self.recv_exact.chunk)


class ReceivingAll(Short):
    """Receiving until the end of the stream."""

    empty = True
    chunk: Opt[Chunk] = None
    """The buffer of one call (default 64KiB)."""


class RecvAllStep(_ReceivingStep):
    """Receives until the peer ends the stream."""

    key = "recv_all"
    recv_all: ReceivingAll
    """Nothing, or a mapping."""

    @property
    @override
    def to_end(self) -> bool:
        return True

    @override
    def arguments(self, context: ScriptContext) -> str:
        return arguments_of(chunk=self.recv_all.chunk)


class Reading(Short):
    """Reading when the kernel reports that there is something."""

    short = "read"
    read: Literal["once", "drain", "each"]
    """once: one wait, one recv. drain: recv until EAGAIN, then wait again, until the end of the stream. each: one recv
    after each wait, until the end of the stream."""
    by: Literal["poll", "epoll", "epoll-edge"] = "poll"
    """The call that waits: poll, epoll (level-triggered), or epoll-edge (EPOLLET: new data is reported once)."""
    size: Chunk = 65536
    """The buffer of one recv."""
    timeout: Opt[Duration] = None
    """How long one wait may take; then the step ends with the error TIMEOUT. Default: without limit."""
    sockets: Annotated[tuple[Name, ...], Field(max_length=64)] = ()
    """Several sockets to wait for at once: what is ready is read, one after the other. drain and each end when all
    have come to their end. Default: the one that the step is on."""


class OnReadableStep(_ReceivingStep):
    """Reads as an event-driven program does: wait, then recv."""

    key = "on_readable"
    own_errors = ("TIMEOUT",)
    on_readable: Reading
    """once, drain, each, or a mapping."""

    @property
    @override
    def to_end(self) -> bool:
        return self.on_readable.read != "once"

    @override
    def act(self, sockets: OpenSockets) -> Use:
        # One socket, or each of several.
        names = self.on_readable.sockets
        if not names:
            return super().act(sockets)
        if self.on:
            sockets.wrong("on", "the step names its `sockets`", "leave `on` out")
        for name in names:
            self.judge(sockets.find(name, self.key, self.key), sockets)
        return Use(names[0])

    @override
    def lines(self, use: Use, context: ScriptContext) -> Iterator[str]:
        if not self.on_readable.sockets:
            yield from super().lines(use, context)
            return
        yield f"serve socks={','.join(self.on_readable.sockets)}{self.arguments(context)}{self.expect}"

    @override
    def arguments(self, context: ScriptContext) -> str:
        spec = self.on_readable
        by = None if spec.by == "poll" else spec.by
        return arguments_of(mode=spec.read, size=spec.size, by=by, timeout=spec.timeout)


Readiness = Literal["readable", "writable", "urgent", "error"]
_EVENTS: dict[Readiness, str] = {"readable": "in", "writable": "out", "urgent": "pri", "error": "error"}


class Waiting(Short):
    """What to wait for."""

    short = "for_"
    for_: Opt[Readiness] = Field(default=None, alias="for")
    """readable, writable, urgent data, or error: only what poll always reports (POLLERR, POLLHUP)."""
    sockets: Annotated[dict[Name, Readiness], Field(max_length=64)] = Field(default_factory=dict)
    """Instead of `for`: several sockets to wait for at once, each with what it is waited for: {a: readable, b:
    writable}. The wait ends when one is ready."""
    by: Literal["poll", "epoll", "epoll-edge", "select"] = "poll"
    """The call that waits for several sockets."""
    timeout: Opt[Duration] = None
    """How long; then the step ends with the error TIMEOUT. Default: without limit."""

    @model_validator(mode="after")
    def _one_or_several(self) -> Self:
        if (self.for_ is None) == (not self.sockets):
            raise ValueError("exactly one of for, sockets is needed")
        if self.for_ is not None and "by" in self.model_fields_set:
            raise ValueError("`by` goes with `sockets`", "one socket is waited for with poll")
        return self


class WaitStep(OnSocketStep):
    """Waits for a socket with poll, or for several; its result is in the call log."""

    key = "wait"
    own_errors = ("TIMEOUT",)
    wait: Waiting
    """readable, writable, urgent, error, or a mapping."""

    @override
    def act(self, sockets: OpenSockets) -> Use:
        # One socket, or each of several.
        if self.wait.for_:
            return super().act(sockets)
        if self.on:
            sockets.wrong("on", "the step names its `sockets`", "leave `on` out")
        found = [sockets.find(name, self.key, self.key) for name in self.wait.sockets]
        return Use(found[0].name)

    @override
    def lines(self, use: Use, context: ScriptContext) -> Iterator[str]:
        spec = self.wait
        if spec.for_:
            yield f"wait sock={use.sock} for={_EVENTS[spec.for_]}{arguments_of(timeout=spec.timeout)}{self.expect}"
            return
        named = ",".join(f"{name}:{_EVENTS[event]}" for name, event in spec.sockets.items())
        by = None if spec.by == "poll" else spec.by
        yield f"wait_any{arguments_of(socks=named, by=by, timeout=spec.timeout)}{self.expect}"
