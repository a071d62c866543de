"""Packages of any release of Debian, from the machine's own mirror: with lists and a cache apart, nothing is installed.

The machine's own lists and what it has installed are neither read nor changed.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from testbed.lab.engine import Progress
from testbed.model.errors import EngineError

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_TIMEOUT = 900.0


def lists_of(suite: str, work: Path, progress: Progress) -> dict[str, str] | None:
    """Fetch one release's list of packages from the machine's own mirror; return the environment that uses it."""
    mirror = _mirror()
    if not mirror:
        return None
    progress(f"fetching Debian's list of packages ({suite})")
    root = work / suite
    for name in ("lists/partial", "cache/archives/partial"):
        (root / name).mkdir(parents=True)
    (root / "sources.list").write_text(f"deb [signed-by={KEYRING}] {mirror} {suite} main\n", encoding="utf-8")
    (root / "apt.conf").write_text(
        f'Dir::State "{root}";\nDir::State::status "{root}/status";\nDir::Cache "{root}/cache";\n'
        f'Dir::Etc::sourcelist "{root}/sources.list";\nDir::Etc::sourceparts "-";\nAcquire::Languages "none";\n'
        'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";\n'
        'Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";\n',
        encoding="utf-8",
    )
    (root / "status").touch()
    environment = {"APT_CONFIG": str(root / "apt.conf")}
    return environment if run(["apt-get", "update"], environment, work).returncode == 0 else None


def _mirror() -> str:
    """Return the address of the machine's own mirror of Debian, empty if it has none."""
    done = run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Origin: Debian"], {}, Path("/")
    )
    found = [line for line in done.stdout.splitlines() if "security" not in line]
    return found[0] if found else ""


def run(words: list[str], environment: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a program of apt's or dpkg's with these variables besides; EngineError if it takes a quarter of an hour."""
    try:
        return subprocess.run(
            words,
            env={**os.environ, "LC_ALL": "C", **environment},
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise EngineError(f"`{' '.join(words)}` did not end in {_TIMEOUT:g} s") from error
