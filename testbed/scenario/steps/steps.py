"""The steps of a host, as written: one key names the step, ``on``, ``as`` and ``error`` may stand beside it.

One class for each step; its first own field is the key that names it, so that a model mirrors its YAML. What a step
means for the sockets of its host is ``check.py``; what the actor gets is ``script.py``.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Discriminator, Field, StrictBool, Tag, model_validator

from testbed.scenario.language.base import Frozen, Opt, Short
from testbed.scenario.language.payload import Data, Payload
from testbed.scenario.language.values import (
    Duration,
    ExpectedError,
    Local,
    Name,
    Option,
    OptionValue,
    Port,
    RecvFlag,
    Remote,
    SendFlag,
    Size,
    Whole,
)
from testbed.scenario.link.link_model import Change

CHUNK_MOST = 64 << 20
"""The largest buffer of one call in the actor."""
Chunk = Annotated[Size, Field(ge=1, le=CHUNK_MOST)]


class Step(Frozen):
    """What all steps have."""

    key: ClassVar[str]


class CallStep(Step):
    """A step that makes a socket call."""

    error: Opt[ExpectedError] = None
    """The error that the call must give: an errno (ECONNREFUSED), EOF (recv_exact), TIMEOUT (on_readable), or any."""


class SocketStep(CallStep):
    """A step that makes a call on a socket that is there."""

    on: Opt[Name] = None
    """The socket's name; without it the socket made last that is still open."""


class Nothing(Short):
    """Nothing stands after the key."""

    empty = True


class NewSocket(Short):
    """The socket to make."""

    short = "type"
    type: Literal["tcp", "udp"]
    """tcp or udp."""
    nonblocking: StrictBool = False
    """Create it with SOCK_NONBLOCK."""


class Socket(CallStep):
    """Creates a socket."""

    key = "socket"
    socket: NewSocket
    """tcp, udp, or a mapping."""
    as_: Name = Field(default="sock", alias="as")
    """The new socket's name."""


class Setsockopt(SocketStep):
    """Sets socket options, one call for each."""

    key = "setsockopt"
    setsockopt: dict[Option, OptionValue] = Field(min_length=1)
    """Names and values: a number or true; 500ms for SO_RCVTIMEO and SO_SNDTIMEO; [1, 0] for SO_LINGER (l_onoff,
    l_linger); text for TCP_CONGESTION and SO_BINDTODEVICE."""


class Getsockopt(SocketStep):
    """Reads a socket option; its value is in the call log."""

    key = "getsockopt"
    getsockopt: Option
    """The option's name."""


class Bind(SocketStep):
    """Gives the socket a local address and port."""

    key = "bind"
    bind: Local
    """":5000" for every address of the host, or client:5000 for its lab address; port 0 lets the kernel choose."""


class Listening(Short):
    """Where to listen."""

    short = "port"
    empty = True
    port: Opt[Port] = None
    """The port. Without it, listen(2) alone is called, on a socket that was created and bound before."""
    backlog: Whole = Field(default=128, ge=0, le=65535)
    """How many connections may wait for accept."""


class Listen(SocketStep):
    """Listens on a port: creates a TCP socket, sets SO_REUSEADDR, binds and listens."""

    key = "listen"
    listen: Listening
    """The port, a mapping, or nothing to listen on a socket that was bound before."""
    as_: Opt[Name] = Field(default=None, alias="as")
    """The new socket's name (default: listener)."""


class Accept(SocketStep):
    """Waits for a connection. Default for `on`: the last listening socket."""

    key = "accept"
    accept: Nothing
    """Takes no value."""
    as_: Name = Field(default="conn", alias="as")
    """The new socket's name."""


class Connect(SocketStep):
    """Connects the last socket created, if it is open and neither connected nor listening; else a new TCP socket."""

    key = "connect"
    connect: Remote
    """The host and port to connect to: server:10011."""
    as_: Opt[Name] = Field(default=None, alias="as")
    """Create a new TCP socket with this name."""


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


class Send(SocketStep):
    """Sends bytes; with `size`, as many calls as it takes."""

    key = "send"
    send: Sending
    """Text, or a mapping with one of text, bytes and size."""


class SendingParts(Short):
    """What to send in one call from several buffers."""

    short = "parts"
    parts: tuple[Data, ...] = Field(min_length=1, max_length=1024)
    """The buffers, each text or {bytes: "00ff"}."""
    flags: tuple[SendFlag, ...] = ()
    """Flags of the call."""
    to: Opt[Remote] = None
    """Where to send a datagram."""


class Sendmsg(SocketStep):
    """Sends several buffers in one call."""

    key = "sendmsg"
    sendmsg: SendingParts
    """A list of buffers, or a mapping."""


class Writev(SocketStep):
    """Writes several buffers in one call."""

    key = "writev"
    writev: Annotated[tuple[Data, ...], Field(min_length=1, max_length=1024)]
    """The buffers, each text or {bytes: "00ff"}."""


class Sendfile(SocketStep):
    """Sends a file in memory that holds the pattern of the scenario's seed, in as many calls as it takes."""

    key = "sendfile"
    sendfile: Annotated[Size, Field(ge=1, le=CHUNK_MOST)]
    """How many bytes."""


class Receiving(Short):
    """One receiving call."""

    short = "size"
    size: Chunk
    """The size of the buffer."""
    flags: tuple[RecvFlag, ...] = ()
    """Flags of the call: MSG_PEEK."""


