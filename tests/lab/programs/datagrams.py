"""UDP datagrams that are not one call each: ``datagrams.py server`` reads, ``datagrams.py client HOST`` writes."""

from __future__ import annotations

import socket
import sys
import time

PORT = 7002
UDP_CORK, UDP_SEGMENT, UDP_GRO = 1, 103, 104  # linux/udp.h


def client(host: str) -> None:
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.connect((host, PORT))
    one.send(b"ab", socket.MSG_MORE)
    one.send(b"cd")
    one.setsockopt(socket.IPPROTO_UDP, UDP_CORK, 1)
    one.send(b"ef")
    one.send(b"gh")
    one.setsockopt(socket.IPPROTO_UDP, UDP_CORK, 0)
    one.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 1000)
    one.send(b"s" * 2500)
    one.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 0)
    one.send(b"end")
    one.setsockopt(socket.IPPROTO_UDP, UDP_CORK, 1)
    one.send(b"never")
    time.sleep(0.05)


def server() -> None:
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
    one.bind(("", PORT))
    while one.recv(65536) != b"end":
        pass


if __name__ == "__main__":
    server() if sys.argv[1] == "server" else client(sys.argv[2])
