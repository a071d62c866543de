"""Compiled Python modules for a kernel of our own, where the machine's Python has written none.

Python inside writes no file; where the one outside does not either (PYTHONDONTWRITEBYTECODE, as many CI machines and
images have it), or has not yet, each kernel would compile all modules anew, which takes seconds. Then they are compiled
once, into the user's cache, and what is in the machine's own directories is left as it is.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from testbed.lab.engine import Progress
from testbed.shipped.files import CODE, user_cache

_TIMEOUT = 120.0
_HASH_DIGITS = 16


def environment(modules: Sequence[str], progress: Progress) -> dict[str, str]:
    """Return what Python inside is to have in its environment to find ``modules`` compiled; they are, if need be."""
    if not sys.dont_write_bytecode and all(map(_is_compiled, modules)):
        return {}
    cache = user_cache() / "bytecode"
    place = {"PYTHONPYCACHEPREFIX": str(cache)}
    done = cache / f".{_key(modules)}"
    if not done.exists():
        progress("compiling Python modules, once")
        with contextlib.suppress(OSError, subprocess.SubprocessError):  # then they are compiled inside, each time
            cache.mkdir(parents=True, exist_ok=True)
            _compile(modules, place)
            done.touch()
    return place


def _is_compiled(module: str) -> bool:
    """Tell whether a module, and so what it imports, is compiled beside its source."""
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return False
    return spec is not None and spec.cached is not None and Path(spec.cached).exists()


def _compile(modules: Sequence[str], place: dict[str, str]) -> None:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    places = [str(CODE), *filter(None, [kept.get("PYTHONPATH")])]
    subprocess.run(
        [sys.executable, "-c", f"import {', '.join(modules)}"],
        env={**kept, **place, "PYTHONPATH": os.pathsep.join(places)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_TIMEOUT,
        check=True,
    )


def _key(modules: Sequence[str]) -> str:
    """Name the state of our sources; Python itself sees whether a compiled module is that of its source."""
    states = sorted(
        (str(path.relative_to(CODE)), path.stat().st_mtime_ns) for path in Path(CODE, "testbed").rglob("*.py")
    )
    return hashlib.sha256(repr((sys.version, tuple(modules), states)).encode()).hexdigest()[:_HASH_DIGITS]
