"""The kernels that were built here: kept in the user's cache, one directory each, and copied as one file.

``<cache>/bothends/kernels/<release>-<configuration's hash>/`` holds ``linux`` (stripped), ``config`` (the whole
configuration), ``COPYING`` (the kernel's licence) and ``about.json``. A directory is there whole or not at all.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from testbed.lab.engine import Progress
from testbed.lab.namespace.toolchain import SOURCES
from testbed.model.errors import EngineError, Unsupported, UsageError
from testbed.shipped.files import user_cache

CONFIG = SOURCES / "kernel" / "config"
"""The options of our kernels, for all versions."""
PROGRAM = "linux"
_ABOUT = "about.json"
_FILES = (PROGRAM, "config", "COPYING", _ABOUT)
_FORMAT = "bothends-kernel/1"
_HASH_DIGITS = 12
_UNFINISHED = ".making-"
_VERSION = re.compile(r"\d+(\.\d+){1,2}(-[\w.+-]+)?")


@dataclass(frozen=True, slots=True)
class KernelAbout:
    """Where a kernel comes from: ``about.json`` beside it.

    ``release`` is its full version (6.12.117), ``source`` what it was built from, ``configuration`` the hash of our
    options and ``lacking`` those that this version does not have, ``compiler`` what compiled it, ``processor_seconds``
    what that cost.
    """

    release: str
    source: str
    configuration: str
    lacking: tuple[str, ...]
    compiler: str
    processor_seconds: float
    format: str = _FORMAT


@dataclass(frozen=True, slots=True)
class Kernel:
    """One kernel in the cache."""

    directory: Path
    about: KernelAbout

    @property
    def program(self) -> Path:
        """The kernel, an ordinary program."""
        return self.directory / PROGRAM

    @property
    def is_current(self) -> bool:
        """Whether it was configured as this version of Bothends does it."""
        return self.about.configuration == configuration_hash()

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        return sum(path.stat().st_size for path in self.directory.iterdir())


def store() -> Path:
    """Return the directory that holds the kernels."""
    return user_cache() / "kernels"


def configuration_hash() -> str:
    """Return what names our options: another configuration makes another kernel."""
    return hashlib.sha256(CONFIG.read_bytes()).hexdigest()[:_HASH_DIGITS]


def check_version(version: str) -> str:
    """Return a version as the kernel's makers write it (6.12 or 6.12.5). Raises UsageError for anything else."""
    if _VERSION.fullmatch(version) is None:
        raise UsageError(f"`{version}` is no version of the kernel", hint="6.12, for instance")
    return version


def kernels() -> list[Kernel]:
    """Return all that there are, the oldest version first."""
    found = []
    for path in store().glob(f"*/{_ABOUT}") if store().is_dir() else ():
        if path.parent.name.startswith("."):
            continue
        try:
            about = json.loads(path.read_text(encoding="utf-8"))
            about["lacking"] = tuple(about["lacking"])
            found.append(Kernel(path.parent, KernelAbout(**about)))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # not one of ours, or being removed
    return sorted(found, key=lambda kernel: (_order(kernel.about.release), kernel.is_current))


def find(version: str) -> Kernel | None:
    """Return the newest kernel of a version that is configured as we do it now; ``6.12`` means any 6.12.x."""
    matching = [kernel for kernel in kernels() if kernel.is_current and matches(kernel.about.release, version)]
    return matching[-1] if matching else None


def matches(release: str, version: str) -> bool:
    """Say whether a release is of a version: 6.12.117 is of 6.12 and of 6.12.117, not of 6.1."""
    return release == version or release.startswith((f"{version}.", f"{version}-"))


def choose_kernel(version: str = "") -> Kernel:
    """Return a kernel to run: of a version, or without one the newest. Raises Unsupported where there is none."""
    if version:
        check_version(version)
    current = [kernel for kernel in kernels() if kernel.is_current]
    found = find(version) if version else (current[-1] if current else None)
    if found is not None:
        return found
    there = ", ".join(kernel.about.release for kernel in current) or "none"
    raise Unsupported(
        f"no kernel {version} was built here" if version else "no kernel was built here",
        state=f"kernels: {there}",
        hint=f"`invoke kernels build {version or '6.12'}` (some six minutes)",
    )


