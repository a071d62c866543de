"""The real probe, compiled here, and what tests do with its logs."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from testbed.observe.probe.probe_log import ProbeResult, decode

from .building import make

if TYPE_CHECKING:
    from testbed.model import Call, SocketInfo

HERE = Path(__file__).parent / "programs"
STRICT = ("cc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror")


def has_header() -> bool:
    include = b"#include <xxhash.h>"
    return subprocess.run(["cc", "-E", "-x", "c", "-"], input=include, capture_output=True, check=False).returncode == 0


NEEDS_PROBE = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(bool(shutil.which("cc")) and not has_header(), reason="no xxhash.h (libxxhash-dev) here"),
]
"""Marks of a module of tests of the probe."""


class Probe:
    """The library, the compiled programs, and one directory of logs."""

    def __init__(self, build: Path, logs: Path) -> None:
        self.build = build
        self.logs = logs

    def env(self, directory: Path | None = None) -> dict[str, str]:
        library = str(self.build / "libprobe.so")
        return os.environ | {"LD_PRELOAD": library, "BOTHENDS_LOG_DIR": str(directory or self.logs)}

    def command(self, *argv: str) -> list[str]:
        """A program by its name here, or any other by path."""
        own = self.build / argv[0]
        return [str(own) if own.exists() else argv[0], *argv[1:]]

    def run(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*argv), env=self.env(), capture_output=True, text=True, check=check)

    def start(self, *argv: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        return subprocess.Popen(self.command(*argv), env=self.env(), stdin=pipe, stdout=pipe, text=True)

    def decode(self) -> ProbeResult:
        return decode({path.name: path.read_bytes() for path in self.logs.iterdir()}, "client")

    def complete(self) -> ProbeResult:
        result = self.decode()
        assert (result.lost, result.problems) == (0, ())
        return result


def build_probe(folder: Path) -> None:
    """Compile the probe and the programs that it is tried on into a folder."""
    folder.chmod(0o755)
    make(folder, f"{folder}/tools/libprobe.so", f"{folder}/probe/tests/digests")
    shutil.copyfile(folder / "tools" / "libprobe.so", folder / "libprobe.so")
    for name in ("probe_moves", "probe_same", "probe_hard"):
        subprocess.run([*STRICT, "-g", "-o", str(folder / name), str(HERE / f"{name}.c"), "-pthread"], check=True)
    fortified = ["-D_FORTIFY_SOURCE=2", "-o", str(folder / "probe_fortified"), str(HERE / "probe_moves.c")]
    subprocess.run([*STRICT, *fortified], check=True)


def sock(call: Call) -> SocketInfo:
    assert call.socket, call
    return call.socket


def named(calls: tuple[Call, ...], *names: str) -> list[Call]:
    return [call for call in calls if call.name in names]
