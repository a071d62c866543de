"""Programs that a tap needs and this machine lacks: from their Debian packages, unpacked into the cache, not installed.

``<cache>/bothends/programs-<release>-<machine>/<program...>/`` holds ``root/``, the packages with the libraries that
are missing too, and ``bin/``, a script for each program that finds those libraries. A lab sees it at
PROGRAMS_DIRECTORY. apt fetches the packages, with its own checks, and needs no right for that: where its lists are
missing they go into a directory of ours.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from testbed.lab.engine import Progress
from testbed.lab.namespace.machine import PACKAGES, PROGRAMS_DIRECTORY, TAP_PROGRAMS, can_unpack, lacks, missing
from testbed.model.errors import Unsupported
from testbed.shipped.files import user_cache

_DIRECTORIES = ("usr/sbin", "usr/bin", "sbin", "bin")
_LIBRARIES = ("usr/lib", "lib")
_FETCHED = re.compile(r"^'[^']+' ([^_ ]+)_([^_ ]+)_[^_ ]+\.deb ", re.MULTILINE)
"""A line of ``apt-get --print-uris``: address, then package, version (``:`` as ``%3a``) and architecture."""
_KEPT_LINES = 5


def provide(progress: Progress) -> str:
    """Return the directory with those of the taps' programs that this machine lacks; empty where it lacks none.

    Raises Unsupported where they cannot be had.
    """
    lacking = missing(TAP_PROGRAMS)
    if not lacking:
        return ""
    release = f"{platform.freedesktop_os_release().get('VERSION_CODENAME', 'unknown')}-{platform.machine()}"
    directory = user_cache() / f"programs-{release}" / "-".join(lacking)
    if not directory.is_dir():
        progress(f"unpacking {', '.join(lacking)} from Debian packages into the cache, once")
        _unpack(directory, lacking)
    return str(directory)


def _unpack(directory: Path, programs: Sequence[str]) -> None:
    if not can_unpack():
        raise lacks(programs)
    packages = list(dict.fromkeys(word for program in programs for word in PACKAGES[program].split()))
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".making-", dir=directory.parent) as made:
            fresh = Path(made) / "made"
            fresh.mkdir()
            _download(packages, Path(made))
            for package in sorted(Path(made).glob("*.deb")):
                _run(["dpkg-deb", "-x", str(package), str(fresh / "root")], Path(made))
            _write_scripts(fresh)
            fresh.chmod(0o755)
            if not directory.is_dir():  # another process may have been quicker
                fresh.rename(directory)
    except _AptFailed as failed:
        error = lacks(programs)
        error.state = "they could not be unpacked from Debian packages either"
        error.last_output = str(failed)
        raise error from failed
    except OSError as problem:
        raise Unsupported(
            f"the cache {directory.parent} cannot be written: {problem.strerror}", hint="set XDG_CACHE_HOME"
        ) from problem


class _AptFailed(Exception):  # noqa: N818 - it is turned into ours here
    pass


def _download(packages: Sequence[str], into: Path) -> None:
    """Fetch the packages and those that they need and that are not installed. Raises _AptFailed."""
    usual = ["-qq", "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User="]
    own = into / "apt"
    for folder in ("lists/partial", "archives/partial"):
        (own / folder).mkdir(parents=True)
    lists = [*usual, "-o", f"Dir::State::lists={own}/lists", "-o", f"Dir::Cache::archives={own}/archives"]
    try:
        words = usual
        needed = _needed(packages, words, into)
        _run(["apt-get", *words, "download", *needed], into)
    except _AptFailed:  # no lists yet, or they name packages that are gone
        words = lists
        _run(["apt-get", *words, "update"], into)
        _run(["apt-get", *words, "download", *_needed(packages, words, into)], into)


def _needed(packages: Sequence[str], words: Sequence[str], into: Path) -> list[str]:
    told = _run(["apt-get", *words, "--print-uris", "--yes", "--no-install-recommends", "install", *packages], into)
    found = [f"{name}={version.replace('%3a', ':')}" for name, version in _FETCHED.findall(told)]
    if not found:
        raise _AptFailed("apt-get would install nothing")
    return found


def _run(words: Sequence[str], directory: Path) -> str:
    done = subprocess.run(
        words,
        cwd=directory,
        env={**os.environ, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        last = "\n".join(done.stderr.splitlines()[-_KEPT_LINES:])
        raise _AptFailed(f"{' '.join(words[:1])} ended with {done.returncode}\n{last}")
    return done.stdout


def _write_scripts(fresh: Path) -> None:
    """Write a script for each program that runs it with the libraries that came with it."""
    root = fresh / "root"
    libraries = [path for base in _LIBRARIES for path in sorted((root / base).glob("*-linux-gnu*")) if path.is_dir()]
    places = ":".join(f"{PROGRAMS_DIRECTORY}/root/{path.relative_to(root)}" for path in libraries)
    (fresh / "bin").mkdir(parents=True)
    for base in _DIRECTORIES:
        for program in sorted((root / base).glob("*")) if (root / base).is_dir() else ():
            script = fresh / "bin" / program.name
            if not script.exists():
                if program.is_symlink() and program.readlink().is_absolute():
                    program = root / program.readlink().relative_to("/")  # noqa: PLW2901 - the same program
                run = f"{PROGRAMS_DIRECTORY}/root/{program.relative_to(root)}"
                script.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH={places} exec {run} "$@"\n')
                script.chmod(0o755)
