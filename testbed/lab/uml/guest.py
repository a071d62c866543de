"""A kernel of our own that is up, with a worker in it that carries out orders, one after the other.

Its root is the machine's own files (hostfs), with the rights of the user that started it; inside, everything is root.
An order is a file in a directory that both see, its answer another one; the kernel's console says when. Between two
orders the kernel is stopped (SIGSTOP): its clock runs, in jumps, only while it has something to do.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from testbed.lab.engine import Progress
from testbed.lab.engine_kind import Conversation
from testbed.lab.namespace import toolchain
from testbed.lab.uml import compiled_modules
from testbed.lab.uml.kernel_store import Kernel
from testbed.lab.uml.order_book import MARK
from testbed.model.errors import EngineError, LabError, LabTimeout, Unsupported
from testbed.shipped.files import CODE

MEMORY_MB = 640
EPOCH_NS = 1_700_000_000_000_000_000
"""What its clock shows when it starts, in virtual time: always the same."""
BOOT_TIMEOUT = 120.0
HANG_TIMEOUT = 600.0
"""Seconds of real time without a word after which a worker is taken for hung."""
LOOK = 0.5
"""Seconds between two looks at whether whoever talks with a worker has something to say."""
FOREVER = "The system was going to sleep forever"
_LAST_LINES = 40
_CHUNK = 1 << 16
_HIDDEN = ("/dev", "/proc", "/sys")
"""Where the guest has file systems of its own, so that the machine's files there cannot be seen."""
_PREFIX = "bothends-guest-"
_PASSED_ON = ("HOME", "XDG_CACHE_HOME", "PATH", "LANG", "TZ", "TMPDIR")


class GuestDied(LabError):  # noqa: N818 - it is what happened
    """The kernel ended: it panicked, or nothing could ever happen in it again."""


