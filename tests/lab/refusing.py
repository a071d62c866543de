"""Start a program that the machine refuses something: ``python -m tests.lab.refusing ptrace|memory PROGRAM ...``."""

from __future__ import annotations

import ctypes
import os
import resource
import struct
import sys

PTRACE = 101
"""The number of the system call on x86-64."""
_EPERM = 1
_NO_NEW_PRIVS, _SECCOMP, _FILTER = 38, 22, 2
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
ADDRESSES = 500 << 20
"""Bytes of address space: enough for Python, not for a kernel of 640 MB."""


def refuse_ptrace() -> None:
    """Have this process and all that it starts get EPERM from ptrace."""
    code = struct.pack("HBBI", _LOAD, 0, 0, 0)  # the number of the system call
    code += struct.pack("HBBI", _EQUAL, 0, 1, PTRACE)
    code += struct.pack("HBBI", _RETURN, 0, 0, _ERRNO | _EPERM)
    code += struct.pack("HBBI", _RETURN, 0, 0, _ALLOW)
    kept = ctypes.create_string_buffer(code)
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(kept)))
    libc = ctypes.CDLL(None, use_errno=True)
    for words in ((_NO_NEW_PRIVS, 1, 0, 0, 0), (_SECCOMP, _FILTER, ctypes.addressof(program), 0, 0)):
        if libc.prctl(*(ctypes.c_ulong(word) for word in words)):
            raise OSError(ctypes.get_errno(), "prctl")


def refuse_memory() -> None:
    """Have this process and all that it starts get no more than :data:`ADDRESSES`."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))


if __name__ == "__main__":
    {"ptrace": refuse_ptrace, "memory": refuse_memory}[sys.argv[1]]()
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - the program that is refused something
