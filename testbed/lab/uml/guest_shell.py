"""A command in a lab that a kernel of our own holds, with the terminal of whoever asked for it.

Both sides meet in the directory that both see: ``shell-*/`` for each command, with its ``request``, and numbered files
each way, one for each piece of a stream. A piece begins with a byte that says what it is, and is removed by its reader.

===  =========================================================  ===  ================================================
in                                                              out
===  =========================================================  ===  ================================================
d    bytes for its standard input                               1    bytes of its standard output
e    the end of its standard input                              2    bytes of its standard error, without a terminal
w    the terminal's new size: rows and columns                  x    its exit status: there is no more
k    end it
a    whoever asked is still there
===  =========================================================  ===  ================================================
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import termios
import threading
import time
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from testbed.model.errors import LabError

LOOK = 0.02
"""Seconds between two looks for the next piece: what a key takes to be echoed, twice."""
_PREFIX = "shell-"
_REQUEST = "request"
_CHUNK = 1 << 16
_UNREAD = 64
"""Pieces that may wait for their reader; then the writer waits."""
_ALIVE_EVERY = 5.0
_GIVEN_UP = 60.0
"""Seconds without a piece from whoever asked after which the command is ended: they are gone."""
_KILLED = 128 + signal.SIGKILL


class Pieces:
    """A stream of pieces one way: ``name`` is the way's. Each end has one of its own."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory, self._name = directory, name
        self._number = 0
        self._writing = threading.Lock()

    def write(self, kind: bytes, data: bytes = b"") -> None:
        """Add a piece; wait while too many are unread and there is somebody to read them."""
        with self._writing:
            while self._path(self._number + 1 - _UNREAD).exists():
                time.sleep(LOOK)
            fresh = self._directory / f"{self._name}.new"
            try:
                fresh.write_bytes(kind + data)
                fresh.rename(self._path(self._number + 1))
            except FileNotFoundError:
                return  # the reader has removed the directory: nobody is there
            self._number += 1

    def read(self) -> tuple[bytes, bytes] | None:
        """Return the next piece's kind and bytes, None if there is none yet."""
        path = self._path(self._number + 1)
        try:
            piece = path.read_bytes()
        except FileNotFoundError:
            return None
        path.unlink()
        self._number += 1
        return piece[:1], piece[1:]

    def _path(self, number: int) -> Path:
        return self._directory / f"{self._name}-{number}"


def be_terminal(guest: Path, words: Sequence[str], path: str) -> int:
    """Have ``words`` run inside, on our terminal if there is one; return the exit status. ``path``: its PATH.

    Raises LabError if the kernel is gone.
    """
    own = os.isatty(0) and os.isatty(1)
    request = {"words": list(words), "path": path, "size": list(termios.tcgetwinsize(0)) if own else None}
    try:
        made = Path(tempfile.mkdtemp(prefix=".asked-", dir=guest))
        (made / _REQUEST).write_text(json.dumps(request), encoding="utf-8")
        directory = made.rename(guest / f"{_PREFIX}{made.name.removeprefix('.asked-')}")
    except OSError as error:
        raise _gone() from error
    before = termios.tcgetattr(0) if own else None
    try:
        if own:
            tty.setraw(0, termios.TCSADRAIN)  # what was typed ahead is kept
        return _relay(guest, directory, sized=own)
    finally:
        if before is not None:
            termios.tcsetattr(0, termios.TCSADRAIN, before)
        shutil.rmtree(directory, ignore_errors=True)


def _relay(guest: Path, directory: Path, *, sized: bool) -> int:
    to, fro = Pieces(directory, "in"), Pieces(directory, "out")

    def resized(_signal: int, _frame: FrameType | None) -> None:
        threading.Thread(target=to.write, args=(b"w", json.dumps(termios.tcgetwinsize(0)).encode())).start()

    with _handled(signal.SIGWINCH, resized) if sized else contextlib.nullcontext():
        threading.Thread(target=_pass_input, args=(to,), daemon=True).start()
        alive = time.monotonic()
        while True:
            try:
                piece = fro.read()
                if piece is None:
                    time.sleep(LOOK)
            except KeyboardInterrupt:
                to.write(b"k")
                continue
            if piece is None:
                if time.monotonic() - alive > _ALIVE_EVERY:
                    alive = time.monotonic()
                    to.write(b"a")
                    if not is_up(guest):
                        raise _gone()
                continue
            kind, data = piece
            if kind == b"x":
                return int(data)
            _write_all(1 if kind == b"1" else 2, data)


