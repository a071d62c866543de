"""What the kernel says of a network namespace's TCP and UDP sockets: /proc/net/{tcp,tcp6,udp,udp6}. Pure parsing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# include/net/tcp_states.h
STATES = {
    1: "ESTABLISHED",
    2: "SYN_SENT",
    3: "SYN_RECV",
    4: "FIN_WAIT1",
    5: "FIN_WAIT2",
    6: "TIME_WAIT",
    7: "CLOSE",
    8: "CLOSE_WAIT",
    9: "LAST_ACK",
    10: "LISTEN",
    11: "CLOSING",
    12: "SYN_RECV",  # TCP_NEW_SYN_RECV
}
TCP_FILES = ("/proc/net/tcp", "/proc/net/tcp6")
UDP_FILES = ("/proc/net/udp", "/proc/net/udp6")

UNSETTLED = {"SYN_SENT", "SYN_RECV", "FIN_WAIT1", "CLOSING", "LAST_ACK"}
"""States in which the kernel itself still waits for an answer of the peer's."""


@dataclass(frozen=True, slots=True)
class TcpSocket:
    """One line of the table; ``unsent`` are bytes written that the peer did not acknowledge yet."""

    local_port: int
    peer_port: int
    state: str
    unsent: int

    @property
    def settled(self) -> bool:
        """True when the kernel has nothing left to send and waits for no answer."""
        return self.state not in UNSETTLED and (self.unsent == 0 or self.state == "LISTEN")

    def __str__(self) -> str:
        held = f" with {self.unsent} bytes not acknowledged" if self.unsent else ""
        return f"port {self.local_port} to {self.peer_port} {self.state}{held}"


def parse(table: str) -> list[TcpSocket]:
    """Parse the text of one of the files; UDP lines have state CLOSE (7)."""
    sockets = []
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 5:
            continue
        sockets.append(
            TcpSocket(
                int(fields[1].rpartition(":")[2], 16),
                int(fields[2].rpartition(":")[2], 16),
                STATES.get(int(fields[3], 16), fields[3]),
                int(fields[4].partition(":")[0], 16),
            )
        )
    return sockets


def unsettled(sockets: Iterable[TcpSocket]) -> list[TcpSocket]:
    """Return the sockets that may still put packets on the wire by themselves."""
    return [socket for socket in sockets if not socket.settled]


def listens(sockets: Iterable[TcpSocket], port: int) -> bool:
    """Say whether a TCP socket listens on a port."""
    return any(socket.state == "LISTEN" and socket.local_port == port for socket in sockets)


def bound(sockets: Iterable[TcpSocket], port: int) -> bool:
    """Say whether a (UDP) socket is bound to a port."""
    return any(socket.local_port == port for socket in sockets)
