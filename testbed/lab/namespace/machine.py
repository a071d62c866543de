"""What of this machine a lab in namespaces is made of: programs that must be installed, and files that a lab sees."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from testbed.lab.engine import LabHost
from testbed.model.errors import Unsupported

INSIDE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where programs are looked for inside a lab (compose/launch/agents.c sets the same)."""
PROGRAMS_DIRECTORY = "/opt/programs"
"""Where a lab has programs unpacked for it (unpacked_programs.py); compose/launch/agents.c has its bin/ in PATH."""
COMPILER = "cc"
MAKE = "make"
WINDOWS_COMPILER = "x86_64-w64-mingw32-gcc"
PACKAGES: Mapping[str, str] = {
    COMPILER: "gcc libc6-dev libxxhash-dev",
    MAKE: "make",
    "curl": "curl",
    "gdb": "gdb",
    "ip": "iproute2",
    "iperf3": "iperf3",
    "iptables": "iptables",
    "nginx": "nginx-light",
    "openssl": "openssl",
    "redis-cli": "redis-tools",
    "redis-server": "redis-server",
    "strace": "strace",
    "tcpdump": "tcpdump",
    "wine": "wine wine64",
    WINDOWS_COMPILER: "gcc-mingw-w64-x86-64-win32",
    "/usr/bin/python3": "python3",
    "/usr/lib/python3/dist-packages/requests": "python3-requests",
}
"""The Debian packages that bring a program, or a path."""
TAP_PROGRAMS = ("ip", "tcpdump")
LINK_PROGRAMS = ("iptables",)
TRACERS = ("gdb", "strace")
XXHASH = "xxhash.h"
_ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())

_SYSTEM_DIRECTORIES = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_SHARED = (
    "/usr",
    *(f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty")),
    *("/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime", "/etc/os-release", "/etc/host.conf"),
    *("/etc/services", "/etc/protocols", "/etc/iproute2", "/etc/mime.types"),
    *("/etc/ssl/certs", "/etc/ssl/openssl.cnf"),
)
"""Seen inside, read-only, where the machine has it. No home, no mount, no secret of /etc."""


@dataclass(frozen=True, slots=True)
class Ours:
    """What an image of ours is on this engine: programs of the machine and files from the toolchain.

    ``programs`` (or paths) must be on the machine; ``made`` maps a path inside to one below the toolchain's directory,
    ``machine`` are further paths of the machine; ``scratch`` are directories that must be writable.
    """

    programs: tuple[str, ...] = ()
    made: Mapping[str, str] = field(default_factory=dict)
    machine: tuple[str, ...] = ()
    scratch: tuple[str, ...] = ()


IMAGES: Mapping[str, Ours] = {
    "host": Ours(),
    "own-program": Ours(made={"/opt/own-program": "own-program"}),
    "curl": Ours(programs=("curl",)),
    "nginx": Ours(
        programs=("nginx",),
        made={"/etc/bothends/nginx.conf": "nginx.conf", "/srv/www": "www"},
        machine=("/etc/nginx",),
        scratch=("/var/lib/nginx", "/var/log/nginx"),
    ),
    "programs": Ours(
        programs=(
            *("iperf3", "openssl", "redis-cli", "redis-server"),
            *("/usr/bin/python3", "/usr/lib/python3/dist-packages/requests"),
        )
    ),
    "winsock": Ours(programs=("wine", WINDOWS_COMPILER), made={"/opt/winsock": "winsock"}),
}


def find(program: str) -> str | None:
    """Return where a lab would find a program, or what has a path, None where it would not."""
    if program.startswith("/"):
        return program if Path(program).exists() else None
    return shutil.which(program, path=INSIDE_PATH)


def missing(programs: Iterable[str]) -> list[str]:
    """Return those of the programs that are not here."""
    return [program for program in programs if find(program) is None]


def can_unpack() -> bool:
    """Say whether what the taps need can be unpacked from Debian packages where it is missing."""
    return all(map(shutil.which, ("apt-get", "dpkg-deb")))


def install_command(missing_programs: Iterable[str]) -> str:
    """Return the one command that installs what is missing on Debian and its like."""
    packages = dict.fromkeys(word for program in missing_programs for word in PACKAGES[program].split())
    return f"apt-get install {' '.join(packages)}"


def lacks(programs: Iterable[str]) -> Unsupported:
    """Return the error for programs that are not here."""
    listed = list(programs)
    return Unsupported(
        f"the namespace engine needs programs that this machine lacks: {', '.join(listed)}",
        hint=f"{install_command(listed)} (packages of Debian and Ubuntu; elsewhere they have similar names)",
    )


def check(hosts: Iterable[LabHost], *, routed: bool = False, debugger: bool = False) -> None:
    """Raise Unsupported unless this machine can be a lab of these hosts.

    ``routed``: with a link host between them; ``debugger``: with gdb and strace.
    """
    if platform.system() != "Linux":
        raise Unsupported(f"the namespace engine needs Linux, this is {platform.system()}", hint="--engine docker")
    described = list(hosts)
    built = [host.image for host in described if host.build is not None]
    if built:
        raise Unsupported(
            f"the namespace engine builds no image, and the scenario has one of its own: `{built[0]}`",
            hint="--engine docker; or `files:` and `packages:`, which need no image",
        )
    wanted = list(dict.fromkeys(host.image for host in described))
    for image in wanted:
        if image not in IMAGES:
            raise Unsupported(
                f"the namespace engine has no images, and the scenario asks for `{image}`",
                state=f"of ours it can be {', '.join(IMAGES)}, made of this machine's programs",
                hint="--engine docker",
            )
    lacking = (
        ([] if can_unpack() else missing(TAP_PROGRAMS))
        + missing(LINK_PROGRAMS if routed else ())
        + missing(TRACERS if debugger else ())
        + missing(program for image in wanted for program in IMAGES[image].programs)
    )
    if lacking:
        raise lacks(lacking)
    packages = [name for name in dict.fromkeys(name for host in described for name in host.packages) if not _has(name)]
    if packages:
        raise Unsupported(
            f"the scenario's programs come from packages that this machine lacks: {', '.join(packages)}",
            hint=f"apt-get install {' '.join(packages)}; with --engine docker they are installed into an image",
        )


def _has(package: str) -> bool:
    """Whether dpkg has installed a package; where there is no dpkg nobody knows, and the programs will tell."""
    lists = Path("/var/lib/dpkg/info")
    return not lists.is_dir() or any((lists / f"{package}{end}.list").exists() for end in ("", f":{_ARCHITECTURE}"))


def visible(root: Path = Path("/")) -> tuple[list[str], dict[str, str]]:
    """Return the machine's paths that a lab sees, and its symbolic links to make: path to target.

    ``/bin`` and its like are links into ``/usr`` on most machines, directories on some.
    """
    binds = [path for path in _SHARED if (root / path[1:]).exists()]
    links = {}
    for path in _SYSTEM_DIRECTORIES:
        here = root / path[1:]
        if here.is_symlink():
            links[path] = str(here.readlink())
        elif here.is_dir():
            binds.append(path)
    return binds, links
