"""A server that takes any number of connections, reads each to its end and then closes it. Argument: port."""

import selectors
import socket
import sys

listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("", int(sys.argv[1])))
listener.listen(512)
listener.setblocking(False)
waiting = selectors.DefaultSelector()
waiting.register(listener, selectors.EVENT_READ)
while True:
    for key, _ in waiting.select():
        ready = key.fileobj
        assert isinstance(ready, socket.socket)
        if ready is listener:
            connection, _ = listener.accept()
            waiting.register(connection, selectors.EVENT_READ)
            continue
        try:
            more = ready.recv(65536)
        except ConnectionResetError:
            more = b""
        if not more:
            waiting.unregister(ready)
            ready.close()
