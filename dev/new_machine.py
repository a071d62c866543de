"""A machine with nothing on it: a new minimal Debian in which a wheel is installed and a scenario run.

``python -m dev.new_machine``, as root on Debian; some minutes. debootstrap makes the system (minbase); besides there
are only python3 and python3-venv, which a user is told to have: no Docker, no compiler, no tcpdump, no iproute2. It is
not a chroot but the root of mount and PID namespaces of its own, as kernels refuse user namespaces in a chroot. Prints
what was done in how many seconds, for a plain user and for root; exit status 1 if a run did not pass.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import cast

import docker

from testbed.cli.progress import tell
from testbed.lab.docker import base_image, debian_packages

ROOT = Path(__file__).parents[1]
PLAIN_USER = 12345
NEEDED = ("python3", "python3-venv")
"""What a user is told to have (README.md, Start), beside git for who wants a clone."""
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
PLACE = "/opt/bothends"
"""Where the environment with the wheel is in that machine."""
_ENTER = """\
cd "$1"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 dev dev
for name in null zero full random urandom tty; do touch dev/$name; mount --bind /dev/$name dev/$name; done
pivot_root . mnt
umount -l /mnt
exec setpriv --reuid "$2" --regid "$2" --clear-groups sh -ec "$3"
"""
_SEEN = 'mkdir -p "{1}"; mount --bind -o ro "{0}" "{1}"\n'


def enter(
    root: Path,
    script: str,
    *,
    user: int = 0,
    environment: Mapping[str, str] = MappingProxyType({}),
    seen: Mapping[str, Path] = MappingProxyType({}),
) -> subprocess.CompletedProcess[str]:
    """Run a shell script in a root file system, in mount and PID namespaces of its own; its output as text.

    Needs root. Of this machine it gets what ``environment`` says, and directories of ``seen``, by their path there.
    """
    words = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]
    binds = "".join(_SEEN.format(path, f"{root}{inside}") for inside, path in seen.items())
    words += ["sh", "-ec", f'mount --bind "$1" "$1"\n{binds}{_ENTER}', "enter", str(root), str(user), script]
    home = "/root" if user == 0 else "/home/plain"
    inside = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": home, "LC_ALL": "C.UTF-8", **environment}
    return subprocess.run(
        words, env=inside, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
    )


def unpack_image(client: docker.DockerClient, image: str, root: Path) -> None:
    """Unpack a container's file system into a new directory: a system that need not be made again."""
    root.mkdir(mode=0o755)
    container = client.containers.create(image, ["none"])
    try:
        unpack = ["tar", "--extract", "--numeric-owner", "--directory", str(root)]
        with subprocess.Popen(unpack, stdin=subprocess.PIPE) as running:
            assert running.stdin is not None  # noqa: S101 - asked for above
            for part in cast("Iterable[bytes]", container.export()):
                running.stdin.write(part)
        if running.returncode:
            raise subprocess.CalledProcessError(running.returncode, unpack)
    finally:
        container.remove()


def furnish(root: Path) -> None:
    """Let a new system reach what this machine reaches, and give it :data:`NEEDED` and a plain user's home.

    Raises subprocess.CalledProcessError, with the output, where packages cannot be had.
    """
    _copy(root, Path("/etc/resolv.conf"), Path("/etc/hosts"), AUTHORITIES)
    home = root / "home/plain"
    home.mkdir(parents=True)
    os.chown(home, PLAIN_USER, PLAIN_USER)
    get = "apt-get -qq -o APT::Sandbox::User=root"
    names = " ".join(NEEDED)
    script = f"{get} update && {get} install -y --no-install-recommends {names} && apt-get clean"
    done = enter(root, script, environment={"DEBIAN_FRONTEND": "noninteractive", **debian_packages.proxies()})
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, script, done.stdout, done.stderr)
    _copy(root, AUTHORITIES)  # python3-venv has brought Debian's own


def _copy(root: Path, *paths: Path) -> None:
    for path in paths:
        if path.exists():
            target = root / path.relative_to("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def index_settings() -> dict[str, str]:
    """Return what this machine's environment says about proxies and pip's index."""
    told = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    return {**told, **debian_packages.proxies()}


def build_wheel(directory: Path) -> Path:
    """Build this machine's platform wheel, with its tools compiled, into a directory (docs/releasing.md)."""
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(directory)]
    environment = {**os.environ, "BOTHENDS_TOOLS": platform.machine()}
    subprocess.run(command, cwd=ROOT, env=environment, stdout=sys.stderr, check=True)
    (made,) = directory.glob("*.whl")
    return made


def main() -> int:
    """Make the machine, install, run; print the seconds that each took."""
    steps: list[tuple[str, str, int, subprocess.CompletedProcess[str]]] = []
    with tempfile.TemporaryDirectory(prefix="bothends-new-machine-", dir="/var/tmp") as directory:
        place = Path(directory)
        place.chmod(0o755)
        wheel = build_wheel(place)
        root = base_image.bootstrap(place, tell)
        root.chmod(0o755)
        furnish(root)
        shutil.copy(wheel, root / "opt")
        install = f"python3 -m venv {PLACE} && {PLACE}/bin/pip install -q /opt/{wheel.name}"
        run = f"cd && {PLACE}/bin/bothends run connect-send-close"
        # In this order: the second run of a user finds what the first has unpacked.
        for what, script, user in (
            ("pip install bothends", install, 0),
            ("first run, as a plain user", run, PLAIN_USER),
            ("second run, as a plain user", run, PLAIN_USER),
            ("first run, as root", run, 0),
        ):
            begin = time.monotonic()
            done = enter(root, script, user=user, environment=index_settings())
            steps.append((what, f"{time.monotonic() - begin:6.1f} s", done.returncode, done))
    for what, seconds, code, done in steps:
        sys.stdout.write(f"{seconds}  exit {code}  {what}\n")
        if code:
            sys.stdout.write(done.stdout + done.stderr)
    return int(any(code for _, _, code, _ in steps))


if __name__ == "__main__":
    sys.exit(main())
