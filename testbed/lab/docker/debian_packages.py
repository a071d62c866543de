"""How this machine reaches Debian packages: its mirrors, its proxies, and mmdebstrap.

All is asked of apt, so that no mirror is named here and whatever the machine's owner configured is respected.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.model.errors import ImageError

KEPT_LINES = 20
_TARGET_FORMAT = "$(IDENTIFIER)|$(ORIGIN)|$(CODENAME)|$(SITE)|$(RELEASE)|$(COMPONENT)"
_SETTINGS = ("Acquire::http::Proxy", "Acquire::https::Proxy", "Acquire::Check-Date", "Acquire::Check-Valid-Until")
_CLOCK_SETTINGS = ("Acquire::Check-Date", "Acquire::Check-Valid-Until")
_LOOPBACK = re.compile(r"^(localhost|127\.|::1$)")
_MIRROR_LIST = "mirror+file:"


@dataclass(frozen=True, slots=True)
class DebianArchive:
    """One Debian archive that apt is configured for: ``deb <uri> <suite> <component>``."""

    uri: str
    suite: str
    component: str
    codename: str

    def line(self) -> str:
        """Return the line for sources.list, without a user name and password if the address holds some."""
        parts = urllib.parse.urlsplit(self.uri)
        public = parts._replace(netloc=parts.netloc.rpartition("@")[2])
        return f"deb {urllib.parse.urlunsplit(public)} {self.suite} {self.component}"


def sources() -> list[DebianArchive]:
    """Return the Debian archives of this machine's apt, fetching apt's lists first if there are none."""
    found = _sources()
    if not found:
        run(["apt-get", "update"], "fetch the lists of Debian packages")
        found = _sources()
    return found


def _sources() -> list[DebianArchive]:
    listing = run(["apt-get", "indextargets", "--format", _TARGET_FORMAT], "ask apt for its sources")
    return parse_targets(listing)


def parse_targets(listing: str) -> list[DebianArchive]:
    """Read what ``apt-get indextargets`` printed; only package lists of Debian itself count."""
    found = []
    for line in listing.splitlines():
        identifier, origin, codename, site, suite, component = line.split("|")
        if identifier == "Packages" and origin == "Debian":
            found.append(DebianArchive(_first_mirror(site), suite, component, codename))
    return found


def _first_mirror(site: str) -> str:
    """Follow ``mirror+file:/path`` (Debian's cloud images) to the first address in that file."""
    if not site.startswith(_MIRROR_LIST):
        return site
    for line in Path(site.removeprefix(_MIRROR_LIST)).read_text().splitlines():
        words = line.split()
        if words and not words[0].startswith("#"):
            return words[0].rstrip("/")
    raise ImageError(f"apt's list of mirrors is empty: {site.removeprefix(_MIRROR_LIST)}")


def main_archive(found: Sequence[DebianArchive]) -> DebianArchive:
    """Choose the archive that holds the base system of this machine's own release."""
    release = _os_release().get("VERSION_CODENAME", "")
    for source in found:
        if source.codename == release and source.component == "main":
            return source
    raise ImageError(
        f"apt has no archive of Debian {release or '(release unknown)'}",
        state="; ".join(source.line() for source in found) or "apt knows no Debian archive",
        hint="add Debian's own archive to /etc/apt/sources.list, then `apt-get update`",
    )


def is_debian() -> bool:
    """Say whether this machine is Debian itself and has apt."""
    return _os_release().get("ID") == "debian" and all(map(shutil.which, ("apt-get", "apt-config", "dpkg-deb")))


def _os_release() -> dict[str, str]:
    """Read os-release(5), whose syntax is the shell's."""
    path = Path("/etc/os-release")
    if not path.exists():
        return {}
    pairs = (word.partition("=") for word in shlex.split(path.read_text(), comments=True))
    return {name: value for name, _, value in pairs}


def settings() -> dict[str, str]:
    """Return those of apt's settings that decide whether packages can be fetched; empty where there is no apt."""
    if shutil.which("apt-config") is None:
        return {}
    dump = run(["apt-config", "dump", "--no-empty", "--format", "%f %v%n", *_SETTINGS], "read apt's settings")
    return {name: value for name, _, value in (line.partition(" ") for line in dump.splitlines()) if value}


def clock_settings() -> str:
    """Return apt.conf lines for a machine whose clock or mirror is off and whose apt is told not to mind."""
    return "".join(f'{name} "{value}";\n' for name, value in settings().items() if name in _CLOCK_SETTINGS)


def proxies() -> dict[str, str]:
    """Return proxies as environment variables: this process's own, then apt's, which are about packages.

    A proxy on this machine's loopback is left out: nothing in a container could reach it.
    """
    chosen = {}
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        value = os.environ.get(name) or os.environ.get(name.upper())
        if value:
            chosen[name] = value
    configured = settings()
    for scheme in ("http", "https"):
        value = configured.get(f"Acquire::{scheme}::Proxy", "")
        if value and value.upper() != "DIRECT":
            chosen[f"{scheme}_proxy"] = value
    return {name: value for name, value in chosen.items() if name == "no_proxy" or not _is_loopback(value)}


def _is_loopback(proxy: str) -> bool:
    return bool(_LOOPBACK.match(urllib.parse.urlsplit(proxy).hostname or ""))


def mmdebstrap(directory: Path) -> Path:
    """Return mmdebstrap's path, unpacking its package into ``directory`` if it is not installed."""
    installed = shutil.which("mmdebstrap")
    if installed:
        return Path(installed)
    download = ["apt-get", "download", "-o", "APT::Sandbox::User=root", "mmdebstrap"]
    try:
        run(download, "download mmdebstrap", directory)
    except ImageError:
        run(["apt-get", "update"], "fetch the lists of Debian packages")  # lists of old name files that are gone
        run(download, "download mmdebstrap", directory)
    unpacked = directory / "unpacked"
    for package in directory.glob("mmdebstrap_*.deb"):
        run(["dpkg-deb", "-x", str(package), str(unpacked)], "unpack mmdebstrap")
    return unpacked / "usr/bin/mmdebstrap"


def run(command: Sequence[str], purpose: str, directory: Path | None = None) -> str:
    """Run a program and return its standard output; ImageError with its last lines if it fails."""
    try:
        done = subprocess.run(
            command,
            check=False,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env={**os.environ, "LC_ALL": "C"},
        )
    except OSError as error:
        raise ImageError(f"cannot {purpose}: {error}") from error
    if done.returncode != 0:
        raise ImageError(
            f"cannot {purpose}: `{shlex.join(command)}` ended with {done.returncode}",
            last_output="\n".join((done.stdout + done.stderr).splitlines()[-KEPT_LINES:]),
        )
    return done.stdout
