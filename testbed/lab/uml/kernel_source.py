"""Where the sources of a kernel come from: a tree or a tarball that is given, or Debian's package ``linux-source-*``.

The package is downloaded and unpacked, never installed. Where the machine's own release of Debian lacks the version,
the others are asked, with lists of their own: the machine's are left as they are.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testbed.lab.engine import Progress
from testbed.lab.uml import debian_lists
from testbed.model.errors import EngineError, Unsupported, UsageError

SUITES = ("trixie", "bookworm", "sid")
"""Releases of Debian that are asked for a version which the machine's own lacks."""
# Of 1.4 GB of sources, those parts that no kernel of ours reads and that are large.
_NOT_NEEDED = (
    *("*/Documentation/devicetree", "*/Documentation/translations", "*/tools/testing", "*/tools/perf"),
    *("*/drivers/gpu/drm/amd/include/*", "*/arch/*/boot/dts/*"),
)


@dataclass(frozen=True, slots=True)
class SourceTree:
    """Unpacked sources: where, and what they are in words. They are read, never written."""

    directory: Path
    name: str


@contextmanager
def sources(version: str, given: Path | None, work: Path, progress: Progress) -> Iterator[SourceTree]:
    """Yield the sources of a version; ``given`` is a tree or a tarball. What is unpacked below ``work`` is removed.

    Raises UsageError for a file that holds no kernel, Unsupported where there are no sources, EngineError where they
    cannot be fetched.
    """
    if given is not None and given.is_dir():
        _check_tree(given)
        yield SourceTree(given.resolve(), given.name)
        return
    if given is not None:
        tarball, name = given, given.name
        if not given.is_file():
            raise UsageError(f"there is no file or directory {given}")
        yield SourceTree(_unpacked(tarball, work, progress), name)
        return
    with tempfile.TemporaryDirectory(dir=work) as downloads:
        tarball, name = _from_debian(version, Path(downloads), progress)
        tree = _unpacked(tarball, work, progress)
    yield SourceTree(tree, name)


def release_of(tree: Path) -> str:
    """Return the version that sources say they are: 6.12.117. Raises UsageError if they are no kernel's."""
    try:
        text = (tree / "Makefile").read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f"{tree} holds no sources of the kernel", state=f"no Makefile: {error.strerror}") from error
    found = dict(re.findall(r"^(VERSION|PATCHLEVEL|SUBLEVEL)\s*=\s*(\d+)", text, re.MULTILINE))
    if len(found) != 3:
        raise UsageError(f"{tree} holds no sources of the kernel", state="its Makefile names no version")
    return f"{found['VERSION']}.{found['PATCHLEVEL']}.{found['SUBLEVEL']}"


def _check_tree(tree: Path) -> None:
    release_of(tree)
    if (tree / "include" / "config").is_dir() or (tree / ".config").exists():
        raise UsageError(
            f"{tree} was built in itself, and then nothing can be built outside of it",
            hint=f"`make -C {tree} ARCH=um mrproper`",
        )


def _unpacked(tarball: Path, work: Path, progress: Progress) -> Path:
    progress(f"unpacking {tarball.name}")
    tree = work / "source"
    tree.mkdir()
    words = ["tar", "xf", str(tarball.resolve()), "-C", str(tree), "--strip-components=1"]
    done = subprocess.run(
        [*words, *(f"--exclude={pattern}" for pattern in _NOT_NEEDED)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise UsageError(
            f"{tarball} cannot be unpacked", state=f"tar ended with {done.returncode}", last_output=_last(done.stderr)
        )
    release_of(tree)
    return tree


def _from_debian(version: str, downloads: Path, progress: Progress) -> tuple[Path, str]:
    """Download and unpack the package; return the tarball in it, and the package with its version.

    A package is of a series (6.12) and holds one version of it, the newest.
    """
    package = f"linux-source-{'.'.join(version.split('.')[:2])}"
    hint = f"give the sources: `invoke kernels build {version} --source TARBALL_OR_TREE`"
    lacking = [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]
    if lacking:
        raise Unsupported(
            f"the sources of Linux {version} come as a package of Debian, and this machine has no {lacking[0]}",
            hint=hint,
        )
    own: dict[str, str] = {}
    tried = [("this machine's release", own), *((suite, None) for suite in SUITES if debian_lists.KEYRING.exists())]
    said, offered = "", {}
    for suite, environment in tried:
        chosen = environment if environment is not None else debian_lists.lists_of(suite, downloads, progress)
        offered[suite] = "" if chosen is None else _offered(package, chosen)
        if chosen is None or not is_wanted(offered[suite], version):
            continue
        progress(f"downloading {package} (some 150 MB)")
        done = debian_lists.run(["apt-get", "download", package], chosen, downloads)
        if done.returncode == 0:
            break
        said = done.stderr
    else:
        raise Unsupported(
            f"there are no sources of Linux {version}: no package {package} with them can be had",
            state=f"asked: {', '.join(f'{name} ({it})' if it else name for name, it in offered.items())}",
            last_output=_last(said),
            hint=f"`apt-get update`, or {hint}",
        )
    deb = next(downloads.glob("*.deb"))
    done = debian_lists.run(["dpkg-deb", "-x", str(deb), str(downloads / "package")], own, downloads)
    tarballs = list((downloads / "package" / "usr" / "src").glob(f"{package}.tar.*"))
    if done.returncode or not tarballs:
        raise EngineError(f"{package} cannot be unpacked", last_output=_last(done.stderr), hint=hint)
    return tarballs[0], " ".join(deb.name.split("_")[:2])


def is_wanted(offered: str, version: str) -> bool:
    """Say whether a package that holds the version ``offered`` (empty: there is none) is of a series or version."""
    return bool(offered) and (version.count(".") < 2 or offered == version)


def _offered(package: str, environment: dict[str, str]) -> str:
    """Return the version of Linux that a package holds: 6.12.117; empty if there is no such package."""
    done = debian_lists.run(["apt-cache", "show", "--no-all-versions", package], environment, Path("/"))
    found = re.search(r"^Version: ([\d.]+)", done.stdout, re.MULTILINE)
    return found[1] if done.returncode == 0 and found else ""


def _last(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-8:])
