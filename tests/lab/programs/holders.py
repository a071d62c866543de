"""Connections whose last holder is another process than the one that closes them, one after the other.

``holders.py server`` accepts until a connection brings ``end``. ``holders.py client HOST`` gives one socket to a child
of each kind: by posix_spawn, by system, by vfork and exec (subprocess), by fork with an exec that closes it.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time

PORT = 7001
SLEEP = ["/bin/sleep", "0.2"]


def connected(host: str, text: bytes, *, inherited: bool) -> socket.socket:
    made = socket.create_connection((host, PORT))
    made.set_inheritable(inherited)
    made.sendall(text)
    made.recv(1)  # then all is acknowledged, so that a close could send the FIN at once
    return made


def client(host: str) -> None:
    one = connected(host, b"spawned", inherited=True)
    child = os.posix_spawn(SLEEP[0], SLEEP, {})  # without the probe: it leaves no log
    one.close()
    os.waitpid(child, 0)

    one = connected(host, b"system", inherited=True)
    os.system(f"{' '.join(SLEEP)} &")  # noqa: S605 - system() is what is tested
    one.close()
    time.sleep(0.4)

    one = connected(host, b"vfork", inherited=True)
    with subprocess.Popen(SLEEP, close_fds=False):
        one.close()

    one = connected(host, b"exec", inherited=False)
    child = os.fork()
    if child == 0:
        time.sleep(0.2)
        os.execv(SLEEP[0], SLEEP)  # noqa: S606 - as above
    one.close()
    os.waitpid(child, 0)
    connected(host, b"end", inherited=False).close()


def server() -> None:
    listener = socket.create_server(("", PORT))
    text = b""
    while text != b"end":
        one, _ = listener.accept()
        text = one.recv(100)
        one.send(b"k")
        while one.recv(100):
            pass
        one.close()


if __name__ == "__main__":
    server() if sys.argv[1] == "server" else client(sys.argv[2])
