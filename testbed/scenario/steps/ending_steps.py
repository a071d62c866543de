"""Steps that end a connection or give a socket up: shutdown, close, disconnect."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator
from typing_extensions import override

from testbed.scenario.language.values import Name
from testbed.scenario.steps.open_sockets import OpenSocket, OpenSockets, Use
from testbed.scenario.steps.step import NoValue, OnSocketStep, ScriptContext


class ShutdownStep(OnSocketStep):
    """Ends one direction of a connection, or both."""

    key = "shutdown"
    shutdown: Literal["read", "write", "both"]
    """read, write or both."""

    @override
    def check(self, sock: OpenSocket, sockets: OpenSockets) -> None:
        # There must be a connection.
        if sock.state in ("new", "bound"):
            sockets.wrong("shutdown", sock.described)

    @override
    def change(self, sock: OpenSocket) -> None:
        # Nothing can be sent any more, unless only reading was ended.
        sock.write_shut = sock.write_shut or self.shutdown != "read"

    @override
    def arguments(self, context: ScriptContext) -> str:
        how = {"read": "rd", "write": "wr", "both": "rdwr"}
        return f" how={how[self.shutdown]}"


class CloseStep(OnSocketStep):
    """Closes a socket."""

    key = "close"
    close: Name | None
    """Nothing, or the socket's name."""

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        if self.close and self.on:
            raise ValueError("the socket is named twice", "either `close: NAME` or `on: NAME`")
        return self

    @override
    def act(self, sockets: OpenSockets) -> Use:
        # Close the socket, whether or not the call gives an error (close(2)).
        sock = sockets.find(self.close or self.on, self.place, self.key)
        sockets.close(sock)
        return Use(sock.name, "", sock.type, sock.version)


class DisconnectStep(OnSocketStep):
    """Dissolves a connection or an association: connect(2) to AF_UNSPEC. A TCP socket can then connect anew."""

    key = "disconnect"
    disconnect: NoValue
    """Takes no value."""

    @override
    def check(self, sock: OpenSocket, sockets: OpenSockets) -> None:
        # Unix sockets of a pair stay connected.
        if sock.type == "unix":
            sockets.wrong(self.place, f"`{sock.name}` is a Unix socket; this is for TCP and UDP")

    @override
    def change(self, sock: OpenSocket) -> None:
        # As it was before connect or listen; a port that bind gave it stays.
        sock.state, sock.write_shut = "bound" if sock.port else "new", False
