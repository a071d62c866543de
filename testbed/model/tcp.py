"""TCP in numbers: flag bits and their letters, options, and arithmetic of sequence numbers that wrap (RFC 9293).

The functions of sequence numbers take and give Python ints, or NumPy arrays of int64 item by item; both must hold
values of the wire, 0 to 2**32 - 1. Arrays of uint32, as columns have them, wrap by themselves:
:func:`seq_diff_uint32` is the one function for them.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    from testbed.model.arrays import Int32, Int64, UInt32

FIN, SYN, RST, PSH, ACK, URG = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20

FLAG_LETTERS = "FSRP.UEWe"
"""TCP flags as tcpdump prints them and in its order (print-tcp.c, ``tcp_flag_values``): FIN SYN RST PSH ACK URG ECE
CWR AE."""

_LETTERS_OF = tuple(
    "".join(letter for bit, letter in enumerate(FLAG_LETTERS) if flags >> bit & 1) or "none" for flags in range(512)
)


def flag_letters(flags: int) -> str:
    """Return tcpdump's letters for TCP flags: ``S``, ``S.``, ``P.``, ``none``; reserved bits as ``S+0x200``."""
    reserved = flags & ~0x1FF
    return _LETTERS_OF[flags & 0x1FF] + (f"+{reserved:#x}" if reserved else "")


class OptionKind(IntEnum):
    """Kinds of TCP options that are decoded (IANA "TCP Option Kind Numbers")."""

    END = 0
    NOP = 1
    MSS = 2
    WINDOW_SCALE = 3  # RFC 7323
    SACK_PERMITTED = 4  # RFC 2018
    SACK = 5
    TIMESTAMPS = 8  # RFC 7323
    MPTCP = 30  # RFC 8684
    FAST_OPEN = 34  # RFC 7413
    EXPERIMENT = 254  # RFC 6994; with FAST_OPEN_MAGIC it is Fast Open


OPTION_LENGTHS: dict[int, int] = {
    OptionKind.MSS: 4,
    OptionKind.WINDOW_SCALE: 3,
    OptionKind.SACK_PERMITTED: 2,
    OptionKind.TIMESTAMPS: 10,
}
"""Bytes of the options of one length, kind and length included; with another length they are not decoded."""

FAST_OPEN_MAGIC = 0xF989
"""First two bytes of an experimental Fast Open option (RFC 7413 section 4.1.1)."""

LONGEST_OPTIONS = 40
"""Bytes of options that a header has room for."""

_WORD = 2**32 - 1  # of arrays, its bits are taken in half the time of a remainder


@overload
def seq_add(seq: int, count: int) -> int: ...
@overload
def seq_add(seq: Int64, count: Int64 | int) -> Int64: ...
def seq_add(seq: int | Int64, count: int | Int64) -> int | Int64:
    """Return the sequence number ``count`` bytes after ``seq``; ``count`` may be negative."""
    return (seq + count) & _WORD


@overload
def seq_offset(seq: int, base: int) -> int: ...
@overload
def seq_offset(seq: Int64, base: Int64 | int) -> Int64: ...
def seq_offset(seq: int | Int64, base: int | Int64) -> int | Int64:
    """Return how many bytes ``seq`` lies after ``base``, counted forwards only: 0 to 2**32 - 1."""
    return (seq - base) & _WORD


@overload
def seq_diff(seq: int, base: int) -> int: ...
@overload
def seq_diff(seq: Int64, base: Int64 | int) -> Int64: ...
def seq_diff(seq: int | Int64, base: int | Int64) -> int | Int64:
    """Return how many bytes ``seq`` lies after ``base``, the nearer way round: -2**31 to 2**31 - 1, negative: before.

    Both may also be relative or unwrapped numbers: only their values modulo 2**32 count.
    """
    return (seq - base + 2**31 & _WORD) - 2**31


def seq_diff_uint32(seq: UInt32, base: UInt32) -> Int32:
    """Return :func:`seq_diff` of arrays of uint32, without making wider ones."""
    return (seq - base).view("int32")


def seq_after(seq: int, base: int) -> bool:
    """Tell whether ``seq`` is beyond ``base`` (RFC 1982: less than half of all numbers away)."""
    return 0 < (seq - base) % 2**32 < 2**31
