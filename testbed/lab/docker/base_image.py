"""The image that all of ours are made from: found here, else pulled, else made from Debian packages.

However it came to be it is tagged :data:`TAG`, so that what is built on it has the same tags everywhere.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from pathlib import Path
from typing import IO

import docker

from testbed.lab.docker import debian_packages
from testbed.lab.docker.docker_errors import translate
from testbed.lab.docker.image_build import Progress, find, pull
from testbed.model.errors import ImageError

REPOSITORY = "bothends/base"
VERSION = "1"
"""Counted up when what the base image must hold changes."""
TAG = f"{REPOSITORY}:{VERSION}"
WANTED = "debian:bookworm-slim"
AS_GOOD = (WANTED, "debian:bookworm")
PULL_PATIENCE = 20.0
LABEL = "LABEL bothends.image=base"

_TLS_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
_NOT_NEEDED = ("./usr/share/doc/*", "./usr/share/man/*", "./usr/share/locale/*", "./usr/share/info/*")
_NOT_OURS = ("./dev/*", "./etc/hostname", "./etc/resolv.conf", "./var/lib/apt/lists/*", "./var/cache/*", "./var/log/*")
_SHOWN_PHASES = ("downloading packages", "extracting archives", "installing ")
_GO_ARCHITECTURES = {"armhf": "arm", "i386": "386", "ppc64el": "ppc64le", "mips64el": "mips64le"}


def provide(client: docker.DockerClient, progress: Progress) -> None:
    """Make :data:`TAG` exist, saying how and why; ImageError if it can be neither found, pulled nor made."""
    for reference in AS_GOOD:
        if find(client, reference) is not None:
            progress(f"base: {reference} is here already")
            _tag(client, reference)
            return
    progress(f"base: no local image; pulling {WANTED}")
    try:
        pull(client, WANTED, progress, patience=PULL_PATIENCE)
    except ImageError as error:
        refusal = error.what
    else:
        _tag(client, WANTED)
        return
    progress(f"base: no local image; {refusal}; making it from Debian packages (about 20 s)")
    _check_that_it_can_be_made(client, refusal)
    with tempfile.TemporaryDirectory(prefix="bothends-base-", dir=_roomy()) as directory:
        root = bootstrap(Path(directory), progress)
        progress("base: handing it to the engine")
        _import(client, root)


def _tag(client: docker.DockerClient, reference: str) -> None:
    with translate(f"tag image {reference}"):
        client.api.tag(reference, REPOSITORY, VERSION)


def _roomy() -> str | None:
    """Prefer a directory on disk: /tmp is memory on some machines, and the unpacked system has about 300 MB."""
    return "/var/tmp" if os.access("/var/tmp", os.W_OK) else None  # noqa: S108 - TemporaryDirectory makes it safe


def _check_that_it_can_be_made(client: docker.DockerClient, refusal: str) -> None:
    elsewhere = (
        f"on a machine that reaches a registry: `docker pull {WANTED}` and `docker save {WANTED} -o base.tar`; "
        "then here: `docker load -i base.tar`"
    )
    if not debian_packages.is_debian():
        raise ImageError(
            "there is no base image, and only a Debian machine can make one from packages",
            state=refusal,
            hint=elsewhere,
        )
    if os.geteuid() != 0:
        raise ImageError(
            "there is no base image, and only root can make one from Debian packages",
            state=refusal,
            hint=f"run `sudo {sys.executable} -m testbed.tasks.command images` once; or {elsewhere}",
        )
    own = debian_packages.run(["dpkg", "--print-architecture"], "ask for this machine's architecture").strip()
    with translate("ask the engine for its architecture"):
        engine = str(client.api.version()["Arch"])
    if _GO_ARCHITECTURES.get(own, own) != engine:
        raise ImageError(
            f"there is no base image, and one made here would be for {own}, but the engine's machine is {engine}",
            state=refusal,
            hint=elsewhere,
        )


def bootstrap(directory: Path, progress: Progress) -> Path:
    """Install a minimal Debian of this machine's release into a directory and return it."""
    found = debian_packages.sources()
    archive = debian_packages.main_archive(found)
    root = directory / "root"
    # Things are mounted in there meanwhile. In namespaces of its own, nothing of it outlives the command.
    own_namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    settings = [f"--aptopt={line}" for line in debian_packages.clock_settings().splitlines()]
    # Nothing in there need survive a power cut: dpkg writes to the disk when it likes, in later builds too.
    how = ["--mode=root", "--format=directory", "--variant=minbase", "--dpkgopt=force-unsafe-io", *settings]
    program = debian_packages.mmdebstrap(directory)
    merged = [f"--hook-dir={program.parents[1]}/share/mmdebstrap/hooks/merged-usr", "--include=usr-is-merged"]
    command = [str(program), *how, *merged, archive.codename, str(root), archive.uri]
    with subprocess.Popen(
        [*own_namespaces, *command],
        env={**os.environ, **debian_packages.proxies(), "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as running:
        assert running.stdout is not None  # noqa: S101 - asked for above
        try:
            last_lines = _report_phases(running.stdout, progress)
        except BaseException:
            running.kill()
            running.stdout.read()  # ends when the last process in there is gone, so that the directory can be removed
            raise
    if running.returncode != 0:
        output = "\n".join(last_lines)
        raise ImageError(
            f"the base image cannot be made: mmdebstrap ended with {running.returncode}",
            state=f"Debian {archive.codename} from {archive.uri}",
            last_output=output,
            hint="free disk space in /var/tmp" if "No space left" in output else "see the output above",
        )
    _configure(root, found)
    return root


def _report_phases(output: IO[str], progress: Progress) -> deque[str]:
    """Show each kind of work ("I: extracting archives...") and keep the last lines."""
    last_lines: deque[str] = deque(maxlen=20)
    for line in output:
        last_lines.append(line.rstrip())
        kind = last_lines[-1].removeprefix("I: ").removesuffix("...")
        if kind.startswith(_SHOWN_PHASES):
            progress(f"base: {kind}")
    return last_lines


def _configure(root: Path, found: list[debian_packages.DebianArchive]) -> None:
    """Let apt-get work in builds on this image as it does on this machine, and leave manuals out of them."""
    lines = dict.fromkeys(source.line() for source in found)
    (root / "etc/apt/sources.list").write_text("".join(f"{line}\n" for line in lines))
    languages = 'Acquire::Languages "none";\n'
    (root / "etc/apt/apt.conf.d/90bothends").write_text(languages + debian_packages.clock_settings())
    (root / "etc/dpkg/dpkg.cfg.d/90bothends").write_text(
        "".join(f"path-exclude={pattern.removeprefix('.')}\n" for pattern in _NOT_NEEDED)
    )
    if any(source.uri.startswith("https:") for source in found) and _TLS_AUTHORITIES.exists():
        authorities = root / _TLS_AUTHORITIES.relative_to("/")
        authorities.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_TLS_AUTHORITIES, authorities)


def _import(client: docker.DockerClient, root: Path) -> None:
    """Stream the directory to the engine as a tar file; it gets its tag only when all of it went well."""
    excluded = [f"--exclude={pattern}" for pattern in (*_NOT_NEEDED, *_NOT_OURS)]
    command = ["tar", "--create", "--numeric-owner", "--one-file-system", *excluded, "--directory", str(root), "."]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as packing:
        packed, complaints = packing.stdout, packing.stderr
        assert packed is not None  # noqa: S101 - asked for above
        assert complaints is not None  # noqa: S101 - asked for above
        with translate("hand the base image to the engine"):
            answer = client.api.import_image_from_stream(
                iter(lambda: packed.read(1 << 20), b""), changes=['CMD ["/bin/sh"]', LABEL]
            )
        last_output = complaints.read().decode(errors="replace")
    if packing.returncode != 0:
        raise ImageError(
            f"the base image cannot be packed: tar ended with {packing.returncode}", last_output=last_output
        )
    _tag(client, _imported_id(answer))


def _imported_id(answer: str) -> str:
    """Read the image id out of the engine's answer, lines of JSON of which the last says what was made."""
    last: dict[str, str] = json.loads(answer.strip().splitlines()[-1])
    if "status" not in last:
        raise ImageError(f"the engine did not take the base image: {last.get('error', answer)}")
    return last["status"]
