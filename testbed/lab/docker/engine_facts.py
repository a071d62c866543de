"""Which engine answers a Docker API, and in what it differs: all that depends on its kind or version is here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import docker

from testbed.lab.docker.docker_errors import translate

_PODMAN = "Podman Engine"
_GATEWAY_MODE = "com.docker.network.bridge.gateway_mode_ipv"
_DOCKER_28 = (1, 48)
"""The API of Docker 28.0. It drops what comes to a bridge from another one unless the network says otherwise, and
sets a host's sysctls before its own name server takes its ports there."""
_PORT_RANGE = "net.ipv4.ip_local_port_range"
_RANGE = re.compile(r"\s*(\d+)\s+(\d+)\s*")
_FEW_PORTS = 64


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """``name`` is Docker or Podman, ``api`` the version of the Docker API that it offers."""

    name: str
    version: str
    api: str
    kernel: str
    architecture: str

    @property
    def podman(self) -> bool:
        """Whether it is Podman, which fills a volume when a container starts and makes no tracefs for one container.

        It removes no container in whose network namespace another one is.
        """
        return self.name == "Podman"

    @property
    def words(self) -> str:
        """Its name and version."""
        return f"{self.name} {self.version}"

    @property
    def api_numbers(self) -> tuple[int, ...]:
        """The API's version, to compare."""
        return tuple(int(part) for part in self.api.split("."))

    @property
    def routed_options(self) -> dict[str, str]:
        """What a network must say so that a link host may forward from it to another."""
        if self.podman or self.api_numbers < _DOCKER_28:
            return {}
        return {f"{_GATEWAY_MODE}{ip}": "nat-unprotected" for ip in (4, 6)}

    @property
    def routed_internal(self) -> bool:
        """Whether the networks that a link host joins are internal ones.

        Docker's rules for those drop what the link host forwards (br_netfilter); Podman has rules for all others, and
        they masquerade.
        """
        return self.podman

    def refuses(self, sysctls: Mapping[str, str]) -> str:
        """Return why a host with these sysctls is not on this engine what they say; empty if it is."""
        ports = _RANGE.fullmatch(sysctls.get(_PORT_RANGE, ""))
        if self.podman or self.api_numbers < _DOCKER_28 or ports is None:  # what is no range, the kernel refuses
            return ""
        count = int(ports[2]) - int(ports[1]) + 1
        if count > _FEW_PORTS:
            return ""
        return (
            f"{self.words} lets its name server take a port of {_PORT_RANGE} in each host: "
            f"of {count} ports one is not free"
        )

    @property
    def differences(self) -> tuple[str, ...]:
        """What labs do otherwise on this engine, in words."""
        if self.podman:
            return ("networks of a link are internal, volumes are filled by a start, taps are removed before hosts",)
        return ("networks of a link have the gateway mode nat-unprotected",) if self.routed_options else ()

    def manifest(self) -> dict[str, str]:
        """Return the facts for a run's manifest."""
        return {
            "product": self.name,
            "version": self.version,
            "api": self.api,
            "kernel": self.kernel,
            "architecture": self.architecture,
        }


def ask(api: docker.APIClient) -> EngineFacts:
    """Ask the engine who it is; EngineError if it does not answer."""
    with translate("ask the engine for its version"):
        return read(api.version())


def read(version: Mapping[str, Any]) -> EngineFacts:
    """Read the answer to GET /version."""
    components = [str(component.get("Name", "")) for component in version.get("Components") or []]
    return EngineFacts(
        name="Podman" if _PODMAN in components else "Docker",
        version=str(version["Version"]),
        api=str(version["ApiVersion"]),
        kernel=str(version.get("KernelVersion", "")),
        architecture=str(version.get("Arch", "")),
    )
