r"""The values in strace's output as Python values: what `strace -xx -yy` (5.9 and newer) writes for arguments.

========================================= ====================================================================
written                                   read
========================================= ====================================================================
``"\x63"``, ``"\x63"...``                 :class:`TracedBytes`; the dots show that strace cut it
``3<TCP:[127.0.0.1:4->127.0.0.1:80]>``    :class:`Descriptor`
``{sa_family=AF_INET, sin_port=...}``     dict; a member without a name (``inet_pton(...)``) is keyed by its function
``[{...}, {...}]``, ``[INT TERM]``        list
``[128 => 16]``, ``16 => 0``              what follows the arrow: the value when the call returned
``htons(80)``, ``inet_addr("\x31...")``   :class:`Function`
``SOCK_STREAM|SOCK_CLOEXEC``, ``NULL``    str
========================================= ====================================================================
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class TracedBytes:
    """Bytes; ``cut`` when there were more."""

    data: bytes
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A descriptor, and what strace shows it to be: ``TCP:[...]``, a path, empty."""

    number: int
    label: str


@dataclass(frozen=True, slots=True)
class Function:
    """``htons(80)``."""

    name: str
    arguments: tuple[Value, ...]


Value: TypeAlias = "str | TracedBytes | Descriptor | Function | dict[str, Value] | list[Value]"

_SPACE = re.compile(r"(?:\s|/\*.*?\*/)*")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
_DESCRIPTOR = re.compile(r"(-?\d+)<([A-Z][\w-]*:\[.*?\]|[^<>]*(?:<[^<>]*>)?)>(?:\(deleted\))?")
_NAME = re.compile(r"[\w.~&|*+<:?-]+(?:<<\d+)?")
_KEY = re.compile(r"(\w+)=")


class UnreadableError(ValueError):
    """A text that is not what strace is known to write."""


def arguments(text: str) -> list[Value]:
    """Read what is between the parentheses of a call. Raises UnreadableError."""
    reader = _ValueReader(text)
    values = reader.sequence("")
    if reader.at != len(text):
        raise UnreadableError(f"after {reader.at} characters: {text[reader.at : reader.at + 40]!r}")
    return values


class _ValueReader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def skip(self) -> None:
        found = _SPACE.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def take(self, token: str) -> bool:
        self.skip()
        if not self.text.startswith(token, self.at):
            return False
        self.at += len(token)
        return True

    def sequence(self, closing: str) -> list[Value]:
        """Read values up to ``closing`` (or the end of the text), separated by commas or blanks."""
        values: list[Value] = []
        while True:
            self.skip()
            if self.at >= len(self.text):
                if closing:
                    raise UnreadableError(f"no `{closing}`")
                return values
            if closing and self.take(closing):
                return values
            if self.take(",") or self.take("..."):
                continue
            if self.take("=>"):
                values[-1:] = [self.value()]
                continue
            values.append(self.value())

    def value(self) -> Value:
        self.skip()
        found = _STRING.match(self.text, self.at)
        if found:
            self.at = found.end()
            return TracedBytes(bytes.fromhex(found[1].replace("\\x", "")), cut=bool(found[2]))
        found = _DESCRIPTOR.match(self.text, self.at)
        if found:
            self.at = found.end()
            return Descriptor(int(found[1]), found[2])
        if self.take("["):
            return self.sequence("]")
        if self.take("{"):
            return self.members()
        return self.word()

    def word(self) -> Value:
        found = _NAME.match(self.text, self.at)
        if not found:
            raise UnreadableError(f"after {self.at} characters: {self.text[self.at : self.at + 40]!r}")
        self.at = found.end()
        if self.text.startswith("[", self.at) and found[0] == "~":
            self.at += 1
            self.sequence("]")
            return found[0]
        if self.text.startswith("(", self.at):
            self.at += 1
            return Function(found[0], tuple(self.sequence(")")))
        return found[0]

    def members(self) -> dict[str, Value]:
        values: dict[str, Value] = {}
        last = ""
        while not self.take("}"):
            self.skip()
            if self.at >= len(self.text):
                raise UnreadableError("no `}`")
            if self.take(",") or self.take("..."):
                continue
            if self.take("=>"):
                values[last] = self.value()
                continue
            key = _KEY.match(self.text, self.at)
            if key:
                self.at = key.end()
                last = key[1]
                values[last] = self.value()
                continue
            value = self.value()
            last = value.name if isinstance(value, Function) else str(len(values))
            values[last] = value
        return values
