"""Our images from one engine to another."""

from __future__ import annotations

from collections.abc import Sequence

import docker

from testbed.lab.docker import image_archive, images
from testbed.lab.docker.image_build import find
from testbed.model.errors import EngineError


def give(source: docker.DockerClient, target: docker.DockerClient, names: Sequence[str] = images.USUAL) -> None:
    """Give the target those of our images that it lacks; they keep their tags."""
    images.ensure(source, names, print)
    lacking = [tag for tag in map(images.reference, names) if find(target, tag) is None]
    refused = image_archive.take(target, image_archive.stream(source, lacking)) if lacking else ""
    if refused:
        raise EngineError(f"the engine takes none of our images: {refused}")
