"""Steps that receive or wait for data: recv, recv_exact, recv_all, on_readable, wait."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from typing_extensions import override

from testbed.scenario.language.base import Opt, Short
from testbed.scenario.language.values import Duration, RecvFlag, Size
from testbed.scenario.steps.open_sockets import OpenSocket, OpenSockets
from testbed.scenario.steps.sending_steps import Chunk
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
    def arguments(self, context: ScriptContext) -> str:
        spec = self.on_readable
        by = None if spec.by == "poll" else spec.by
        return arguments_of(mode=spec.read, size=spec.size, by=by, timeout=spec.timeout)


class Waiting(Short):
    """What to wait for."""

    short = "for_"
    for_: Literal["readable", "writable", "urgent", "error"] = Field(alias="for")
    """readable, writable, urgent data, or error: only what poll always reports (POLLERR, POLLHUP)."""
    timeout: Opt[Duration] = None
    """How long; then the step ends with the error TIMEOUT. Default: without limit."""


class WaitStep(OnSocketStep):
    """Waits for a socket with poll; its result is in the call log."""

    key = "wait"
    own_errors = ("TIMEOUT",)
    wait: Waiting
    """readable, writable, urgent, error, or a mapping."""

    @override
    def arguments(self, context: ScriptContext) -> str:
        event = {"readable": "in", "writable": "out", "urgent": "pri", "error": "error"}[self.wait.for_]
        return f" for={event}{arguments_of(timeout=self.wait.timeout)}"
