"""What of the user's own comes into a host: files that are copied in, and a folder that an image is built of."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HostFile:
    """One file as a host sees it: ``path`` is absolute, ``source`` is where it was, as the scenario names it."""

    path: str
    content: bytes
    executable: bool = False
    source: str = ""

    @property
    def mode(self) -> int:
        """Its permissions: nobody may write to it."""
        return 0o555 if self.executable else 0o444

    @property
    def digest(self) -> str:
        """The SHA-256 of its content, in hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True)
class BuildContext:
    """A folder of the user's that an image is built of: its files by path below it, and which is the Dockerfile."""

    dockerfile: str
    files: Sequence[HostFile]
