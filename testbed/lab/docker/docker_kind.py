"""The Docker engine, as the commands see it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import docker

from testbed.lab.docker import image_archive, images
from testbed.lab.docker.docker_engine import Containers, DockerEngine, connect
from testbed.lab.engine import Progress
from testbed.lab.engine_kind import Choice, EngineKind, ImageStatus
from testbed.lab.fact import DoctorFinding
from testbed.lab.remains import Remains
from testbed.model import Host


class DockerImages:
    """Our images on one Docker Engine."""

    def __init__(self, client: docker.DockerClient) -> None:
        self._client = client

    def make(self, progress: Progress) -> None:
        """Make all images that are missing, but those on demand, and the volume with the tools."""
        ids = images.ensure(self._client, images.USUAL, progress)
        images.ensure_tools_volume(self._client, ids["tools"], progress)

    def status(self) -> Sequence[ImageStatus]:
        """Return what there is of each image."""
        return images.status(self._client)

    def remove_stale(self, progress: Progress) -> Sequence[str]:
        """Remove those that are out of date."""
        return images.remove_stale(self._client, progress).removed

    def save(self, path: Path) -> None:
        """Write all of them to one tar file."""
        image_archive.save(self._client, [images.reference(name) for name in images.USUAL], path)

    def load(self, path: Path) -> None:
        """Take in the images of a tar file."""
        image_archive.load(self._client, path)


class DockerKind(EngineKind):
    """Labs of containers."""

    name = DockerEngine.name
    title = "Docker"

    def choose(self) -> Choice:
        """Connect to the engine that DOCKER_HOST or the default socket names."""
        client = connect()

        def prepare(progress: Progress) -> None:
            ids = images.ensure(client, ["tools", "tap", "host"], progress)
            images.ensure_tools_volume(client, ids["tools"], progress)

        return Choice(self.name, Containers(client), prepare)

    def examine(self) -> Iterator[DoctorFinding]:
        """Try what a lab needs in a container."""
        from testbed.lab.docker import docker_doctor

        yield from docker_doctor.examine()

    def clean(self, remains: Remains, *, foreign_too: bool) -> None:
        """Remove containers, networks, volumes and instances of tracefs."""
        from testbed.lab.docker.docker_clean import remove_abandoned
        from testbed.lab.docker.docker_trace import on_docker
        from testbed.lab.trace_instances import clean_instances

        client = connect()
        remove_abandoned(client, remains, foreign_too=foreign_too)
        recorder = on_docker(client)
        if recorder is not None:
            clean_instances(recorder, remains, foreign_too=foreign_too)

    def open_shell(
        self,
        run_id: str,
        manifest: Mapping[str, Any],
        host: Host,
        argv: Sequence[str],
        environment: Mapping[str, str],
    ) -> int:
        """Execute the command in the host's container, found by its labels."""
        from testbed.lab.docker.docker_shell import shell

        del manifest
        return shell(connect(), run_id, host, tuple(argv), environment)

    def images(self) -> DockerImages:
        """Return our images on the engine."""
        return DockerImages(connect())


KIND = DockerKind()
