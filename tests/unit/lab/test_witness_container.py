"""The container that records the kernel's trace: made before it is told what, removed when nobody wants it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import docker.errors
import pytest

from testbed.lab.docker import engine_facts, witness_container
from testbed.lab.docker.witness_container import Early, WitnessContainer, number_of_kernel
from testbed.model.errors import EngineError

DOCKER = {"Version": "20.10", "ApiVersion": "1.41"}


class FakeEngine:
    """An API client of an engine that has one container, whose standard input is ``told``."""

    def __init__(self) -> None:
        self.api = self
        self.images = SimpleNamespace(get=self._image)
        self.asked: list[str] = []
        self.has_image = True
        self.starts = True
        self.pid = 0
        self._ours, self.told = socket.socketpair()

    def _image(self, name: str) -> SimpleNamespace:
        if not self.has_image:
            raise docker.errors.ImageNotFound(name)
        return SimpleNamespace(attrs={"Id": "sha256:1"})

    def version(self) -> dict[str, Any]:
        return DOCKER

    def create_host_config(self, **settings: Any) -> dict[str, Any]:
        return settings

    def create_container(self, image: str, command: list[str], **settings: Any) -> dict[str, str]:
        self.asked.append(f"create {image} {command[-1]}")
        assert settings["network_disabled"]
        assert settings["host_config"]["network_mode"] == "none"
        assert settings["host_config"]["cap_drop"] == ["ALL"]
        return {"Id": "c0ffee"}

    def attach_socket(self, container: str, params: dict[str, int]) -> socket.socket:
        del container, params
        return self._ours

    def start(self, container: str) -> None:
        self.asked.append(f"start {container}")
        if not self.starts:
            raise docker.errors.APIError("no such device")

    def wait(self, container: str, timeout: int) -> None:
        assert timeout
        self.asked.append(f"wait {container}")

    def remove_container(self, container: str, *, force: bool, v: bool) -> None:
        assert force
        assert v
        self.asked.append(f"remove {container}")

    def inspect_container(self, container: str) -> dict[str, dict[str, int]]:
        del container
        return {"State": {"Pid": self.pid}}

    def close(self) -> None:
        self._ours.close()
        self.told.close()


@pytest.fixture
def engine() -> Iterator[Any]:
    fake = FakeEngine()
    yield fake
    fake.close()


def test_it_is_told_what_to_record_and_removed_once_it_has_ended(engine: Any) -> None:
    witness = WitnessContainer(engine, "image", engine_facts.read(DOCKER), "0badcafe")
    witness.record(["record", "bothends-0badcafe", '+net/net_dev_start_xmit=len < 300 && name ~ "eth0-*"'])
    assert engine.told.recv(4096) == (
        b'record\nbothends-0badcafe\n+net/net_dev_start_xmit=len < 300 && name ~ "eth0-*"\n\n'
    )
    witness.remove()
    witness.remove()
    assert engine.asked == ["create image await", "start c0ffee", "wait c0ffee", "remove c0ffee"]
    assert engine.told.recv(1) == b""


def test_one_that_does_not_start_is_removed(engine: Any) -> None:
    engine.starts = False
    with pytest.raises(EngineError, match="cannot start the witness: no such device"):
        WitnessContainer(engine, "image", engine_facts.read(DOCKER), "0badcafe")
    assert engine.asked[-1] == "remove c0ffee"


@pytest.mark.parametrize("wanted", [True, False])
def test_what_is_made_early_is_the_labs_or_removed(engine: Any, *, wanted: bool) -> None:
    early = Early(engine, "0badcafe", witness=True)
    assert early.facts().version == "20.10"
    taken = early.take() if wanted else None
    early.remove()
    assert engine.asked[:2] == ["create sha256:1 await", "start c0ffee"]
    assert engine.asked[2:] == ([] if taken else ["wait c0ffee", "remove c0ffee"])


@pytest.mark.parametrize(("has_image", "wanted"), [(False, True), (True, False)])
def test_nothing_is_made_early_without_an_image_or_where_it_is_not_wanted(
    engine: Any,
    *,
    has_image: bool,
    wanted: bool,
) -> None:
    engine.has_image = has_image
    early = Early(engine, "0badcafe", witness=wanted)
    assert early.take() is None
    early.remove()
    assert engine.asked == []


def test_a_process_is_known_only_where_the_kernel_numbers_it_as_the_engine_does(
    engine: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The engine's number is believed where this machine has the container's process under it, and no other way."""
    own = next(iter(Path("/proc/self/cgroup").read_text().split("/")[-1:])).strip() or ":"
    engine.pid = os.getpid()
    monkeypatch.setattr(witness_container, "numbers_tasks_as_the_kernel", lambda: True)
    assert number_of_kernel(engine, own) == os.getpid()
    assert number_of_kernel(engine, "c0ffee") is None
    engine.pid = 0
    assert number_of_kernel(engine, own) is None
    monkeypatch.setattr(witness_container, "numbers_tasks_as_the_kernel", lambda: False)
    engine.pid = os.getpid()
    assert number_of_kernel(engine, own) is None
