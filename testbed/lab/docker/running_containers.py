"""Containers that others have made and that run: found by name, id or compose service, and tapped from beside."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import docker
import docker.errors

from testbed.lab.agent import Agent
from testbed.lab.docker import images
from testbed.lab.docker.attach_stream import DockerChannel
from testbed.lab.docker.container_settings import AGENT_COMMAND, tap_settings
from testbed.lab.docker.docker_engine import connect
from testbed.lab.docker.docker_errors import translate
from testbed.lab.engine import Progress
from testbed.lab.identity import OWNER_LABEL, ROLE_LABEL, RUN_LABEL, owner
from testbed.model.errors import EngineError, UsageError

_SERVICE, _FILES = "com.docker.compose.service", "com.docker.compose.project.config_files"


@dataclass(frozen=True, slots=True)
class RunningContainer:
    """A container: its id, and its name without the slash."""

    id: str
    name: str


class RunningContainers:
    """The containers of one engine. Leaving the context removes the taps that it made, and nothing else.

    The engine is asked for nothing until the first container is.
    """

    def __init__(self, run_id: str, progress: Progress) -> None:
        self._run_id = run_id
        self._progress = progress
        self._connected: docker.DockerClient | None = None
        self._taps: list[tuple[Agent, str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for agent, container in self._taps:
            agent.close()
            with translate("remove a tap"), contextlib.suppress(docker.errors.NotFound):
                self._client.api.remove_container(container, force=True, v=True)
        self._taps.clear()

    @property
    def _client(self) -> docker.DockerClient:
        if self._connected is None:
            self._connected = connect()
        return self._connected

    def find(self, name: str, compose: str = "") -> RunningContainer:
        """Return the running container that has this name or id, or is of this compose service.

        Raises UsageError where there is none or are several, EngineError where the engine does not answer.
        """
        with translate("list the containers"):
            running: list[dict[str, Any]] = self._client.api.containers()
        for each in running:
            names = [known.lstrip("/") for known in each["Names"]]
            if not compose and (name in names or (len(name) >= 4 and each["Id"].startswith(name))):
                return RunningContainer(each["Id"], names[0])
        of_service = [each for each in running if _is_service(each.get("Labels") or {}, name, compose)]
        if len(of_service) == 1:
            return RunningContainer(of_service[0]["Id"], of_service[0]["Names"][0].lstrip("/"))
        known = ", ".join(sorted(each["Names"][0].lstrip("/") for each in running)) or "none"
        if of_service:
            listed = ", ".join(each["Names"][0].lstrip("/") for each in of_service)
            raise UsageError(f"{len(of_service)} containers are of the service `{name}`", hint=f"name one of {listed}")
        raise UsageError(f"no running container or compose service is called `{name}`", state=f"running: {known}")

    def state(self, container: str) -> str:
        """Return how a container is: empty while it runs, else ``exited, exit 137`` or ``gone``."""
        try:
            with translate("inspect a container"):
                state = self._client.api.inspect_container(container)["State"]
        except EngineError as error:
            if isinstance(error.__cause__, docker.errors.NotFound):
                return "gone"
            raise
        return "" if state["Running"] else f"{state['Status']}, exit {state['ExitCode']}"

    def started(self, container: str) -> str:
        """Return when a container was started, as the engine says it: another time means that it was restarted."""
        with translate("inspect a container"):
            return str(self._client.api.inspect_container(container)["State"]["StartedAt"])

    def tap(self, container: str, role: str) -> Agent:
        """Start an agent in a container of our own that shares another one's network namespace, and nothing else."""
        ids = images.ensure(self._client, ["tools", "tap"], self._progress)
        volume = images.ensure_tools_volume(self._client, ids["tools"], self._progress)
        with translate(f"create the tap of the {role}"):
            api = self._client.api
            made = api.create_container(
                ids["tap"],
                list(AGENT_COMMAND),
                name=f"bothends-{self._run_id}-{role}-tap",
                entrypoint=[],
                stdin_open=True,
                labels={RUN_LABEL: self._run_id, OWNER_LABEL: owner(), ROLE_LABEL: f"{role}-tap"},
                host_config=api.create_host_config(**tap_settings(volume, container)),
            )
        agent = Agent(DockerChannel(api, made["Id"]), f"{role} tap")
        self._taps.append((agent, made["Id"]))
        with translate(f"start the tap of the {role}"):
            api.start(made["Id"])
        return agent

    def version(self) -> dict[str, str]:
        """Return the engine's version for a manifest."""
        with translate("ask the engine for its version"):
            version = self._client.version()
        return {"version": version["Version"], "api": version["ApiVersion"], "kernel": version.get("KernelVersion", "")}


def _is_service(labels: dict[str, str], name: str, compose: str) -> bool:
    if labels.get(_SERVICE) != name:
        return False
    files = [str(Path(file).resolve()) for file in labels.get(_FILES, "").split(",") if file]
    return not compose or str(Path(compose).resolve()) in files