def is_up(guest: Path) -> bool:
    """Whether the kernel of a directory runs."""
    try:
        pid = (guest / "guest" / "pid").read_text(encoding="ascii").strip()
        return Path(f"/proc/{pid}/cwd").readlink() == guest
    except OSError:
        return False


def _gone() -> LabError:
    return LabError("the kernel of our own that held the lab is gone", hint="`invoke up SCENARIO`")


def _pass_input(to: Pieces) -> None:
    while data := os.read(0, _CHUNK):
        to.write(b"d", data)
    to.write(b"e")


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


@contextmanager
def _handled(number: signal.Signals, handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


@contextmanager
def serve_shells(directory: Path) -> Iterator[None]:
    """Inside: carry requests out, each in a thread of its own, until this ends; then what runs yet is ended."""
    over = threading.Event()
    server = threading.Thread(target=_serve, args=(directory, over), daemon=True)
    server.start()
    try:
        yield
    finally:
        over.set()
        server.join()


def _serve(directory: Path, over: threading.Event) -> None:
    known: dict[str, threading.Thread] = {}
    while not over.wait(LOOK):
        for path in directory.iterdir():
            if path.name.startswith(_PREFIX) and path.name not in known:
                known[path.name] = threading.Thread(target=_carry_out, args=(path, over), daemon=True)
                known[path.name].start()
    for thread in known.values():
        thread.join()


def _carry_out(directory: Path, over: threading.Event) -> None:
    out = Pieces(directory, "out")
    try:
        request = json.loads((directory / _REQUEST).read_text(encoding="utf-8"))
        status = _Command(directory, request, out).run(over)
    except OSError as error:
        out.write(b"2", f"{error}\n".encode())
        status = 127
    out.write(b"x", str(status).encode())


class _Command:
    """One command inside, on a terminal of its own or with three pipes."""

    def __init__(self, directory: Path, request: dict[str, Any], out: Pieces) -> None:
        self._input, self._out = Pieces(directory, "in"), out
        self._terminal = request["size"] is not None
        words = ["setsid", *request["words"]]
        if self._terminal:
            self._to, theirs = os.openpty()
            termios.tcsetwinsize(theirs, tuple(request["size"]))
            given = (theirs, theirs, theirs)
            self._from = {b"1": os.dup(self._to)}
            words.insert(1, "--ctty")
        else:
            taken, self._to = os.pipe()
            out_end, printed = os.pipe()
            err_end, complained = os.pipe()
            given = (taken, printed, complained)
            self._from = {b"1": out_end, b"2": err_end}
        stdin, stdout, stderr = given
        environment = {"PATH": request["path"]}
        try:
            self._process = subprocess.Popen(words, stdin=stdin, stdout=stdout, stderr=stderr, env=environment)
        finally:
            for fd in set(given):
                os.close(fd)

    def run(self, over: threading.Event) -> int:
        """Pass its streams on until it ends; return its exit status."""
        pumps = [threading.Thread(target=self._pump, args=each, daemon=True) for each in self._from.items()]
        for pump in pumps:
            pump.start()
        heard = time.monotonic()
        while self._process.poll() is None:
            piece = self._input.read()
            if piece is not None:
                heard = time.monotonic()
                self._take(*piece)
            elif over.is_set() or time.monotonic() - heard > _GIVEN_UP:
                self._kill()
                self._process.wait()
            else:
                time.sleep(LOOK)
        for pump in pumps:
            pump.join(1.0)  # what it started in the background may keep its output open
        if self._to >= 0:
            os.close(self._to)
        status = self._process.returncode
        return status if status >= 0 else 128 - status

    def _take(self, kind: bytes, data: bytes) -> None:
        if kind == b"d":
            with contextlib.suppress(OSError):  # it has closed its standard input, or ended
                _write_all(self._to, data)
        elif kind == b"e" and not self._terminal:
            os.close(self._to)
            self._to = -1
        elif kind == b"w":
            termios.tcsetwinsize(self._to, tuple(json.loads(data)))
        elif kind == b"k":
            self._kill()

    def _kill(self) -> None:
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _pump(self, kind: bytes, fd: int) -> None:
        with contextlib.suppress(OSError):  # EIO: nothing has the terminal open any more
            while data := os.read(fd, _CHUNK):
                self._out.write(kind, data)
        os.close(fd)
