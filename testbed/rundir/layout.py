"""The run directory: where a run's artefacts are, from which everything can be worked out again later.

``runs/<scenario>/<UTC time>-<id>/``; ``runs/<scenario>/latest`` is a relative symbolic link to the newest.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from testbed.model.errors import BothendsError, UsageError
from testbed.rundir.json_text import in_lines

RUNS = "runs"
CAMPAIGNS = "campaigns"
LATEST = "latest"
MANIFEST = "manifest.json"
RESULT = "result.json"
SCENARIO_COPY = "scenario.yaml"
JOURNAL = "link.jsonl"
PLAN = "link.plan"
KERNEL = "kernel.jsonl"
RECORDING = ".kernel.recording"


def loopback_file(host: str) -> str:
    """Return the name of the capture of a host's loopback; a host that sent itself nothing has none."""
    return f"{host}.loopback.pcap"


_WHAT_TO_DO = {
    errno.ENOSPC: "free disk space",
    errno.EDQUOT: "free disk space: the quota is used up",
    errno.EROFS: "make the file system writable",
    errno.EACCES: "get the right to write there",
    errno.EPERM: "get the right to write there",
    errno.EMFILE: "allow more open files (`ulimit -n 1024`)",
    errno.ENOTDIR: "move the file that stands in the way",
    errno.EEXIST: "move the file that stands in the way",
}


def what_to_do(error: OSError) -> str:
    """Return what to do about a file that could not be written."""
    return _WHAT_TO_DO.get(error.errno or 0, "see that this place can be written")


class RunDirectory:
    """One run's directory; ``run_id`` is the 8 hex digits at the end of its name."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.path.name.rpartition("-")[2]

    @property
    def scenario(self) -> str:
        """The scenario's name."""
        return self.path.parent.name

    @classmethod
    def create(cls, root: Path, scenario: str, run_id: str) -> RunDirectory:
        """Make the directory for a new run below ``root/runs``; BothendsError if that cannot be written."""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        path = root / RUNS / scenario / f"{stamp}-{run_id}"
        try:
            path.mkdir(parents=True)
        except OSError as error:
            raise BothendsError(
                f"cannot make the run directory {path}: {error.strerror}",
                hint=f"{what_to_do(error)}, or choose another place with --runs DIRECTORY",
            ) from error
        return cls(path)

    def point_latest(self) -> None:
        """Make ``latest`` point here, atomically: of two runs that end at once, one wins whole."""
        link = self.path.parent / LATEST
        fresh = self.path.parent / f".{LATEST}-{self.run_id}"
        fresh.symlink_to(self.path.name)
        fresh.replace(link)

    def file(self, name: str) -> Path:
        """Return the path of one artefact. UsageError where it is a symbolic link that leads out of the directory."""
        path = self.path / name
        if path.is_symlink() and not path.resolve().is_relative_to(self.path.resolve()):
            raise UsageError(
                f"{path} is a symbolic link that leads out of the run directory",
                hint="no run makes such a link: whoever made this directory wants another file read",
            )
        return path

    def write_json(self, name: str, value: dict[str, Any]) -> None:
        """Write an artefact whole or not at all."""
        self.write_text(name, in_lines(value))

    def write_text(self, name: str, text: str) -> None:
        """Write an artefact whole or not at all; BothendsError if the disk takes no more."""
        with self.writing(name) as stream:
            stream.write(text.encode())

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """Yield a stream that becomes the artefact if the block ends well; BothendsError if the disk takes no more."""
        fresh = self.path / f".{name}"
        try:
            fresh.unlink(missing_ok=True)
            # "x": in a directory from elsewhere the name may be a link to another file, which must not be written
            with fresh.open("xb") as stream:
                yield stream
            fresh.replace(self.path / name)
        except OSError as error:
            raise BothendsError(
                f"cannot write {self.path / name}: {error.strerror}",
                state="artefacts written before are kept",
                hint=f"{what_to_do(error)}, or choose another place with --runs DIRECTORY",
            ) from error
        finally:
            fresh.unlink(missing_ok=True)

    def read_json(self, name: str) -> dict[str, Any]:
        """Read an artefact; UsageError if it is not there or broken."""
        path = self.file(name)
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise UsageError(f"{path} cannot be read: {error}", hint="is this a run directory?") from error
        if not isinstance(value, dict):
            raise UsageError(f"{path} holds no JSON object")
        return value

    def __str__(self) -> str:
        """Return the path, relative to the current directory where it lies below it."""
        relative = os.path.relpath(self.path)
        return str(self.path) if relative.startswith("..") else relative


def find(name: str, root: Path) -> RunDirectory | None:
    """Find a run by directory, by id, or by ``<scenario>/latest``; None if there is none."""
    for path in (Path(name), root / RUNS / name):
        if path.is_dir() and (path.resolve() / MANIFEST).exists():
            return RunDirectory(path.resolve())
    places = ("*", f"{CAMPAIGNS}/*/{RUNS}/*")
    found = [path for place in places for path in (root / RUNS).glob(f"{place}/*-{name}")] if name.isalnum() else []
    return RunDirectory(found[0]) if len(found) == 1 else None
