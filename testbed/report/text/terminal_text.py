"""Foreign text, numbers and times as plain words for a terminal.

Everything that a program, a packet or a scenario contributes goes through :func:`escape` or :func:`quote` on its way
to the screen: what is shown holds no control character, terminal escape or invisible direction mark.
"""

from __future__ import annotations

import textwrap

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def escape(text: str) -> str:
    """Return one line in which every character can be seen: others as their hexadecimal code point."""
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def _escaped(character: str) -> str:
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def quote(data: bytes, room: int, length: int | None = None) -> str:
    """Return payload in double quotes, at most ``room`` characters wide where that is possible.

    ``length`` is how many bytes there really are when ``data`` holds only the first ones. What does not fit is cut
    and the number of bytes told: ``"GET /ind"... 78 bytes``.
    """
    total = len(data) if length is None else length
    shown = [_byte(byte) for byte in data[: max(room, 0)]]
    if total == len(shown) and sum(map(len, shown)) + 2 <= room:
        return f'"{"".join(shown)}"'
    ending = f"... {counted(total, 'byte')}"
    left = room - 2 - len(ending)
    kept = ""
    for text in shown:
        if len(kept) + len(text) > left:
            break
        kept += text
    return f'"{kept}"{ending}' if kept else counted(total, "byte")


def _byte(byte: int) -> str:
    character = chr(byte)
    if character in _SHORT:
        return _SHORT[character]
    if character in '"\\':
        return "\\" + character
    return character if 0x20 <= byte < 0x7F else f"\\x{byte:02x}"


def counted(number: int, noun: str) -> str:
    """``1 byte``, ``5,712 bytes``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(ns: int) -> str:
    """Return a time span in the unit that suits it: ``21.3 us``, ``5.02 ms``, ``1.50 s``; negative ones too."""
    for unit, size in (("s", 10**9), ("ms", 10**6), ("us", 10**3)):
        if abs(ns) >= size:
            value = ns / size
            return f"{value:,.{2 if abs(value) < 10 else 1 if abs(value) < 100 else 0}f} {unit}"
    return f"{ns} ns"


def rate(bits: float | None) -> str:
    """Return bits per second as people read them; nothing where there are none."""
    if bits is None:
        return ""
    for size, unit in ((1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s")):
        if bits >= size:
            return f"{bits / size:.2f} {unit}"
    return f"{bits:.0f} bit/s"


def clip(text: str, width: int) -> str:
    """Cut text that is too long for its cell, and show that it was cut."""
    return text if len(text) <= width else text[: max(width - 3, 0)] + "..."[:width]


def paragraph(
    text: str, width: int, *, indent: str = "", indent_next: int | None = None, lines: int | None = 3
) -> list[str]:
    """Wrap a sentence, escaped, to at most so many lines (None: to as many as it takes).

    The second and later ones are indented by two more than the first, or by ``indent_next``.
    """
    later = indent + "  " if indent_next is None else " " * indent_next
    return textwrap.wrap(
        escape(text), width, initial_indent=indent, subsequent_indent=later, max_lines=lines, placeholder=" ..."
    )


def shortened(lines: list[str], limit: int | None, noun: str) -> list[str]:
    """Cut a long list in the middle, telling how many of what are left out; None: do not."""
    if limit is None or len(lines) <= limit:
        return lines
    head = limit // 2
    tail = limit - head - 1
    left_out = counted(len(lines) - head - tail, f"more {noun}")
    return [*lines[:head], f"  ... {left_out} ...", *lines[len(lines) - tail :]]
