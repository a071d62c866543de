"""Remove what runs have left on a Docker Engine: only what carries our label, and only where its runner is gone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import docker
import docker.errors

from testbed.lab.docker.docker_errors import translate
from testbed.lab.identity import OWNER_LABEL, ROLE_LABEL, RUN_LABEL, is_alive
from testbed.lab.remains import Remains
from testbed.model.errors import EngineError


def remove_abandoned(client: docker.DockerClient, remains: Remains, *, foreign_too: bool = False) -> None:
    """Remove containers, networks and volumes of runs whose runner is gone. EngineError if they cannot be listed."""
    api: docker.APIClient = client.api
    only_ours = {"label": RUN_LABEL}
    with translate("list what runs have left"):
        containers = api.containers(all=True, filters=only_ours)
        networks = api.networks(filters=only_ours)
        volumes = api.volumes(filters=only_ours)["Volumes"] or []
    # A tap first: Podman removes no container in whose network namespace another one is.
    for container in sorted(containers, key=lambda c: not str(c["Labels"].get(ROLE_LABEL, "")).endswith("-tap")):
        if _is_abandoned(container["Labels"], remains, foreign_too=foreign_too):
            name = f"container {container['Names'][0].lstrip('/')}"
            _remove(remains, name, lambda c=container: api.remove_container(c["Id"], force=True, v=True))
    for network in networks:
        if _is_abandoned(network["Labels"], remains, foreign_too=foreign_too):
            _remove(remains, f"network {network['Name']}", lambda n=network: api.remove_network(n["Id"]))
    for volume in volumes:
        if _is_abandoned(volume["Labels"], remains, foreign_too=foreign_too):
            _remove(remains, f"volume {volume['Name']}", lambda v=volume: api.remove_volume(v["Name"]))


def _is_abandoned(labels: Mapping[str, str], remains: Remains, *, foreign_too: bool) -> bool:
    alive = is_alive(labels.get(OWNER_LABEL, ""))
    run = labels[RUN_LABEL]
    if alive:
        remains.alive.add(run)
        return False
    if alive is None and not foreign_too:
        remains.foreign.add(run)
        return False
    return True


def _remove(remains: Remains, name: str, remove: Any) -> None:  # noqa: ANN401 - the SDK's calls return all sorts
    try:
        with translate(f"remove {name}"):
            try:
                remove()
            except docker.errors.NotFound:
                return  # it went by itself meanwhile
    except EngineError as error:
        remains.failed.append(error.what)
    else:
        remains.removed.append(name)
