"""The volumes that hold tools, mounted read-only into every host and tap, whatever its image.

One has agent, actor and probe, another (only where it is needed) gdb and strace.

Docker fills an empty volume from the image when a container is *created*. If the engine dies in the middle a half
filled volume stays, and Docker would never complete it. So a volume is filled under a random name, and only a filled
one is published: by a second, empty volume with the well-known name, whose label names the first. A volume's labels
are set when it is made, once, so of two processes that publish at the same time one wins and the other sees it.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

import docker
import docker.errors
import docker.types

from testbed.lab.docker import engine_facts
from testbed.lab.docker.docker_errors import translate
from testbed.lab.docker.image_build import Progress
from testbed.lab.identity import OWNER_LABEL, RUN_LABEL, owner

TOOLS_LABEL = "bothends.tools"
FILLED_LABEL = "bothends.tools.filled"
TOOLS_DIRECTORY = "/opt/bothends"
FILL_TIMEOUT = 60
"""Seconds that an engine may take to start a container and copy the tools."""

Volumes = Mapping[str, Mapping[str, str]]


def ensure_tools_volume(
    client: docker.DockerClient, tools_image_id: str, progress: Progress, *, directory: str = TOOLS_DIRECTORY
) -> str:
    """Return the name of a volume with the tools of this image, filling one if there is none. EngineError if it fails.

    ``directory`` is where the image has them. When it is there this costs one question to the engine.
    """
    version = _version(tools_image_id)
    pointer = f"bothends-tools-{version}"
    volumes = _volumes(client, f"{TOOLS_LABEL}={version}")
    filled = volumes.get(pointer, {}).get(FILLED_LABEL)
    if filled in volumes:
        return str(filled)
    progress("tools: filling the volume that brings them into every host")
    if pointer in volumes:  # somebody removed the volume that it names
        _remove(client, pointer)
    ours = _fill(client, tools_image_id, version, directory)
    with translate("publish the volume with the tools"):
        published = client.api.create_volume(pointer, labels={TOOLS_LABEL: version, FILLED_LABEL: ours})
    winner = str(published["Labels"][FILLED_LABEL])
    if winner != ours:
        _remove(client, ours)
    return winner


def _version(tools_image_id: str) -> str:
    return tools_image_id.removeprefix("sha256:")[:12]


def _fill(client: docker.DockerClient, tools_image_id: str, version: str, directory: str) -> str:
    """Create and remove a container, which makes Docker copy the image's directory into the volume.

    Podman copies it when the container starts.
    """
    name = f"bothends-tools-{version}-{secrets.token_hex(4)}"
    mount = docker.types.Mount(directory, name, type="volume")
    with translate("fill the volume with the tools"):
        client.api.create_volume(name, labels={TOOLS_LABEL: version})
        container = client.api.create_container(
            tools_image_id,
            ["true"],
            # Without a network: on Podman's usual one a start leaves rules that drop what conntrack calls invalid.
            host_config=client.api.create_host_config(mounts=[mount], network_mode="none"),
            # With these `invoke clean` finds it, should we be killed before the next line.
            labels={RUN_LABEL: "tools", OWNER_LABEL: owner()},
        )
        if engine_facts.ask(client.api).podman:
            client.api.start(container["Id"])
            client.api.wait(container["Id"], timeout=FILL_TIMEOUT)
        client.api.remove_container(container["Id"], force=True)
    return name


def _volumes(client: docker.DockerClient, label: str) -> dict[str, Mapping[str, str]]:
    with translate("look for the volume with the tools"):
        listed = client.api.volumes(filters={"label": label})["Volumes"] or []
    return {volume["Name"]: volume["Labels"] or {} for volume in listed}


@dataclass(frozen=True, slots=True)
class Removal:
    """Names of volumes removed, and of volumes kept because a container uses them."""

    removed: tuple[str, ...]
    kept: tuple[str, ...]


def remove_stale(client: docker.DockerClient, *image_ids: str) -> Removal:
    """Remove all volumes with tools but the published ones of these images."""
    volumes = _volumes(client, TOOLS_LABEL)
    current = {f"bothends-tools-{_version(image)}" for image in image_ids}
    needed = current | {volumes.get(name, {}).get(FILLED_LABEL) for name in current}
    stale = [name for name in volumes if name not in needed]
    done = {name: _remove(client, name) for name in stale}
    return Removal(tuple(name for name in stale if done[name]), tuple(name for name in stale if not done[name]))


def _remove(client: docker.DockerClient, name: str) -> bool:
    """Remove a volume; False if a container uses it. One that is gone already is fine."""
    with translate(f"remove volume {name}"):
        try:
            client.api.remove_volume(name)
        except docker.errors.NotFound:
            return True
        except docker.errors.APIError as error:
            if error.status_code != 409:
                raise
            return False
    return True
