"""Containers that others have made and that run: found by name, id or compose service, and tapped from beside."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import docker
import docker.errors

from testbed.lab.agent import Agent
from testbed.lab.docker import engine_facts, images
from testbed.lab.docker.attach_stream import DockerChannel
from testbed.lab.docker.container_settings import (
    AGENT_COMMAND,
    DEBUGGER,
    tap_settings,
    with_debugger,
)
from testbed.lab.docker.docker_engine import connect
from testbed.lab.docker.docker_errors import translate
from testbed.lab.docker.witness_container import WitnessContainer
from testbed.lab.engine import DEBUGGER_DIRECTORY, Progress
from testbed.lab.identity import OWNER_LABEL, ROLE_LABEL, RUN_LABEL, owner
from testbed.lab.kernel_trace import unsupported
from testbed.model.errors import EngineError, UsageError

_SERVICE, _FILES = "com.docker.compose.service", "com.docker.compose.project.config_files"
_PROCESSES = 'echo "$PPID,$$"; for each in /proc/[0-9]*; do echo "${each#/proc/}"; done'
"""Prints our own processes (the agent, and this shell), then all."""
_END_TIMEOUT = 10
_DIRECTORY = "com.docker.compose.project.working_dir"


@dataclass(frozen=True, slots=True)
class RunningContainer:
    """A container: its id, and its name without the slash."""

    id: str
    name: str


class RunningContainers:
    """The containers of one engine. Leaving the context removes the taps that it made, and nothing else.

    The engine is asked for nothing until the first container is. ``left`` says what it could not remove, and why.
    """

    def __init__(self, run_id: str, progress: Progress) -> None:
        self._run_id = run_id
        self._progress = progress
        self._connected: docker.DockerClient | None = None
        self._taps: list[tuple[Agent, str]] = []
        self._witnesses: list[WitnessContainer] = []
        self._numbers = itertools.count(1)
        self.left: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for sidecar in self._witnesses:
            self._try(sidecar.remove)
        self._witnesses.clear()
        for agent, _ in self._taps:
            agent.close()
        for _, container in self._taps:
            self._try(lambda each=container: _remove_ended(self._client.api, each, "a tap", _END_TIMEOUT))  # type: ignore[misc]
        self._taps.clear()

    def _try(self, remove: Callable[[], None]) -> None:
        try:
            remove()
        except EngineError as error:
            self.left.append(error.what)

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

    def first_process(self, container: str) -> int:
        """Return the number of a container's first process, as the engine has it; 0 where it says none."""
        with translate("inspect a container"):
            return int(self._client.api.inspect_container(container)["State"].get("Pid") or 0)

    def witness(self, run_id: str, words: Sequence[str]) -> WitnessContainer:
        """Start the recorder of the kernel's trace in a container that has nothing else.

        Raises Unsupported where the engine does not allow it.
        """
        ids = images.ensure(self._client, ["witness"], self._progress)
        api = self._client.api
        facts = engine_facts.ask(api)
        try:
            sidecar = WitnessContainer(api, ids["witness"], facts, run_id)
        except EngineError as error:
            raise unsupported(f"{error.what} ({error.state})" if error.state else error.what) from error
        self._witnesses.append(sidecar)
        sidecar.record(words)
        return sidecar

    def tracer(self, container: str, role: str) -> tuple[Agent, tuple[str, ...], list[int]]:
        """Start an agent that may trace a container's processes: how strace is started, and their numbers there.

        It shares the container's network and PID namespaces and has SYS_PTRACE, and nothing else.
        """
        ids = images.ensure(self._client, ["tools", "tap", "debugger"], self._progress)
        volume = images.ensure_tools_volume(self._client, ids["tools"], self._progress)
        debugger = images.ensure_tools_volume(
            self._client, ids["debugger"], self._progress, directory=DEBUGGER_DIRECTORY
        )
        settings = {**tap_settings(volume, container), "cap_add": ["SYS_PTRACE"], "pid_mode": f"container:{container}"}
        agent = self._start(ids["tap"], f"{role}-strace", with_debugger(settings, debugger))
        own, *others = agent.run(["sh", "-c", _PROCESSES]).split()
        ours = set(own.split(","))
        return agent, tuple(DEBUGGER.strace), [int(pid) for pid in others if pid not in ours]

    def tap(self, container: str, role: str) -> Agent:
        """Start an agent in a container of our own that shares another one's network namespace, and nothing else."""
        ids = images.ensure(self._client, ["tools", "tap"], self._progress)
        volume = images.ensure_tools_volume(self._client, ids["tools"], self._progress)
        return self._start(ids["tap"], f"{role}-tap", tap_settings(volume, container))

    def _start(self, image: str, role: str, settings: dict[str, Any]) -> Agent:
        name = role.replace("-", " ")
        with translate(f"create the {name}"):
            api = self._client.api
            made = api.create_container(
                image,
                list(AGENT_COMMAND),
                name=f"bothends-{self._run_id}-{next(self._numbers)}-{role}",
                entrypoint=[],
                stdin_open=True,
                labels={RUN_LABEL: self._run_id, OWNER_LABEL: owner(), ROLE_LABEL: role},
                host_config=api.create_host_config(**settings),
            )
        agent = Agent(DockerChannel(api, made["Id"]), name)
        self._taps.append((agent, made["Id"]))
        with translate(f"start the {name}"):
            api.start(made["Id"])
        return agent

    def version(self) -> dict[str, str]:
        """Return the engine's version for a manifest."""
        with translate("ask the engine for its version"):
            version = self._client.version()
        return {"version": version["Version"], "api": version["ApiVersion"], "kernel": version.get("KernelVersion", "")}


def _remove_ended(api: docker.APIClient, container: str, what: str, patience: int) -> None:
    """Remove a container that ends by itself, since its input has ended: Podman cannot kill one that just ends."""
    with contextlib.suppress(EngineError), translate(f"wait for {what}"):
        api.wait(container, timeout=patience)
    with translate(f"remove {what}"), contextlib.suppress(docker.errors.NotFound):
        api.remove_container(container, force=True, v=True)


def _is_service(labels: dict[str, str], name: str, compose: str) -> bool:
    if labels.get(_SERVICE) != name:
        return False
    # compose 1 says them relative to the project's directory
    files = [(Path(labels.get(_DIRECTORY, "")) / file).resolve() for file in labels.get(_FILES, "").split(",") if file]
    return not compose or Path(compose).resolve() in files
