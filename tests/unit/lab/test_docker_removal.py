"""In which order a lab on an engine of containers is removed."""

from __future__ import annotations

from typing import Any

import docker.errors
import pytest

from testbed.lab.docker import engine_facts
from testbed.lab.docker.docker_engine import DockerEngine
from testbed.model.errors import EngineError


class FakeEngine:
    """Notes what it is asked to remove; a network cannot be removed while a host is on it."""

    def __init__(self, *, leaves: bool = True) -> None:
        self.api = self
        self.asked: list[str] = []
        self._leaves = leaves
        self._on = {"client", "server"}

    def wait(self, container: str, *, timeout: int) -> None:
        assert timeout
        self.asked.append(f"wait for {container}")

    def remove_container(self, container: str, *, force: bool, v: bool) -> None:
        assert force
        assert v
        self.asked.append(f"remove {container}")
        self._on.discard(container)

    def disconnect_container_from_network(self, container: str, network: str, *, force: bool) -> None:
        assert force
        self.asked.append(f"leave {container} {network}")
        if not self._leaves:
            raise docker.errors.APIError("container is not connected")
        self._on.discard(container)

    def remove_network(self, network: str) -> None:
        self.asked.append(f"remove {network}")
        if self._on:
            raise docker.errors.APIError("network has active endpoints")


def lab(engine: Any, components: list[dict[str, str]]) -> DockerEngine:  # a lab that is up
    made = DockerEngine(engine, lambda _: None)
    made._facts = engine_facts.read({"Version": "1", "ApiVersion": "1.41", "Components": components})
    made._containers = {name: name for name in ("client", "client-tap", "server", "server-tap")}
    made._networks = ["network"]
    made._joined = [("client", "network"), ("server", "network")]
    return made


def test_hosts_leave_their_network_before_they_are_removed() -> None:
    engine = FakeEngine()
    lab(engine, []).take_down()
    assert sorted(engine.asked) == sorted(
        ["leave client network", "leave server network", "remove network"]
        + [f"remove {name}" for name in ("client", "client-tap", "server", "server-tap")]
    )
    for host in ("client", "server"):
        assert engine.asked.index(f"leave {host} network") < engine.asked.index(f"remove {host}")


def test_a_network_that_hosts_do_not_leave_is_removed_after_them() -> None:
    engine = FakeEngine(leaves=False)
    lab(engine, []).take_down()
    assert engine.asked[-1] == "remove network"
    assert {"remove client", "remove server"} < set(engine.asked)


def test_podman_removes_one_after_the_other() -> None:
    """Once all have ended (it cannot kill one that just does): taps, hosts, the network."""
    engine = FakeEngine()
    lab(engine, [{"Name": "Podman Engine"}]).take_down()
    assert {*engine.asked[:4]} == {f"wait for {name}" for name in ("client", "client-tap", "server", "server-tap")}
    assert {*engine.asked[4:6]} == {"remove client-tap", "remove server-tap"}
    assert {*engine.asked[6:8]} == {"remove client", "remove server"}
    assert engine.asked[8:] == ["remove network"]


def test_what_stays_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine()

    def refuse(network: str) -> None:
        raise docker.errors.APIError(f"{network} stays")

    monkeypatch.setattr(engine, "remove_network", refuse)
    with pytest.raises(EngineError, match="network stays"):
        lab(engine, []).take_down()
