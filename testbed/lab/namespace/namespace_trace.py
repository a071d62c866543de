"""The program that records the kernel's trace, run for a moment on this machine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from testbed.lab.namespace import toolchain
from testbed.lab.trace_instances import TIMEOUT, RunRecorder
from testbed.model.errors import BothendsError, EngineError

SYMBOLS = "--symbols"
"""Tells the recorder that whoever reads its recording has this kernel's list of symbols."""
_ENOUGH = 1000
"""Symbols to look at: the first may be no functions, whose addresses are zero in any case."""
_SYMBOLS = Path("/proc/kallsyms")


def has_symbols(listed: Path = _SYMBOLS) -> bool:
    """Say whether the kernel tells us where its functions are: where it hides that, all addresses are zero."""
    try:
        with listed.open(encoding="utf-8", errors="replace") as lines:
            words = (line.split(None, 3) for line in lines)
            return any(int(address, 16) != 0 for address, kind, *_ in islice(words, _ENOUGH) if kind in "tT")
    except (OSError, ValueError):
        return False


def on_this_machine() -> RunRecorder | None:
    """Return what runs the recorder here; None unless we are root and it can be compiled."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return None
    try:
        program = toolchain.provide(lambda _: None).witness
    except BothendsError:
        return None

    def run(words: Sequence[str]) -> str:
        done = subprocess.run([program, *words], capture_output=True, text=True, timeout=TIMEOUT, check=False)
        if done.returncode:
            raise EngineError(done.stderr.strip() or f"the recorder ended with {done.returncode}")
        return done.stdout

    return run
