"""An agent's channel through the Docker API's attach stream: works with any engine, local or remote."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import Any

import docker

from testbed.lab.docker.docker_errors import translate

_FRAME = struct.Struct(">BxxxI")  # Docker's multiplexed stream: 1 standard output, 2 standard error
_KEEP = 4096


class DockerChannel:
    """Attached before the container starts, so that nothing of it is missed."""

    def __init__(self, api: docker.APIClient, container: str) -> None:
        options = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        with translate("attach to a container"):
            # The SDK hands out a SocketIO whose socket still has the request's time limit.
            self._attached: Any = api.attach_socket(container, params=options)
        self._socket: Any = getattr(self._attached, "_sock", self._attached)
        self._socket.settimeout(None)
        self._buffer = bytearray()
        self._stderr = b""
        self._closing = threading.Lock()
        self._closed = False

    def receive(self) -> bytes:
        """Return the next bytes of the agent's standard output; its standard error is kept aside."""
        out = b""
        while not out:
            data = self._socket.recv(1 << 18)
            if not data:
                return b""
            self._buffer += data
            out = self._split()
        return out

    def _split(self) -> bytes:
        out = []
        at = 0
        while len(self._buffer) - at >= _FRAME.size:
            stream, size = _FRAME.unpack_from(self._buffer, at)
            end = at + _FRAME.size + size
            if len(self._buffer) < end:
                break
            payload = bytes(self._buffer[at + _FRAME.size : end])
            if stream == 2:
                self._stderr = (self._stderr + payload)[-_KEEP:]
            else:
                out.append(payload)
            at = end
        del self._buffer[:at]
        return b"".join(out)

    def send(self, data: bytes) -> None:
        """Send to the agent's standard input."""
        self._socket.sendall(data)

    def close(self) -> None:
        """Close both ways; the engine then ends the container's standard input (StdinOnce)."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        with contextlib.suppress(OSError, AttributeError):  # a Windows named pipe has no shutdown
            self._socket.shutdown(socket.SHUT_RDWR)
        self._attached.close()
        self._socket.close()

    def last_words(self) -> str:
        """Return the end of the agent's standard error."""
        return self._stderr.decode(errors="replace")
