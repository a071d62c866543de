"""compose.yaml makes the same lab by hand as the engine does for a run: images, network, privileges."""

from __future__ import annotations

import ipaddress
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import docker
import pytest

from testbed.lab.addresses import RANGE4, random_subnet
from testbed.lab.docker import images
from testbed.lab.docker.docker_engine import DockerEngine
from testbed.lab.engine import TOOLS_DIRECTORY, LabHost, LabSpec
from testbed.lab.identity import new_run_id
from testbed.model import HOSTS

pytestmark = pytest.mark.lab

ROLES = ("client", "server", "client-tap", "server-tap")
SAME = ("CapAdd", "CapDrop", "PidsLimit", "Privileged", "ReadonlyRootfs", "SecurityOpt", "Dns", "Tmpfs")


def _compose_command() -> list[str]:
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    if (
        shutil.which("docker")
        and subprocess.run(["docker", "compose", "version"], check=False, capture_output=True).returncode == 0
    ):
        return ["docker", "compose"]
    assert not os.environ.get("CI"), "CI has docker-compose"
    pytest.skip("neither docker-compose nor `docker compose` is installed")


@pytest.fixture(scope="module")
def client() -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture(scope="module")
def by_hand(client: docker.DockerClient) -> Iterator[dict[str, Any]]:
    """The lab of compose.yaml from the same images: each role's container and ``network``, as inspected."""
    command = _compose_command()
    ids = images.ensure(client, ["tools", "host", "tap"], print)
    project = f"bothends-test-{secrets.token_hex(4)}"
    environment = {
        **os.environ,
        "BOTHENDS_BASE": images.reference("base"),
        **{f"BOTHENDS_{name.upper()}": images.reference(name) for name in ids},
        "BOTHENDS_SUBNET": random_subnet(secrets.SystemRandom(), HOSTS).network4,
    }

    def compose(*arguments: str) -> str:
        done = subprocess.run(
            [*command, "-f", str(images.FOLDERS / "compose.yaml"), "-p", project, *arguments],
            check=False,
            capture_output=True,
            text=True,
            env=environment,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    try:
        compose("up", "-d", "--no-build")
        yield {
            **{role: client.api.inspect_container(compose("ps", "-q", role).strip()) for role in ROLES},
            "network": client.api.inspect_network(f"{project}_link"),
        }
    finally:
        compose("down", "-v")


@pytest.fixture(scope="module")
def by_engine(client: docker.DockerClient) -> Iterator[dict[str, Any]]:
    """The lab that a run gets, inspected in the same way."""
    host = LabHost("host", {}, congestion_control="cubic")
    spec = LabSpec(new_run_id(), {"client": host, "server": host}, ip=(4,))
    with DockerEngine(client, print) as engine:
        containers = engine.bring_up(spec).manifest["containers"]
        yield {
            **{role: client.api.inspect_container(containers[role]) for role in ROLES},
            "network": client.api.inspect_network(f"bothends-{spec.run_id}"),
        }


@pytest.mark.parametrize("role", ROLES)
def test_both_run_the_same_images_with_the_same_privileges(
    role: str, by_hand: dict[str, Any], by_engine: dict[str, Any]
) -> None:
    one, other = by_hand[role], by_engine[role]
    assert one["State"]["Running"], one["State"]
    assert one["Image"] == other["Image"]
    assert _settings(one) == _settings(other)


def _settings(container: dict[str, Any]) -> dict[str, Any]:
    """Pick what decides over privileges; the engine writes "none" in several ways."""
    picked = {name: container["HostConfig"].get(name) or None for name in SAME}
    for name in ("CapAdd", "CapDrop"):
        picked[name] = sorted(picked[name] or ())
    (tools,) = (mount for mount in container["Mounts"] if mount["Destination"] == TOOLS_DIRECTORY)
    return {**picked, "tools": (tools["Type"], tools["RW"])}


@pytest.mark.parametrize("lab", ["by_hand", "by_engine"])
def test_each_tap_is_in_its_hosts_network_namespace(lab: str, request: pytest.FixtureRequest) -> None:
    containers = request.getfixturevalue(lab)
    for host in ("client", "server"):
        mode = containers[f"{host}-tap"]["HostConfig"]["NetworkMode"]
        assert mode == f"container:{containers[host]['Id']}"


def test_both_networks_are_alike_and_have_no_way_out(by_hand: dict[str, Any], by_engine: dict[str, Any]) -> None:
    one, other = by_hand["network"], by_engine["network"]
    for name in ("Driver", "Internal", "EnableIPv6", "Options"):
        assert one[name] == other[name], name
    assert one["Internal"]
    for network in (one, other):
        assert ipaddress.IPv4Network(network["IPAM"]["Config"][0]["Subnet"]).subnet_of(ipaddress.IPv4Network(RANGE4))


def test_a_tap_by_hand_captures(client: docker.DockerClient, by_hand: dict[str, Any]) -> None:
    """A datagram sent by hand from the client is in the server's capture; sent again while tcpdump is starting."""
    word = secrets.token_hex(16)
    host = client.containers.get(by_hand["client"]["Id"])
    tap = client.containers.get(by_hand["server-tap"]["Id"])

    def captured() -> bool:
        send = host.exec_run(["sh", "-c", f"echo {word} | nc -u -w 1 server 9"])
        assert send.exit_code == 0, send.output
        return bool(tap.exec_run(["grep", "-q", word, "/captures/server.pcap"]).exit_code == 0)

    assert any(captured() for _ in range(10)), tap.logs()
