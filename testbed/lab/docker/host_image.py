"""The image of one host: ours or anybody's as it is, or one made of it with what the scenario adds.

What is added (Debian packages, the user's own files) becomes layers of an image of the host's own, and a folder of the
user's is built as docker(1) builds it. Such an image is made once, is found again by a hash of all that it is made of,
and is removed by `invoke clean --images`. So nothing of the caller's machine is mounted, an engine may be far away, and
the root file system can be read-only.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import docker

from testbed.lab.docker import images
from testbed.lab.docker.image_build import Progress, build, find
from testbed.lab.engine import LabHost
from testbed.model.errors import ImageError
from testbed.model.host_files import BuildContext, HostFile

NAME = "own"
"""In the label and the tag of all these images."""
_DIGITS = 12
_ROOT = "root"
"""The folder of the context that is copied over the host's root."""
_BASE = re.compile(rb"^\s*ARG\s+BASE\b", re.MULTILINE | re.IGNORECASE)


def provide(client: docker.DockerClient, host: LabHost, image: str, progress: Progress) -> str:
    """Return the id of a host's image, making what is missing. Raises ImageError.

    ``image`` is the id of the image that it names, where it names one.
    """
    if host.build is not None:
        image = _built(client, host.image, host.build, progress)
    if host.packages:
        image = _with_packages(client, image, host.packages, progress)
    if host.files:
        image = _with_files(client, image, host, progress)
    return image


def user_settings(spec: LabHost) -> dict[str, Any]:
    """Return whose the programs of a host are, as keywords of the SDK's ``create_container``.

    In an image of ours they are nobody's, as on the namespace engine: a daemon that root starts would want to change
    its user, for which nobody here has the right. Any other image says itself whose they are.
    """
    ours = spec.build is None and images.is_ours(spec.image)
    usual = images.DEFINITIONS[spec.image].user if ours else ""
    home = {"HOME": "/tmp"}  # noqa: S108 - in the container
    return {"user": spec.user or usual or None, "environment": home if usual else None}


def _with_packages(client: docker.DockerClient, image: str, packages: tuple[str, ...], progress: Progress) -> str:
    text = (
        f"FROM {image}\nUSER root\n"
        "RUN export DEBIAN_FRONTEND=noninteractive && apt-get update \\\n"
        f" && apt-get install -y --no-install-recommends {' '.join(sorted(packages))} \\\n"
        " && apt-get clean && rm -rf /var/lib/apt/lists/*\n"
    )
    said = f"installing {', '.join(packages)} (once)"
    return _made(client, {"Dockerfile": HostFile("Dockerfile", text.encode())}, "Dockerfile", {}, said, progress)


def _with_files(client: docker.DockerClient, image: str, host: LabHost, progress: Progress) -> str:
    context = {f"{_ROOT}{file.path}": file for file in host.files}
    described = find(client, image) or {}
    owner = user_settings(host)["user"] or (described.get("Config") or {}).get("User") or "0"
    context["Dockerfile"] = HostFile("Dockerfile", f"FROM {image}\nCOPY --chown={owner} {_ROOT}/ /\n".encode())
    return _made(client, context, "Dockerfile", {}, f"copying {len(host.files)} files", progress)


def _built(client: docker.DockerClient, name: str, wanted: BuildContext, progress: Progress) -> str:
    context = {file.path: file for file in wanted.files}
    arguments = {}
    if _BASE.search(context[wanted.dockerfile].content):
        base = images.ensure(client, ["host"], progress)["host"]
        arguments["BASE"] = base
    return _made(client, context, wanted.dockerfile, arguments, f"building {name} (once)", progress)


def _made(
    client: docker.DockerClient,
    context: Mapping[str, HostFile],
    dockerfile: str,
    arguments: Mapping[str, str],
    said: str,
    progress: Progress,
) -> str:
    """Return the id of the image that a context makes, making it if it is not there."""
    digest = hashlib.sha256(repr((dockerfile, sorted(arguments.items()))).encode())
    for path, file in sorted(context.items()):
        digest.update(f"\0{path}\0{file.mode:o}\0{len(file.content)}\0".encode())
        digest.update(file.content)
    tag = f"bothends/{NAME}:{digest.hexdigest()[:_DIGITS]}"
    found = find(client, tag)
    if found is None:
        progress(f"image of a host: {said}")
        build(
            client,
            said,
            files={path: file.content for path, file in context.items()},
            modes={path: file.mode | 0o200 for path, file in context.items()},
            dockerfile=dockerfile,
            arguments=arguments,
            labels={images.IMAGE_LABEL: NAME},
            tag=tag,
            progress=progress,
            hint="look at its Dockerfile, the packages and the output above",
        )
        found = find(client, tag)
    if found is None:
        raise ImageError(f"image {tag} was made and is gone again", hint="something else removes images; try again")
    return str(found["Id"])