def keep(made: Path, about: KernelAbout) -> Kernel:
    """Put a finished kernel into the store; ``made`` is a directory with its files, on the same file system."""
    (made / _ABOUT).write_text(json.dumps(asdict(about), indent=1) + "\n", encoding="utf-8")
    for name in _FILES:
        (made / name).chmod(0o755 if name == PROGRAM else 0o644)
    made.chmod(0o755)
    target = store() / f"{about.release}-{about.configuration}"
    shutil.rmtree(target, ignore_errors=True)
    made.rename(target)
    return Kernel(target, about)


@contextmanager
def unfinished() -> Iterator[Path]:
    """Yield a directory in the store for what is being made; what is left in it is removed."""
    try:
        store().mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=store()))
    except OSError as error:
        raise EngineError(
            f"the cache {store()} cannot be written: {error.strerror}", hint="set XDG_CACHE_HOME"
        ) from error
    try:
        yield fresh
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


@contextmanager
def only_one(version: str, progress: Progress) -> Iterator[None]:
    """Hold the lock of a version: one kernel is built once at a time, and another one that wants it waits."""
    store().mkdir(parents=True, exist_ok=True)
    with (store() / f".lock-{version}").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress(f"another process builds Linux {version}; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def remove(version: str) -> list[Kernel]:
    """Remove the kernels of a version, of all configurations; return what was removed. UsageError if there is none."""
    check_version(version)
    found = [kernel for kernel in kernels() if matches(kernel.about.release, version)]
    if not found:
        there = ", ".join(kernel.about.release for kernel in kernels()) or "none"
        raise UsageError(f"there is no kernel {version}", hint=f"kernels: {there}")
    for kernel in found:
        try:
            shutil.rmtree(kernel.directory)
        except OSError as error:
            raise EngineError(f"{kernel.directory} cannot be removed: {error.strerror}") from error
    return found


def pack(version: str, target: Path) -> Kernel:
    """Write a kernel and what belongs to it as one file, for another machine. Unsupported where there is none."""
    kernel = choose_kernel(version)
    try:
        with tarfile.open(target, "w:xz") as archive:
            for name in _FILES:
                archive.add(kernel.directory / name, f"{kernel.directory.name}/{name}", filter=_nobodys)
    except OSError as error:
        raise EngineError(f"{target} cannot be written: {error.strerror}") from error
    return kernel


def unpack(source: Path) -> Kernel:
    """Take a kernel in that :func:`pack` wrote. Raises UsageError for a file that is none, or of another kind."""
    try:
        with unfinished() as fresh, tarfile.open(source) as archive:
            members = {Path(member.name).name: member for member in archive.getmembers() if member.isfile()}
            for name in _FILES:
                content = archive.extractfile(members[name])
                assert content is not None  # noqa: S101 - it is a file
                with content, (fresh / name).open("wb") as out:
                    shutil.copyfileobj(content, out)
            about = json.loads((fresh / _ABOUT).read_text(encoding="utf-8"))
            if about["format"] != _FORMAT:
                raise UsageError(f"{source} is of another version of Bothends: {about['format']}")
            check_version(about["release"])
            if re.fullmatch(r"[0-9a-f]+", about["configuration"]) is None:
                raise UsageError(f"{source} holds no kernel of ours", state="its configuration has no hash")
            about["lacking"] = tuple(about["lacking"])
            return keep(fresh, KernelAbout(**about))
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {source}") from error
    except OSError as error:
        raise EngineError(f"{source} cannot be read: {error.strerror or error}") from error
    except (tarfile.TarError, KeyError, ValueError, TypeError) as error:
        raise UsageError(
            f"{source} holds no kernel of ours", state=str(error), hint="make it with `invoke kernels export`"
        ) from error


def _nobodys(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def _order(release: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", release))


def is_executable_here() -> bool:
    """Whether this machine's kind can run our kernels: User-Mode Linux is for x86-64."""
    return os.uname().sysname == "Linux" and os.uname().machine == "x86_64"
