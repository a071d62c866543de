"""The worker's side of a kernel of our own: inside it, in a directory that both sides see.

The other side is :class:`testbed.lab.uml.guest.Guest`. What the machine says comes as files, what the worker says goes
as lines of the console.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MARK = "\x02"
"""Begins a line of the console that the worker wrote; all others are the kernel's."""


class OrderBook:
    """Orders, one after the other, each with one answer; and messages both ways while one is carried out."""

    LOOK = 0.02

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._number = 0
        self._messages = 0

    def next(self) -> bytes:
        """Return the next order, once there is one."""
        self._number += 1
        path = self.directory / f"order-{self._number}"
        while not path.exists():
            time.sleep(self.LOOK)
        return path.read_bytes()

    def answer(self, answer: bytes) -> None:
        """Answer the last order."""
        path = self.directory / f"answer-{self._number}"
        with path.open("wb") as file:
            file.write(answer)
        _say(f"answer {self._number}")

    @property
    def number(self) -> int:
        """How many orders there have been, with this one."""
        return self._number

    @staticmethod
    def progress(text: str) -> None:
        """Say what is being done."""
        _say(f"progress {json.dumps(text)[1:-1]}")

    @staticmethod
    def tell(value: Mapping[str, Any]) -> None:
        """Tell whoever gave the order something that JSON can write."""
        _say(f"told {json.dumps(value)}")

    def message(self, timeout: float) -> bytes | None:
        """Return the next message of whoever gave the order, None if there was none for ``timeout`` seconds."""
        path = self.directory / f"message-{self._messages + 1}"
        deadline = time.monotonic() + timeout
        while not path.exists():
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            time.sleep(min(self.LOOK, left))
        self._messages += 1
        message = path.read_bytes()
        path.unlink()
        return message


def _say(line: str) -> None:
    os.write(1, f"{MARK}{line}\n".encode())
