"""What of the user's own comes into a host: files that are copied in, and a folder that an image is built of."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HostFile:
    """One file as a host sees it: ``path`` is absolute, ``source`` is where it was, as the scenario names it.

    ``mode`` are its permissions, without those to write: it is the program's user's.
    """

    path: str
    content: bytes
    mode: int = 0o444
    source: str = ""

    @property
    def digest(self) -> str:
        """The SHA-256 of its content, in hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True)
class BuildContext:
    """A folder of the user's that an image is built of: its files by path below it, and which is the Dockerfile."""

    dockerfile: str
    files: Sequence[HostFile]
