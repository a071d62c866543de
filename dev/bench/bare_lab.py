"""The floor: the least that a lab on the Docker SDK must do, as a script of its own.

The same network, two hosts and two taps in parallel; wait for the taps; execute the client; remove all. No calls, no
captures kept, no join, no summary. Arguments: image ids of host and tap, and the labels of all that is made, as JSON.
"""

from __future__ import annotations

import json
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import docker
import docker.types


def main(host_image: str, tap_image: str, labels_json: str) -> None:
    """Make the lab, run the client in it, remove it."""
    api = docker.from_env(version="auto").api
    labels = json.loads(labels_json)
    suffix = f"{random.randrange(1 << 32):08x}"
    network = f"bothends-floor-{suffix}"
    third, fourth = random.randrange(256), random.randrange(16) * 16
    pool_config = docker.types.IPAMPool(subnet=f"198.19.{third}.{fourth}/28")
    network_id = api.create_network(
        network, ipam=docker.types.IPAMConfig(pool_configs=[pool_config]), internal=True, labels=labels
    )["Id"]
    containers: dict[str, str] = {}

    def create(role: str, image: str, command: list[str], **settings: Any) -> str:  # noqa: ANN401 - the SDK's keywords
        container = api.create_container(
            image,
            command,
            name=f"bothends-floor-{suffix}-{role}",
            labels=labels,
            host_config=api.create_host_config(cap_drop=["ALL"], **settings),
        )["Id"]
        containers[role] = container
        return str(container)

    def start_pair(role: str, command: list[str]) -> None:
        host = create(role, host_image, command, network_mode=network)
        api.start(host)
        tap = create(
            f"{role}-tap",
            tap_image,
            ["tcpdump", "-i", "eth0", "-U", "-Z", "root", "-w", "/dev/null"],
            network_mode=f"container:{host}",
            cap_add=["NET_RAW", "NET_ADMIN"],
        )
        printed = api.attach(tap, stderr=True, stream=True)  # before it starts: no line can be missed
        api.start(tap)
        for line in printed:
            if b"listening on" in line:
                break

    with ThreadPoolExecutor(4) as pool:
        server = ["/opt/own-program/server", "10011"]
        list(pool.map(lambda pair: start_pair(*pair), [("server", server), ("client", ["sleep", "60"])]))
        address = api.inspect_container(containers["server"])["NetworkSettings"]["Networks"][network]["IPAddress"]
        execution = api.exec_create(containers["client"], ["/opt/own-program/client", address, "10011"])["Id"]
        api.exec_start(execution)
        if api.exec_inspect(execution)["ExitCode"] != 0:
            raise SystemExit("the client failed")
        list(pool.map(lambda container: api.remove_container(container, force=True), containers.values()))
    api.remove_network(network_id)


if __name__ == "__main__":
    main(*sys.argv[1:4])
