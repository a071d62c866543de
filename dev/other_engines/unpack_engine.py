"""An engine's packages, of one release of Debian, unpacked into a folder: nothing is installed.

The folder is a small system of its own, with its own C library, so that sid's engine runs on bookworm. It is kept in
the user's cache and made once.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from testbed.lab.uml import debian_lists
from testbed.model.errors import EngineError

_COMMON = ("iptables", "iproute2", "mount", "util-linux", "coreutils", "dash", "kmod", "procps", "xz-utils", "tar")
_PODMAN = ("podman", "crun", "conmon", "netavark", "aardvark-dns", "nftables", *_COMMON)
ROOTLESS = "rootless-podman"
PACKAGES = {
    "docker": ("docker.io", "containerd", "runc", *_COMMON),
    "podman": _PODMAN,
    ROOTLESS: (*_PODMAN, "uidmap", "passt"),
}
"""What each engine needs beside its dependencies: recommended packages are not fetched."""
USER = 1000
"""Who starts an engine without root; the numbers of its containers' users are its from 100,000 on."""
_LISTED = {"bookworm", "trixie", "sid"}
_MERGED = ("bin", "sbin", "lib", "lib64")
_FOLDERS = (
    "proc",
    "sys",
    "dev",
    "run",
    "tmp",
    "mnt",
    "root",
    "etc/docker",
    "etc/containers",
    "var/lib",
    "var/log",
    "var/tmp",
)
_IPTABLES = ("iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore")


@dataclass(frozen=True, slots=True)
class UnpackedEngine:
    """An engine's own small system. ``kind`` is one of :data:`PACKAGES`; ``suite`` the release of Debian."""

    kind: str
    suite: str
    root: Path


def unpacked(kind: str, suite: str) -> UnpackedEngine:
    """Return the engine, fetched and unpacked if it is not in the cache. EngineError if it cannot be had."""
    if kind not in PACKAGES or suite not in _LISTED:
        raise EngineError(f"no engine {kind} of {suite}", hint=f"{', '.join(PACKAGES)}; {', '.join(sorted(_LISTED))}")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bothends" / "other-engines"
    root = cache / f"{kind}-{suite}"
    if not root.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f"{kind}-{suite}-", dir=cache) as work:
            made = _unpack(kind, suite, Path(work))
            made.rename(root)
    return UnpackedEngine(kind, suite, root)


def _unpack(kind: str, suite: str, work: Path) -> Path:
    lists = debian_lists.lists_of(suite, work, lambda _: None)
    if lists is None:
        raise EngineError(f"the list of Debian {suite}'s packages cannot be fetched", hint="see `apt-get update`")
    fetch = ["apt-get", "install", "--download-only", "--yes", "-qq", "--no-install-recommends"]
    fetch += ["-o", "APT::Sandbox::User=root", *PACKAGES[kind]]
    done = debian_lists.run(fetch, lists, work)
    if done.returncode:
        raise EngineError(f"{kind} of Debian {suite} cannot be fetched", last_output=done.stderr[-2000:])
    root = work / "root"
    for name in _FOLDERS:
        (root / name).mkdir(parents=True)
    for name in _MERGED:
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")
    for package in sorted((work / suite / "cache" / "archives").glob("*.deb")):
        _extract(package, root)
    _set_up(root)
    return root


def _extract(package: Path, root: Path) -> None:
    # dpkg-deb's own unpacking would put folders where /bin and /lib are links.
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE) as reading:
        into = ["tar", "-x", "--keep-directory-symlink", "-C", str(root)]
        done = subprocess.run(into, stdin=reading.stdout, capture_output=True, text=True, check=False)
    if done.returncode or reading.returncode:
        raise EngineError(f"{package.name} cannot be unpacked", last_output=done.stderr[-2000:])


def _set_up(root: Path) -> None:
    """Do the little of the packages' own scripts that an engine needs."""
    (root / "etc/passwd").write_text(
        f"root:x:0:0:root:/root:/bin/sh\nuser:x:{USER}:{USER}::/:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"
    )
    (root / "etc/group").write_text(f"root:x:0:\ndocker:x:999:\nuser:x:{USER}:\nnogroup:x:65534:\n")
    for name in ("subuid", "subgid"):
        (root / "etc" / name).write_text("user:100000:65536\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")
    (root / "etc/resolv.conf").write_text("")
    for name in _IPTABLES:  # an alternative, which a package's script chooses
        link = root / "usr/sbin" / name
        if not link.exists():
            link.unlink(missing_ok=True)
            link.symlink_to("xtables-nft-multi")
    policy = root / "etc/containers/policy.json"
    if not policy.exists():
        policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}\n')
    shutil.rmtree(root / "usr/share/doc", ignore_errors=True)
    shutil.rmtree(root / "usr/share/locale", ignore_errors=True)
