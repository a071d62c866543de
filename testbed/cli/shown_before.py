"""What a command printed of a run directory: kept in the user's cache, and printed again while nothing has changed.

A summary follows from the run directory and the program alone, so it need not be worked out twice, for which much has
to be imported. What is kept counts only for the same files (by size, inode and times, as git's index has it), the same
code, and the same kind of terminal. A directory from elsewhere has no part in it: the cache is the user's own.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from testbed.cli.how_called import in_callers_words
from testbed.shipped.files import CODE, user_cache

KEPT = 200
"""How many summaries are kept, the newest."""
LARGEST = 4 << 20
"""Characters beyond which a text is not kept."""
_MADE_OF_IT = ("report.html", "annotated.pcapng")
"""Files in a run directory from which nothing follows: others are made of the same."""
_TERMINAL = (
    "COLUMNS",
    "LINES",
    "TERM",
    "COLORTERM",
    "NO_COLOR",
    "FORCE_COLOR",
    "TTY_COMPATIBLE",
    "TTY_INTERACTIVE",
    "TZ",
)


def shown_before(directory: Path, words: Sequence[str]) -> tuple[str, int] | None:
    """Return what the command ``words`` printed of a run directory, and its exit code; None if that is not known."""
    try:
        kept = json.loads((_folder() / _key(directory, words)).read_text(encoding="utf-8"))
        return str(kept["text"]), int(kept["code"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


@contextmanager
def keeping(directory: Path, words: Sequence[str], code: int) -> Iterator[None]:
    """Keep what is printed on standard output meanwhile, with the exit code that belongs to it."""
    printed = _Both(sys.stdout)
    sys.stdout = printed
    try:
        yield
    finally:
        sys.stdout = printed.stream
    text = "".join(printed.parts)
    if len(text) <= LARGEST:
        with suppress(OSError):  # without the cache nothing is kept
            _keep(_key(directory, words), json.dumps({"text": text, "code": code}))


class _Both:
    """A stream that also keeps what is written to it; in all else it is that stream."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.parts: list[str] = []

    def write(self, text: str) -> int:
        self.parts.append(text)
        return self.stream.write(text)

    def writelines(self, lines: Sequence[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> object:
        return getattr(self.stream, name)


def _folder() -> Path:
    return user_cache() / "shown"


def _keep(key: str, text: str) -> None:
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = folder / f".{key}-{os.getpid()}"
    fresh.touch(0o600)
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(folder / key)
    for path in sorted(folder.iterdir(), key=lambda each: each.stat().st_mtime_ns)[:-KEPT]:
        path.unlink(missing_ok=True)


def _key(directory: Path, words: Sequence[str]) -> str:
    caller = in_callers_words("`invoke show`")
    terminal = [shutil.get_terminal_size(), sys.stdout.isatty(), sys.stdout.encoding, caller]
    settings = [os.environ.get(name) for name in _TERMINAL]
    place = [str(directory.resolve()), str(Path.cwd())]
    about = [place, list(words), terminal, settings, _files(directory), _program()]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()


def _files(directory: Path) -> list[tuple[str, int, int, int, int]]:
    listed = [(str(path), path.lstat()) for path in directory.rglob("*") if path.name not in _MADE_OF_IT]
    return sorted((name, at.st_size, at.st_ino, at.st_mtime_ns, at.st_ctime_ns) for name, at in listed)


def _program() -> list[object]:
    """Return what the code is known by: its files, the interpreter, and where packages are installed."""
    files = [
        (path, at.st_size, at.st_mtime_ns)
        for folder, _, names in os.walk(CODE / "testbed")
        if not folder.endswith("__pycache__")
        for path, at in ((name, Path(folder, name).stat()) for name in names)
    ]
    packages = [Path(path) for path in sys.path if path.endswith("-packages")]
    return [sys.version, sorted(files), [path.stat().st_mtime_ns for path in packages if path.is_dir()]]
