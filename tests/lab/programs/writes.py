"""A client that writes in every way there is. Each write is a token that says who made it, so that a test can tell from
the wire alone which call each byte must be of: ``CALL.CASE.PID.THREAD.NUMBER;``. Arguments: server, port, cases."""

import ctypes
import os
import selectors
import socket
import subprocess
import sys
import tempfile
import threading

SERVER = (sys.argv[1], int(sys.argv[2]))
MSG_ZEROCOPY = 0x4000000
SO_ZEROCOPY = 60


def token(call: str, case: str, number: int, size: int = 0) -> bytes:
    text = f"{call}.{case}.{os.getpid()}.{threading.get_native_id()}.{number}"
    return (text + "x" * (size - len(text) - 1) + ";").encode()


def finish(*connections: socket.socket) -> None:
    """Wait until the server has read all and closed."""
    for connection in connections:
        connection.shutdown(socket.SHUT_WR)
    for connection in connections:
        assert connection.recv(100) == b""
        connection.close()


def interleaved() -> None:
    connections = [socket.create_connection(SERVER) for _ in range(3)]
    for number in range(30):
        connections[number % 3 if number < 15 else number // 2 % 3].send(token("send", "interleaved", number))
    finish(*connections)


def threads() -> None:
    """Four threads write on one socket at once."""
    connection = socket.create_connection(SERVER)
    begin = threading.Barrier(4)

    def write() -> None:
        begin.wait()
        for number in range(25):
            connection.send(token("send", "threads", number))

    writers = [threading.Thread(target=write) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    finish(connection)


def forked() -> None:
    """A process and two children write on one socket; the children end with it open."""
    connection = socket.create_connection(SERVER)
    children = []
    for _ in range(2):
        child = os.fork()
        if not child:
            for number in range(10):
                connection.send(token("send", "forked", number))
            os._exit(0)
        children.append(child)
    for number in range(10):
        connection.send(token("send", "forked", number))
    for child in children:
        os.waitpid(child, 0)
    finish(connection)


def passed() -> None:
    """A descriptor goes to another program by SCM_RIGHTS, under another number; that program has the last word."""
    ours, theirs = socket.socketpair()
    with subprocess.Popen(
        [sys.executable, "-c", RECEIVER, str(theirs.fileno())], pass_fds=[theirs.fileno()], stdout=subprocess.PIPE
    ) as other:
        theirs.close()
        connection = socket.create_connection(SERVER)
        connection.send(token("send", "passed", 0))
        socket.send_fds(ours, [b"here"], [connection.fileno()])
        connection.close()
        ours.close()
        assert other.wait() == 0


RECEIVER = """
import os, socket, sys, threading
unix = socket.socket(fileno=int(sys.argv[1]))
spare = os.dup(0)
_, (fd,), _, _ = socket.recv_fds(unix, 100, 1)
connection = socket.socket(fileno=fd)
for number in range(3):
    connection.send(f"send.passed.{os.getpid()}.{threading.get_native_id()}.{number};".encode())
connection.shutdown(socket.SHUT_WR)
assert connection.recv(100) == b""
"""


def inherited() -> None:
    """Another program gets the socket over exec and writes; this one had closed it."""
    connection = socket.create_connection(SERVER)
    fd = connection.fileno()
    with subprocess.Popen([sys.executable, "-c", HEIR, str(fd)], pass_fds=[fd]) as heir:
        connection.close()
        assert heir.wait() == 0


HEIR = """
import os, socket, sys, threading
fd = int(sys.argv[1])
for number in range(3):
    os.write(fd, f"write.inherited.{os.getpid()}.{threading.get_native_id()}.{number};".encode())
connection = socket.socket(fileno=fd)
connection.shutdown(socket.SHUT_WR)
assert connection.recv(100) == b""
"""


def moves() -> None:
    """sendfile, splice, writev, sendmsg, sendmmsg, write."""
    connection = socket.create_connection(SERVER)
    fd = connection.fileno()
    with tempfile.TemporaryFile() as file:
        file.write(token("sendfile", "moves", 0, 5000))
        file.flush()
        assert os.sendfile(fd, file.fileno(), 0, 5000) == 5000
    out, into = os.pipe()
    piped = token("splice", "moves", 1, 3000)
    os.write(into, piped)
    assert os.splice(out, fd, len(piped)) == len(piped)
    os.close(out)
    os.close(into)
    whole = token("writev", "moves", 2)
    os.writev(fd, [whole[:5], whole[5:9], whole[9:]])
    whole = token("sendmsg", "moves", 3)
    connection.sendmsg([whole[:7], whole[7:]])
    sendmmsg(fd, [token("sendmmsg", "moves", number) for number in (4, 5)])
    os.write(fd, token("write", "moves", 6))
    finish(connection)


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_char_p), ("size", ctypes.c_size_t)]


class Msghdr(ctypes.Structure):
    _fields_ = [
        *(("name", ctypes.c_void_p), ("name_length", ctypes.c_uint)),
        *(("parts", ctypes.POINTER(Iovec)), ("count", ctypes.c_size_t)),
        *(("control", ctypes.c_void_p), ("control_length", ctypes.c_size_t), ("flags", ctypes.c_int)),
    ]


class Mmsghdr(ctypes.Structure):
    _fields_ = [("header", Msghdr), ("length", ctypes.c_uint)]


def sendmmsg(fd: int, texts: list[bytes]) -> None:
    messages = (Mmsghdr * len(texts))()
    for message, text in zip(messages, texts, strict=False):
        message.header.parts, message.header.count = ctypes.pointer(Iovec(text, len(text))), 1
    assert ctypes.CDLL(None).sendmmsg(fd, messages, len(texts), 0) == len(texts)


def zerocopy() -> None:
    """The kernel reads the pages later; the error queue tells when it is done with them."""
    connection = socket.create_connection(SERVER)
    connection.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
    connection.sendall(token("send", "zerocopy", 0, 50_000), MSG_ZEROCOPY)
    connection.sendall(token("send", "zerocopy", 1))
    poll = selectors.PollSelector()
    poll.register(connection, selectors.EVENT_READ)
    told = 0
    while not told:
        poll.select()  # POLLERR
        _, control, _, _ = connection.recvmsg(0, 200, socket.MSG_ERRQUEUE)
        told = len(control)
    finish(connection)


def urgent() -> None:
    connection = socket.create_connection(SERVER)
    connection.send(token("send", "urgent", 0))
    connection.send(token("send", "urgent", 1), socket.MSG_OOB)
    connection.send(token("send", "urgent", 2))
    finish(connection)


def reused() -> None:
    """Five connections one after the other, all with one descriptor number; the last two with one port as well."""
    numbers, port = set(), 0
    for number in range(5):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if number >= 3:
            connection.bind(("", port))
        connection.connect(SERVER)
        port = connection.getsockname()[1]
        numbers.add(connection.fileno())
        connection.send(token("send", "reused", number))
        if number == 3:  # no TIME_WAIT, so that the port is free again
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.close()
        else:
            finish(connection)
    assert len(numbers) == 1


def hundred() -> None:
    """A hundred connections that open at once and write by turns."""
    connections = [socket.socket() for _ in range(100)]
    for connection in connections:
        connection.setblocking(False)
        connection.connect_ex(SERVER)
    for connection in connections:
        connection.setblocking(True)
    for number in range(3):
        for connection in connections:
            connection.sendall(token("send", "hundred", number))
    finish(*connections)


for name in sys.argv[3:]:
    globals()[name]()
