"""The C programs of compose/, built by its Makefile as everybody builds them. A warning is an error."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

COMPOSE = Path(__file__).parents[2] / "compose"


def make(out: Path, *targets: str, objects: Path | None = None, **variables: str) -> str:
    """Build targets of compose/Makefile into a directory and return what make printed."""
    words = ["make", "-C", str(COMPOSE), f"-j{os.cpu_count()}", f"OUT={out}", f"OBJ={objects or out / 'obj'}"]
    words += [f"{name}={value}" for name, value in variables.items()]
    done = subprocess.run([*words, *targets], capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-8000:]
    return done.stdout