class Guest:
    """One kernel that is up. ``worker`` is the Python module that it runs, ``modules`` what that imports later on.

    The other side is :class:`testbed.lab.uml.order_book.OrderBook`.

    ``seed``: with it, and without ``real_time``, all chance in it is the same each time. ``first`` is the first order:
    it is there when the worker starts, so that the run does not depend on when it came.
    """

    def __init__(
        self,
        kernel: Kernel,
        worker: Sequence[str],
        progress: Progress,
        *,
        first: bytes = b"",
        real_time: bool = False,
        seed: int = 1,
        modules: Sequence[str] = (),
    ) -> None:
        self.kernel = kernel
        self.real_time = real_time
        self._progress = progress
        self._orders = 0
        self._messages = 0
        self._buffer = b""
        self._lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._stopped = False
        tools = toolchain.provide(progress)
        compiled = compiled_modules.environment((worker[0], *modules), progress)
        self._directory = Path(tempfile.mkdtemp(prefix=_PREFIX))
        try:
            check_visible(self._directory)
            self._write_command(worker, compiled)
            if first:
                self._put_order(first)
            self._process = self._boot(tools, seed)
        except BaseException:
            shutil.rmtree(self._directory, ignore_errors=True)
            raise
        assert self._process.stdout is not None  # noqa: S101 - a pipe was asked for
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._process.stdout, selectors.EVENT_READ)

    @property
    def orders(self) -> int:
        """How many orders it was given."""
        return self._orders

    @property
    def is_up(self) -> bool:
        """Whether its process runs."""
        return self._process.poll() is None

    def order(self, order: bytes, progress: Progress) -> bytes:
        """Give an order and return its answer. Raises GuestDied, LabTimeout (it is then killed)."""
        self._put_order(order)
        return self.answer(progress)

    def answer(self, progress: Progress, conversation: Conversation | None = None) -> bytes:
        """Return the answer to the last order that was given.

        With a ``conversation`` the worker may take as long as it wants.
        """
        self._go_on()
        wanted = f"answer {self._orders}"
        while True:
            line = self._next_line(conversation)
            if line == wanted:
                answer = (self._directory / f"answer-{self._orders}").read_bytes()
                (self._directory / f"answer-{self._orders}").unlink()
                self._stop()
                return answer
            if line.startswith("progress "):
                progress(line.removeprefix("progress "))
            if line.startswith("told ") and conversation is not None:
                conversation.heard(json.loads(line.removeprefix("told ")), self._tell)

    def _tell(self, message: bytes) -> None:
        self._messages += 1
        self._put(f"message-{self._messages}", message)

    def close(self) -> None:
        """End it, whatever it does, and remove what it left."""
        assert self._process.stdin is not None  # noqa: S101 - pipes were asked for
        assert self._process.stdout is not None  # noqa: S101
        with contextlib.suppress(OSError):
            self._process.stdin.close()  # `guest hold` then kills the kernel and all its processes
        self._process.wait()
        self._selector.close()
        self._process.stdout.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def last_lines(self) -> str:
        """Return the last lines of its console."""
        return "\n".join(self._lines)

    def _boot(self, tools: toolchain.Toolchain, seed: int) -> subprocess.Popen[bytes]:
        time_options = [] if self.real_time else ["time-travel=inf-cpu", f"time-travel-start={EPOCH_NS}"]
        environment = {name: os.environ[name] for name in ("HOME", "TMPDIR", "PATH") if name in os.environ}
        if not self.real_time:
            environment |= {"LD_PRELOAD": str(tools.guest / "libseeded.so"), "BOTHENDS_SEED": str(seed)}
        words = [
            *(str(tools.guest / "guest"), "hold", str(self.kernel.program)),
            # The kernel's chance begins with these words: they are the same each time, and name no directory of ours.
            *(f"mem={MEMORY_MB}M", "uml_dir=.", "umid=guest"),
            *("root=none", "rootfstype=hostfs", "rootflags=/", "rw", "quiet", "norandmaps"),
            "seccomp=auto",  # since 6.16 system calls need not be traced by ptrace, which takes half as long
            *("con=null", "con0=null,fd:1", "random.trust_cpu=on", "random.trust_bootloader=on"),
            *time_options,
            # What the kernel does not know becomes the environment of its first process.
            *(f"init={tools.guest / 'guest'}", "BOTHENDS_COMMAND=/proc/self/cwd/command"),
        ]
        try:
            return subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=self._directory,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            raise EngineError(f"the kernel cannot be started: {error.strerror}") from error

    def _write_command(self, worker: Sequence[str], compiled: Mapping[str, str]) -> None:
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        environment |= compiled
        environment |= {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONNOUSERSITE": "1"}
        places = [str(CODE), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment |= {"PYTHONPATH": os.pathsep.join(places), "PYTHONUNBUFFERED": "1"}
        words = [*(f"{name}={value}" for name, value in environment.items()), ""]
        words += [sys.executable, "-m", *worker, str(self._directory)]
        (self._directory / "command").write_bytes(b"".join(word.encode() + b"\0" for word in words))

    def _put_order(self, order: bytes) -> None:
        self._orders += 1
        self._put(f"order-{self._orders}", order)

    def _put(self, name: str, content: bytes) -> None:
        fresh = self._directory / f"{name}.new"
        fresh.write_bytes(content)
        fresh.rename(self._directory / name)

    def _next_line(self, conversation: Conversation | None) -> str:
        """Return the worker's next line. Raises GuestDied, LabTimeout."""
        while True:
            line, newline, rest = self._buffer.partition(b"\n")
            if newline:
                self._buffer = rest
                text = line.decode(errors="replace").rstrip("\r")
                if text.startswith(MARK):
                    return text.removeprefix(MARK)
                if text.strip():
                    self._lines.append(text)
                continue
            if conversation is not None:
                conversation.look(self._tell)
                if not self._selector.select(LOOK):
                    continue
            elif not self._selector.select(HANG_TIMEOUT):
                state = f"nothing was heard of it for {HANG_TIMEOUT:g} s of real time"
                last = self.last_lines()
                self.close()
                raise LabTimeout(
                    "the kernel of our own hangs, or a program in it never waits", state=state, last_output=last
                )
            assert self._process.stdout is not None  # noqa: S101
            data = os.read(self._process.stdout.fileno(), _CHUNK)
            if not data:
                raise self._death()
            self._buffer += data

    def _death(self) -> Exception:
        status = self._process.wait()
        if self._buffer.strip():
            self._lines.append(self._buffer.decode(errors="replace"))
        last = self.last_lines()
        self.close()
        if FOREVER in last:
            return GuestDied(
                "nothing can happen any more: every program waits for another one, and no timer runs (a dead-lock)",
                state="the kernel ended: with virtual time it knows that it would sleep for ever",
                last_output=last,
            )
        if "ptrace" in last and self._orders <= 1:
            return Unsupported(
                "this machine does not let a program trace its own children (ptrace), which User-Mode Linux needs",
                state=f"seccomp: {_seccomp_mode()}",
                last_output=last,
                hint="a seccomp profile that allows ptrace (Docker: --security-opt seccomp=unconfined)",
            )
        if "setup_physmem" in last:
            return Unsupported(
                f"this machine does not give a kernel of our own its memory, {MEMORY_MB} MB",
                state=f"exit status {status}",
                last_output=last,
                hint="raise the limit (`ulimit -v`, the container's memory), or make room",
            )
        return GuestDied("the kernel of our own ended", state=f"exit status {status}", last_output=last)

    def _stop(self) -> None:
        """Stop the kernel: it would only look for orders, and time would pass."""
        with contextlib.suppress(OSError):
            os.kill(self.kernel_pid(), signal.SIGSTOP)
            self._stopped = True

    def _go_on(self) -> None:
        if self._stopped:
            self._stopped = False
            with contextlib.suppress(OSError):
                os.kill(self.kernel_pid(), signal.SIGCONT)

    def kernel_pid(self) -> int:
        """Return the process id of the kernel; its processes are a process group of that number."""
        return int((self._directory / "guest" / "pid").read_text(encoding="ascii"))


def abandoned() -> list[Path]:
    """Return the directories of guests of ours whose kernel is gone, as where a runner was killed."""
    found = []
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            age = time.time() - path.stat().st_mtime
            if path.stat().st_uid != os.geteuid() or age < BOOT_TIMEOUT:
                continue
            pid = (path / "guest" / "pid").read_text(encoding="ascii").strip()
            if Path(f"/proc/{pid}/cwd").readlink() == path:
                continue
        except OSError:
            pass  # no such kernel
        found.append(path)
    return sorted(found)


def check_visible(path: Path) -> None:
    """Raise Unsupported for a path of the machine that a guest cannot see."""
    for hidden in _HIDDEN:
        if path.resolve().is_relative_to(hidden):
            raise Unsupported(
                f"a kernel of our own cannot see {path}: it has a {hidden} of its own",
                hint="--runs, or TMPDIR, elsewhere",
            )


def _seccomp_mode() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("Seccomp:"):
                return {"0": "off", "1": "strict", "2": "a filter is in force"}.get(line.split()[1], line)
    return "unknown"
