"""Registers and memory of a program that stands at a system call, and what its descriptors are."""

import os
import platform
import re
import struct

import gdb

X86 = platform.machine() == "x86_64"
LIMIT = 65536
"""Bytes of one call that are read; of more only the length is told."""
FORKS = ("clone", "fork", "vfork", "clone3")


# From asm/unistd_64.h and asm-generic/unistd.h.
NUMBERS = (
    dict(
        read=0,
        write=1,
        close=3,
        readv=19,
        writev=20,
        dup=32,
        dup2=33,
        fcntl=72,
        sendfile=40,
        socket=41,
        connect=42,
        accept=43,
        sendto=44,
        recvfrom=45,
        sendmsg=46,
        recvmsg=47,
        shutdown=48,
        bind=49,
        listen=50,
        setsockopt=54,
        clone=56,
        fork=57,
        vfork=58,
        exit_group=231,
        accept4=288,
        dup3=292,
        clone3=435,
    )
    if X86
    else dict(
        dup=23,
        dup3=24,
        fcntl=25,
        close=57,
        read=63,
        write=64,
        readv=65,
        writev=66,
        sendfile=71,
        socket=198,
        bind=200,
        listen=201,
        accept=202,
        connect=203,
        sendto=206,
        recvfrom=207,
        setsockopt=208,
        shutdown=210,
        sendmsg=211,
        recvmsg=212,
        clone=220,
        accept4=242,
        exit_group=94,
        clone3=435,
    )
)

NAMES = {number: name for name, number in NUMBERS.items()}
CAUGHT = tuple(NUMBERS)
CLONE_THREAD = 0x10000
COPIES = (0, 1030)
"""F_DUPFD, F_DUPFD_CLOEXEC."""


def register(name):
    return int(gdb.parse_and_eval("(unsigned long long)$" + name))


def number():
    return register("orig_rax" if X86 else "x8")


def result():
    value = register("rax" if X86 else "x0")
    return value - (1 << 64) if value >> 63 else value


def arguments():
    names = ("rdi", "rsi", "rdx", "r10", "r8", "r9") if X86 else ("x0", "x1", "x2", "x3", "x4", "x5")
    return [register(name) for name in names]


def memory(address, size):
    if not address or size <= 0:
        return b""
    try:
        return bytes(gdb.selected_inferior().read_memory(address, min(size, LIMIT)))
    except gdb.error:
        return b""


def link(pid, fd):
    try:
        return os.readlink("/proc/%d/fd/%d" % (pid, fd))
    except OSError:
        return ""


def is_of_interest(name, pid, args):
    """Say whether a call is on a socket, makes one, makes a process or ends one."""
    if name == "clone":
        return not args[0] & CLONE_THREAD
    if name == "clone3":
        return not int.from_bytes(memory(args[0], 8), "little") & CLONE_THREAD
    if name == "fcntl" and args[1] not in COPIES:
        return False
    return name in ("socket", "fork", "vfork", "exit_group") or link(pid, args[0] & 0xFFFFFFFF).startswith("socket:")


def inode(pid, fd):
    found = re.match(r"socket:\[(\d+)\]", link(pid, fd))
    return int(found[1]) if found else 0


def socket(pid, fd):
    """Inode, protocol and addresses (as in /proc/net) of a socket."""
    wanted = inode(pid, fd)
    for protocol in ("tcp", "tcp6", "udp", "udp6") if wanted else ():
        try:
            with open("/proc/%d/net/%s" % (pid, protocol)) as table:
                for line in table:
                    words = line.split()
                    if len(words) > 9 and words[9] == str(wanted):
                        return {"inode": wanted, "protocol": protocol[:3], "local": words[1], "peer": words[2]}
        except OSError:
            continue
    return {"inode": wanted} if wanted else None


def vectors(address, count):
    raw = memory(address, 16 * min(count, 1024))
    return list(struct.iter_unpack("<QQ", raw[: len(raw) // 16 * 16]))


def message(address):
    """Name, iovec and flags of a struct msghdr."""
    raw = memory(address, 56)
    if len(raw) < 56:
        return None
    name, name_length, iov, count, _, control_length, flags = struct.unpack("<QI4xQQQQI4x", raw)
    return name, name_length, iov, count, control_length, flags


def gathered(parts, length):
    data = b""
    for base, size in parts:
        if len(data) >= min(length, LIMIT):
            break
        data += memory(base, min(size, length - len(data)))
    return data.hex()


def data(name, args, length):
    """The first bytes that a call moves or moved, in hex."""
    if name in ("sendto", "recvfrom", "read", "write"):
        return memory(args[1], min(length, args[2])).hex()
    if name in ("readv", "writev"):
        return gathered(vectors(args[1], args[2]), length)
    if name in ("sendmsg", "recvmsg"):
        header = message(args[1])
        return gathered(vectors(header[2], header[3]), length) if header else ""
    return ""


def before(name, args, pid):
    """What a call was given, and its socket."""
    found = {}
    if name not in ("socket", "exit_group", *FORKS):
        found["socket"] = socket(pid, args[0])
    if name in ("bind", "connect"):
        found["address"] = memory(args[1], min(args[2], 128)).hex()
    elif name == "sendto":
        found["address"] = memory(args[4], min(args[5], 128)).hex()
        found["size"] = args[2]
    elif name == "setsockopt":
        found["value"] = memory(args[3], min(args[4], 64)).hex()
    elif name in ("sendmsg", "recvmsg"):
        header = message(args[1])
        if header:
            parts = vectors(header[2], header[3])
            found["size"] = sum(size for _, size in parts)
            found["parts"] = len(parts)
            if name == "sendmsg":
                found["address"] = memory(header[0], min(header[1], 128)).hex()
    elif name in ("readv", "writev"):
        found["parts"] = args[2]
        found["size"] = sum(size for _, size in vectors(args[1], args[2]))
    if name in ("sendto", "write", "writev", "sendmsg"):
        found["data"] = data(name, args, 64)
    return found


def after(name, args, value, pid):
    """What a call brought about: its socket now, the bytes that it moved, the socket that it made."""
    found = {}
    if value < 0:
        return found
    if name in ("connect", "bind", "listen", "sendto", "sendmsg"):
        found["socket"] = socket(pid, args[0])
    elif name == "socket":
        found["socket"] = socket(pid, value)
    elif name in ("accept", "accept4"):
        found["accepted"] = socket(pid, value)
    if name in ("sendto", "sendmsg", "write", "writev", "recvfrom", "recvmsg", "read", "readv") and value:
        found["data"] = data(name, args, value)
    return found
