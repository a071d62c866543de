"""A server that tells each client how far its first number was from 2^32, then reads to the end. Argument: port."""

import socket
import struct
import sys

TCP_SAVE_SYN, TCP_SAVED_SYN = 27, 28

listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.setsockopt(socket.IPPROTO_TCP, TCP_SAVE_SYN, 1)
listener.bind(("", int(sys.argv[1])))
listener.listen(512)
while True:
    connection, _ = listener.accept()
    syn = connection.getsockopt(socket.IPPROTO_TCP, TCP_SAVED_SYN, 200)
    (number,) = struct.unpack("!I", syn[24:28])  # behind 20 bytes of IPv4 and both ports
    try:
        connection.send(struct.pack("!Q", 2**32 - number))
        while connection.recv(1 << 20):
            pass
    except ConnectionResetError:
        pass
    connection.close()