class Recv(SocketStep):
    """Receives once."""

    key = "recv"
    recv: Receiving
    """The size of the buffer, or a mapping."""


class ReceivingExactly(Short):
    """Receiving a number of bytes."""

    short = "size"
    size: Size
    """How many bytes."""
    chunk: Opt[Chunk] = None
    """The largest buffer of one call (default 64KiB)."""


class RecvExact(SocketStep):
    """Receives a number of bytes, in as many calls as it takes; a stream that ends before is the error EOF."""

    key = "recv_exact"
    recv_exact: ReceivingExactly
    """How many bytes, or a mapping."""


class ReceivingAll(Short):
    """Receiving until the end of the stream."""

    empty = True
    chunk: Opt[Chunk] = None
    """The buffer of one call (default 64KiB)."""


class RecvAll(SocketStep):
    """Receives until the peer ends the stream."""

    key = "recv_all"
    recv_all: ReceivingAll
    """Nothing, or a mapping."""


class Reading(Short):
    """Reading when the kernel says that there is something."""

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


class OnReadable(SocketStep):
    """Reads as an event-driven program does: wait, then recv."""

    key = "on_readable"
    on_readable: Reading
    """once, drain, each, or a mapping."""


class Waiting(Short):
    """What to wait for."""

    short = "for_"
    for_: Literal["readable", "writable", "urgent", "error"] = Field(alias="for")
    """readable, writable, urgent data, or error: only what poll always reports (POLLERR, POLLHUP)."""
    timeout: Opt[Duration] = None
    """How long; then the step ends with the error TIMEOUT. Default: without limit."""


class Wait(SocketStep):
    """Waits for a socket with poll; its result is in the call log."""

    key = "wait"
    wait: Waiting
    """readable, writable, urgent, error, or a mapping."""


class Shutdown(SocketStep):
    """Ends one direction of a connection, or both."""

    key = "shutdown"
    shutdown: Literal["read", "write", "both"]
    """read, write or both."""


class Close(SocketStep):
    """Closes a socket."""

    key = "close"
    close: Name | None
    """Nothing, or the socket's name."""

    @property
    def target(self) -> str | None:
        """The socket's name, wherever it stands."""
        return self.close or self.on

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        if self.close and self.on:
            raise ValueError("the socket is named twice", "either `close: NAME` or `on: NAME`")
        return self


class Sleep(Step):
    """Waits."""

    key = "sleep"
    sleep: Duration
    """How long."""


class Exit(Step):
    """Ends the program at once, with its sockets open. Must be the last step."""

    key = "exit"
    exit: Annotated[Whole, Field(ge=0, le=255)]
    """The exit status."""


class Kill(Step):
    """Kills the program by a signal. Must be the last step."""

    key = "kill"
    kill: Literal["SIGABRT", "SIGKILL", "SIGSEGV", "SIGTERM"]
    """The signal."""


class Barrier(Step):
    """Waits until the other host's steps have reached the barrier of the same name."""

    key = "barrier"
    barrier: Name
    """The barrier's name, once in each host's steps."""


class LinkChange(Step):
    """Changes what the link does to packets, from here on."""

    key = "link"
    link: Change
    """Impairments; those that are not named stay as they are."""


STEPS: dict[str, type[Step]] = {
    model.key: model
    for model in (
        *(Socket, Setsockopt, Getsockopt, Bind, Listen, Accept, Connect, Send, Sendmsg, Writev, Sendfile, Recv),
        *(RecvExact, RecvAll, OnReadable, Wait, Shutdown, Close, Sleep, Barrier, LinkChange, Exit, Kill),
    )
}
BESIDE = ("on", "as", "error")
"""Keys that may stand beside the one that names a step."""


def kind_of(value: object) -> str | None:
    """Return the tag of the step that a plain value holds, None when it does not name exactly one."""
    if isinstance(value, Step):
        return f"<{value.key}>"
    if not isinstance(value, dict):
        return None
    found = [key for key in value if key in STEPS]
    return f"<{found[0]}>" if len(found) == 1 else None


AnyStep = Annotated[
    Annotated[Socket, Tag("<socket>")]
    | Annotated[Setsockopt, Tag("<setsockopt>")]
    | Annotated[Getsockopt, Tag("<getsockopt>")]
    | Annotated[Bind, Tag("<bind>")]
    | Annotated[Listen, Tag("<listen>")]
    | Annotated[Accept, Tag("<accept>")]
    | Annotated[Connect, Tag("<connect>")]
    | Annotated[Send, Tag("<send>")]
    | Annotated[Sendmsg, Tag("<sendmsg>")]
    | Annotated[Writev, Tag("<writev>")]
    | Annotated[Sendfile, Tag("<sendfile>")]
    | Annotated[Recv, Tag("<recv>")]
    | Annotated[RecvExact, Tag("<recv_exact>")]
    | Annotated[RecvAll, Tag("<recv_all>")]
    | Annotated[OnReadable, Tag("<on_readable>")]
    | Annotated[Wait, Tag("<wait>")]
    | Annotated[Shutdown, Tag("<shutdown>")]
    | Annotated[Close, Tag("<close>")]
    | Annotated[Sleep, Tag("<sleep>")]
    | Annotated[Barrier, Tag("<barrier>")]
    | Annotated[LinkChange, Tag("<link>")]
    | Annotated[Exit, Tag("<exit>")]
    | Annotated[Kill, Tag("<kill>")],
    Discriminator(kind_of),
]
