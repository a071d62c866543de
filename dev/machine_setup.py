"""What the tests need of a machine beside Python: Debian packages, and tracefs. ``invoke setup`` installs them.

``python dev/machine_setup.py`` prints the packages that are missing, one a line: .ci/run begins with it, before there
is an environment, so nothing but Python's own library is imported here.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

PACKAGES = {
    "labs": ("docker.io", "docker-compose", "iproute2", "iptables", "tcpdump", "git", "ca-certificates"),
    "compilers and fuzzers": ("gcc", "libc6-dev", "libxxhash-dev", "make", "clang", "libclang-rt-14-dev", "golang-go"),
    "kernels of our own": ("flex", "bison", "bc", "xz-utils", "binutils"),
    "observers": ("gdb", "strace"),
    "reports in a browser, and Wireshark's own labels": ("chromium", "tshark", "fonts-dejavu-core"),
    "programs of the scenarios": (
        *("curl", "nginx-light", "iperf3", "openssl", "redis-server", "redis-tools", "python3-requests"),
        *("wine", "wine64", "gcc-mingw-w64-x86-64-win32", "gdb-mingw-w64-target"),
    ),
}
TRACEFS = Path("/sys/kernel/tracing")
_MOUNTED = TRACEFS / "instances"
MOUNT = ("mount", "-t", "tracefs", "nodev", str(TRACEFS))
"""The kernel's trace: causes are proven by it. Nobody mounts it in a container or a minimal system."""


def missing_packages() -> list[str]:
    """Return the packages that dpkg has not installed; an engine that is there already need not be Debian's."""
    wanted = [name for names in PACKAGES.values() for name in names]
    words = ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *wanted]
    told = subprocess.run(words, capture_output=True, text=True, check=False).stdout
    installed = {line.split()[0] for line in told.splitlines() if line.endswith(" installed")}
    here = {"docker.io"} if shutil.which("dockerd") or shutil.which("docker") else set()
    return [name for name in wanted if name not in installed | here]


def commands() -> list[list[str]]:
    """Return the commands that this machine needs, for root; none where nothing is missing."""
    needed = []
    if missing := missing_packages():
        needed.append(["apt-get", "update", "-qq"])
        needed.append(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing])
    if TRACEFS.is_dir() and not _MOUNTED.is_dir() and os.geteuid() == 0:
        needed.append(list(MOUNT))
    return needed


def set_up(say: Callable[[str], object], run: Callable[[Sequence[str]], int]) -> int:
    """Say what is missing and install it as root; else say the one command to paste. 3 if a command failed.

    A machine that is not Debian or Ubuntu is told the list.
    """
    if shutil.which("apt-get") is None:
        say("this is no Debian or Ubuntu; the tests use, under whatever names it has them:")
        for purpose, names in PACKAGES.items():
            say(f"  {purpose}: {', '.join(names)}")
        return 0
    needed = commands()
    if not needed:
        say("nothing is missing")
        return 0
    shown = " && ".join(shlex.join(command) for command in needed)
    if os.geteuid() != 0:
        say(f"tests are skipped for what is missing. To install it, paste this, then go on:\n  sudo sh -c '{shown}'")
        return 0
    say(f"running, as root: {shown}")
    for command in needed:
        if run(command) and command != list(MOUNT):  # without tracefs runs are made too, and say so
            say(f"that failed: {shlex.join(command)}")
            return 3
    return 0


if __name__ == "__main__":
    sys.stdout.writelines(f"{name}\n" for name in missing_packages())
