"""A run that waits for ever, and what there is of a run while it goes on and after it was stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import docker

from testbed.lab.identity import RUN_LABEL

from .conftest import LIMIT

HANGS = """
summary: The client waits for ever
timeout: {timeout}
server: {{steps: [{{listen: 10011}}, {{accept: }}, {{recv_all: }}]}}
client: {{steps: [{{connect: "server:10011"}}, {{send: hello}}, {{recv: 100}}]}}
"""


def of_run(engine: docker.DockerClient, run_id: str) -> list[str]:
    only = {"label": f"{RUN_LABEL}={run_id}"}
    containers = [c["Names"][0] for c in engine.api.containers(all=True, filters=only)]
    volumes = [volume["Name"] for volume in engine.api.volumes(filters=only)["Volumes"] or []]
    return containers + volumes + [network["Name"] for network in engine.api.networks(filters=only)]


def run_directory(runs: Path, scenario: str = "made-by-test") -> Path:
    (directory,) = (runs / "runs" / scenario).glob("2*")
    return directory


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def wait_until_sent(runs: Path) -> None:
    """Wait until the client of the one run below has made a send."""
    wait_until(lambda: any(b'"call":"send"' in out.read_bytes() for out in runs.glob("runs/*/2*/client.out")))
