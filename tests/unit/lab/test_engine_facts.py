"""What is read of an engine's answer, and what labs do otherwise by it."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.lab.docker.engine_facts import EngineFacts, read


def answer(component: str, version: str, api: str) -> EngineFacts:
    components: list[dict[str, Any]] = [{"Name": component, "Version": version}, {"Name": "runc", "Version": "1"}]
    return read(
        {"Version": version, "ApiVersion": api, "KernelVersion": "6.1", "Arch": "amd64", "Components": components}
    )


@pytest.mark.parametrize(
    ("component", "version", "api", "options", "internal"),
    [
        ("Engine", "20.10.24", "1.41", [], False),
        ("Engine", "27.5.1", "1.47", [], False),
        ("Engine", "28.0.0", "1.48", ["nat-unprotected"] * 2, False),
        ("Engine", "29.1.0", "1.52", ["nat-unprotected"] * 2, False),
        ("Podman Engine", "4.3.1", "1.41", [], True),
        ("Podman Engine", "9.9.9", "1.99", [], True),
    ],
)
def test_networks_by_engine(component: str, version: str, api: str, options: list[str], *, internal: bool) -> None:
    """Only a Docker that knows the gateway mode is given it; Podman's internal networks are those without rules."""
    facts = answer(component, version, api)
    assert list(facts.routed_options.values()) == options
    assert facts.routed_internal is internal
    assert facts.words == f"{'Podman' if internal else 'Docker'} {version}"
    assert bool(facts.differences) is bool(options or internal)


@pytest.mark.parametrize(
    ("component", "api", "ports", "refused"),
    [
        ("Engine", "1.48", "40001 40004", True),
        ("Engine", "1.48", "32768 60999", False),
        ("Engine", "1.48", "", False),
        ("Engine", "1.48", "40001 40064", True),
        ("Engine", "1.48", "40001 40065", False),
        ("Engine", "1.48", "40001", False),
        ("Engine", "1.45", "40001 40004", False),
        ("Podman Engine", "1.48", "40001 40004", False),
    ],
)
def test_few_local_ports_where_the_engine_takes_some(component: str, api: str, ports: str, *, refused: bool) -> None:
    """Docker 28 sets a host's sysctls before its name server binds to ports of the range (seen in /proc/net/tcp)."""
    sysctls = {"net.ipv4.ip_local_port_range": ports} if ports else {}
    assert bool(answer(component, "28.5.2", api).refuses(sysctls)) is refused


def test_an_engine_that_names_no_components_is_docker() -> None:
    facts = read({"Version": "20.10.0", "ApiVersion": "1.41"})
    assert (facts.podman, facts.kernel) == (False, "")
