"""The programs of ours that run in a lab, compiled here once (compose/Makefile) and kept in the user's cache.

An installed platform wheel brings them compiled.

``<cache>/bothends/<key>/`` holds ``launch`` (makes the namespaces), ``witness`` (records the kernel's trace),
``tools/`` (agent, actor, hold, probe), ``debugger/`` (gdb's scripts), ``guest/`` (for a kernel of our own),
``own-program/``, ``winsock/`` (programs for Windows, where there is a compiler for them), ``www/`` and ``nginx.conf``.
The key is a hash of the sources, of how they are compiled and of the C library, so a change of any of them makes
another directory; a directory is there whole or not at all.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.lab.engine import Progress
from testbed.lab.namespace.machine import COMPILER, MAKE, WINDOWS_COMPILER, XXHASH, lacks
from testbed.model.errors import EngineError
from testbed.shipped.files import COMPOSE, TOOLS, user_cache

SOURCES = COMPOSE
_HASH_DIGITS = 16
_C_FOLDERS = ("common", "agent", "actor", "probe", "link", "launch", "witness", "hold", "own-program", "dump")
_FOLDERS = (*_C_FOLDERS, "guest", "seeded", "debugger", "nginx", "winsock", "winprobe", "winstart")
_SUFFIXES = frozenset({".c", ".h", ".conf", ".py"})
_UNFINISHED = ".making-"
INDEX = "hello from nginx\n"
FILE_LINES = 131072
"""What nginx serves, as compose/nginx/Dockerfile makes it."""
_TARGETS = ("tools", "link", "launch", "witness", "own-program", "guest")
"""What compose/Makefile builds, into the places where this module has it."""
_OPTIONAL = ("client-static",)
"""Left out where it cannot be made: some distributions have no static C library."""
_WINDOWS = ("winsock",)
"""Made where the machine has a compiler for Windows: its image is unsupported elsewhere."""
_VARIABLES = (f"CC={COMPILER}", "WERROR=")  # another compiler may warn of what ours does not


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A directory with everything compiled."""

    directory: Path

    @property
    def key(self) -> str:
        """The hash of what it was made from."""
        return self.directory.name

    @property
    def launch(self) -> Path:
        """The program that makes namespaces."""
        return self.directory / "launch"

    @property
    def witness(self) -> Path:
        """The program that records the kernel's trace."""
        return self.directory / "witness"

    @property
    def tools(self) -> Path:
        """The directory with agent, actor, hold and probe."""
        return self.directory / "tools"

    @property
    def guest(self) -> Path:
        """The directory with what runs a kernel of our own and is its first process, and its source of chance."""
        return self.directory / "guest"

    @property
    def debugger(self) -> Path:
        """The directory with gdb's scripts."""
        return self.directory / "debugger"


def provide(progress: Progress) -> Toolchain:
    """Return the toolchain for the sources as they are now, compiling it if it is not in the cache.

    Raises Unsupported where the compiler, make or a header is missing, EngineError where compiling fails or the cache
    cannot be written.
    """
    made = Toolchain(user_cache() / _key())
    if not made.directory.is_dir():
        carried = TOOLS.is_dir()
        progress(f"{'unpacking' if carried else 'compiling'} agent, actor and probe for this machine")
        _make_whole(made.directory)
    return made


def _key() -> str:
    targets = (_TARGETS, _OPTIONAL, _windows_targets())
    how = (TOOLS.is_dir(), *targets, _VARIABLES, platform.machine(), platform.libc_ver(), INDEX, FILE_LINES)
    digest = hashlib.sha256(repr(how).encode())
    digest.update((SOURCES / "Makefile").read_bytes())
    for folder in _FOLDERS:
        for path in sorted((SOURCES / folder).iterdir()):
            if path.suffix in _SUFFIXES:
                digest.update(f"\0{folder}/{path.name}\0".encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()[:_HASH_DIGITS]


def _windows_targets() -> tuple[str, ...]:
    return _WINDOWS if shutil.which(WINDOWS_COMPILER) and shutil.which(MAKE) else ()


def _make_whole(directory: Path) -> None:
    lacking = [] if TOOLS.is_dir() else _lacking()
    if lacking:
        raise lacks(lacking)
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=directory.parent))
        try:
            _fill(fresh)
            fresh.chmod(0o755)
            try:
                fresh.rename(directory)
            except OSError:
                if not directory.is_dir():  # else another process was quicker, with the same result
                    raise
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    except OSError as error:
        raise EngineError(
            f"the cache {directory.parent} cannot be written: {error.strerror}", hint="set XDG_CACHE_HOME"
        ) from error


def _lacking() -> list[str]:
    """Return what this machine lacks to compile."""
    lacking = [MAKE] if shutil.which(MAKE) is None else []
    if shutil.which(COMPILER) is None or not _has_header(XXHASH):
        lacking.insert(0, COMPILER)
    return lacking


def _fill(fresh: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=_UNFINISHED) as objects:
        if TOOLS.is_dir():
            shutil.copytree(TOOLS, fresh, dirs_exist_ok=True)
        else:
            _make(fresh, objects, _TARGETS)
            _make(fresh, objects, _OPTIONAL, optional=True)
        if _windows_targets():
            _make(fresh, objects, _windows_targets())
    (fresh / "www").mkdir(mode=0o755)
    (fresh / "debugger").mkdir(mode=0o755)
    (fresh / "www" / "index.html").write_text(INDEX, encoding="ascii")
    (fresh / "www" / "file.bin").write_text("".join(f"{line:07}\n" for line in range(FILE_LINES)), encoding="ascii")
    shutil.copyfile(SOURCES / "nginx" / "nginx.conf", fresh / "nginx.conf")
    for source in (*(SOURCES / "own-program").glob("*.c"), *(SOURCES / "debugger").glob("*.py")):
        shutil.copyfile(source, fresh / source.relative_to(SOURCES))
    for path in (fresh, *fresh.rglob("*")):
        path.chmod(path.stat().st_mode | 0o555 if path.is_dir() or os.access(path, os.X_OK) else 0o644)


def _make(fresh: Path, objects: str, targets: Sequence[str], *, optional: bool = False) -> None:
    words = [MAKE, "-s", f"-j{os.cpu_count() or 1}", "-C", str(SOURCES), f"OUT={fresh}", f"OBJ={objects}"]
    words += [*_VARIABLES, *targets]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if done.returncode and not optional:
        raise EngineError(
            "the programs of a lab cannot be compiled",
            state=f"`{' '.join(words)}` ended with {done.returncode}",
            last_output="\n".join(done.stderr.splitlines()[:20]),
        )


def _has_header(name: str) -> bool:
    words = [COMPILER, "-E", "-xc", "-", "-o", os.devnull]
    return (
        subprocess.run(words, input=f"#include <{name}>\n".encode(), capture_output=True, check=False).returncode == 0
    )
