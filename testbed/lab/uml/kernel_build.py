"""Build a kernel that is an ordinary program (User-Mode Linux), from our few options, outside of its sources."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from testbed.lab.engine import Progress
from testbed.lab.uml import kernel_store
from testbed.lab.uml.kernel_source import SourceTree, release_of, sources
from testbed.lab.uml.kernel_store import CONFIG, Kernel, KernelAbout
from testbed.model.errors import EngineError, Unsupported, UsageError

TOOLS = {
    "gcc": "gcc libc6-dev",
    "make": "make",
    "flex": "flex",
    "bison": "bison",
    "bc": "bc",
    "xz": "xz-utils",
    "tar": "tar",
    "strip": "binutils",
}
"""What a build needs, and the Debian packages that bring it."""
EXPECTED_STEPS = 1270
"""Lines that a build of 6.12 prints: it shows how much is left."""
_STEP = re.compile(r"^  [A-Z]{2,}[A-Z0-9_-]*\s+\S")
_SHOW_EVERY = 5.0
_LAST_LINES = 15
# Builds of the same sources and options are the same file.
_NOBODY = {"KBUILD_BUILD_TIMESTAMP": "1970-01-01", "KBUILD_BUILD_USER": "bothends", "KBUILD_BUILD_HOST": "bothends"}


def missing_tools() -> list[str]:
    """Return those of :data:`TOOLS` that this machine lacks."""
    return [tool for tool in TOOLS if shutil.which(tool) is None]


def install_command(tools: list[str]) -> str:
    """Return the one command that installs tools on Debian and its like."""
    return f"apt-get install {' '.join(dict.fromkeys(word for tool in tools for word in TOOLS[tool].split()))}"


def build(version: str, given: Path | None, progress: Progress, jobs: int = 0) -> Kernel:
    """Return the kernel of a version, building it if it is not there; a build of the same version is waited for.

    ``given`` are its sources, a tree or a tarball; without them Debian's package is fetched. ``jobs``: compilers at a
    time, 0 for one on each processor. Raises Unsupported where a tool or the sources are missing, UsageError for
    sources that are not of this version, EngineError for a build that fails: its log is kept.
    """
    kernel_store.check_version(version)
    if not kernel_store.is_executable_here():
        raise Unsupported(
            f"User-Mode Linux is for Linux on x86-64; this is {os.uname().sysname} on {os.uname().machine}"
        )
    with kernel_store.only_one(version, progress):
        found = kernel_store.find(version)
        if found is not None:
            return found
        lacking = missing_tools()
        if lacking:
            raise Unsupported(
                f"building a kernel needs programs that this machine lacks: {', '.join(lacking)}",
                hint=f"{install_command(lacking)} (packages of Debian and Ubuntu; elsewhere they have similar names)",
            )
        log = kernel_store.store() / f"{version}.log"
        with kernel_store.unfinished() as work, sources(version, given, work, progress) as tree:
            release = release_of(tree.directory)
            if not kernel_store.matches(release, version):
                raise UsageError(
                    f"{tree.name} is Linux {release}, not {version}", hint=f"`invoke kernels build {release}`"
                )
            made = _build(tree, release, work, log, progress, jobs or os.cpu_count() or 1)
            log.unlink(missing_ok=True)
            return made


def _build(tree: SourceTree, release: str, work: Path, log: Path, progress: Progress, jobs: int) -> Kernel:
    out, done = work / "build", work / "kernel"
    out.mkdir()
    done.mkdir()
    make = ["make", "-C", str(tree.directory), f"O={out}", "ARCH=um"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with log.open("wb") as written:
        progress(f"configuring Linux {release}")
        _run([*make, "-s", "allnoconfig", f"KCONFIG_ALLCONFIG={CONFIG}"], written, log)
        lacking = tuple(_lacking(CONFIG.read_text(encoding="utf-8"), (out / ".config").read_text(encoding="utf-8")))
        if lacking:
            progress(f"Linux {release} has no {', '.join(lacking)}")
        show = _Progress(release, progress)
        _run([*make, f"-j{jobs}", "linux"], written, log, show.step)
        progress("stripping")
        _run(["strip", "-o", str(done / kernel_store.PROGRAM), str(out / "linux")], written, log)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    shutil.copyfile(out / ".config", done / "config")
    shutil.copyfile(tree.directory / "COPYING", done / "COPYING")
    about = KernelAbout(
        release=release,
        source=tree.name,
        configuration=kernel_store.configuration_hash(),
        lacking=lacking,
        compiler=_compiler((out / ".config").read_text(encoding="utf-8")),
        processor_seconds=round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
    )
    return kernel_store.keep(done, about)


class _Progress:
    """Says how far a build is, and how long it will take at its speed until now."""

    def __init__(self, release: str, progress: Progress) -> None:
        self._release, self._progress = release, progress
        self._begin = self._shown = time.monotonic()
        self._steps = 0

    def step(self, line: str) -> None:
        if _STEP.match(line) is None:
            return
        self._steps += 1
        now = time.monotonic()
        if now - self._shown < _SHOW_EVERY:
            return
        self._shown = now
        share = min(self._steps / EXPECTED_STEPS, 0.99)
        left = (now - self._begin) * (1 - share) / share
        self._progress(f"building Linux {self._release}: {share:.0%}, {left / 60:.1f} minutes left")


def _run(words: list[str], written: BinaryIO, log: Path, step: Callable[[str], None] | None = None) -> None:
    """Run a part of the build; what it prints goes into the log. Raises EngineError with the last lines if it fails."""
    # What a person has set for other builds must not get into this one.
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "KBUILD", "ARCH"))
    }
    with subprocess.Popen(
        words,
        env={**kept, **_NOBODY, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        for line in process.stdout:
            written.write(line)
            if step is not None:
                step(line.decode(errors="replace"))
    if process.returncode:
        written.flush()
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        raise EngineError(
            "the kernel cannot be built",
            state=f"`{' '.join(words)}` ended with {process.returncode}; log: {log}",
            last_output="\n".join(lines[-_LAST_LINES:]),
        )


def _lacking(wanted: str, configured: str) -> Iterator[str]:
    """Yield the options that were asked for and are not set: this version lacks them, or what they depend on."""
    there = set(configured.splitlines())
    for line in wanted.splitlines():
        name, sign, value = line.partition("=")
        if sign and not name.startswith("#") and value != "n" and line not in there:
            yield name.removeprefix("CONFIG_")


def _compiler(configured: str) -> str:
    found = re.search(r'^CONFIG_CC_VERSION_TEXT="(.*)"$', configured, re.MULTILINE)
    return found.group(1) if found else "unknown"
