"""Recorders of the kernel's trace that a process keeps from one lab to the next: a campaign makes many labs.

Such a container runs our agent, and the agent the recorder, once for each lab and in the same instances of tracefs. To
start and remove a container, and to make and remove instances, takes longer than all else that a small lab does.
"""

from __future__ import annotations

import atexit
import contextlib
import queue
from collections.abc import Sequence

import docker
import docker.errors

from testbed.lab.agent import Agent
from testbed.lab.docker.attach_stream import DockerChannel
from testbed.lab.docker.container_settings import (
    AGENT_COMMAND,
    WITNESS,
    WITNESS_CONFIG,
    WITNESS_TIMEOUT,
    kept_witness_settings,
)
from testbed.lab.docker.docker_errors import translate
from testbed.lab.identity import OWNER_LABEL, ROLE_LABEL, RUN_LABEL, new_run_id, owner
from testbed.lab.kernel_trace import instance_name
from testbed.model.errors import EngineError, LabError

_COMMAND = ("/bin/sh", "-c", f"{AGENT_COMMAND[0]}; exec sleep {WITNESS_TIMEOUT}")
"""The agent is not process 1: when we are killed and it ends, the recorder has time to remove its instances."""


class ProgramChannel:
    """A channel to a program that an agent runs: its standard input and output."""

    def __init__(self, agent: Agent, argv: Sequence[str]) -> None:
        self._output: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._words: list[bytes] = []
        self._closed = False
        self._process = agent.start(
            argv, out=self._output.put, err=self._words.append, on_end=self._note_end, stdin=True
        )

    def receive(self) -> bytes:
        """Return the next bytes of its standard output, nothing at the end. Blocks."""
        return self._output.get()

    def send(self, data: bytes) -> None:
        """Send to its standard input."""
        try:
            self._process.write(data)
        except LabError as error:
            raise BrokenPipeError(error.what) from error

    def close(self) -> None:
        """End its standard input; what it prints from now on is not read. Idempotent."""
        if not self._closed:
            self._closed = True
            with contextlib.suppress(LabError):  # its agent is gone
                self._process.end_input()
            self._note_end()

    def ended_well(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds for its end; say whether it ended with status 0."""
        try:
            ended = self._process.wait(timeout)
        except LabError:
            return False
        return ended is not None and ended.status == 0

    def last_words(self) -> str:
        """Return what it printed on standard error."""
        return b"".join(self._words).decode(errors="replace")

    def _note_end(self) -> None:
        self._output.put(b"")


class KeptRecorder:
    """One container with a recorder, for one lab at a time. Raises EngineError where the engine allows none."""

    def __init__(self, api: docker.APIClient, image: str, tools_volume: str) -> None:
        self._api = api
        self._instance = instance_name(new_run_id())
        run_id = new_run_id()
        with translate("create the witness container"):
            self.container = str(
                api.create_container(
                    image,
                    list(_COMMAND),
                    name=f"bothends-{run_id}-witness",
                    entrypoint=[],
                    stdin_open=True,
                    labels={RUN_LABEL: run_id, OWNER_LABEL: owner(), ROLE_LABEL: "witness"},
                    host_config=api.create_host_config(**kept_witness_settings(tools_volume)),
                    **WITNESS_CONFIG,
                )["Id"]
            )
        self._agent: Agent | None = None
        try:
            self._agent = Agent(DockerChannel(api, self.container), "witness")
            with translate("start the witness"):
                api.start(self.container)
            self._agent.hello()
        except BaseException:
            self.remove()
            raise

    def record(self, words: Sequence[str]) -> ProgramChannel:
        """Start to record for a lab; ``words`` are the arguments of a recorder that would not be kept."""
        assert self._agent is not None  # noqa: S101 - there is no recorder without
        return ProgramChannel(self._agent, [WITNESS, "reuse", self._instance, *words[2:]])

    def remove(self) -> None:
        """Remove its instances of tracefs, then the container. What cannot be removed, `invoke clean` finds."""
        if self._agent is not None:
            with contextlib.suppress(LabError):
                self._agent.run([WITNESS, "remove", self._instance])
            self._agent.close()
        with contextlib.suppress(EngineError), translate("remove the witness"):
            self._api.remove_container(self.container, force=True, v=True)


class KeptRecorders:
    """The recorders of this process, until it ends."""

    def __init__(self, api: docker.APIClient) -> None:
        self._api = api
        self._all: list[KeptRecorder] = []
        self._idle: list[KeptRecorder] = []

    def take(self, image: str, tools_volume: str, words: Sequence[str]) -> tuple[KeptRecorder, ProgramChannel]:
        """Begin to record with one that no lab uses, making it if there is none. Raises EngineError, LabError."""
        while self._idle:
            recorder = self._idle.pop()
            with contextlib.suppress(LabError):  # its container has ended meanwhile
                return recorder, recorder.record(words)
            self._drop(recorder)
        if not self._all:
            atexit.register(self.close)
        self._all.append(KeptRecorder(self._api, image, tools_volume))
        return self._all[-1], self._all[-1].record(words)

    def give(self, recorder: KeptRecorder, channel: ProgramChannel) -> None:
        """Take back what a lab has recorded with; it serves the next one if it ended as it should."""
        channel.close()
        if channel.ended_well(WITNESS_TIMEOUT):
            self._idle.append(recorder)
        else:
            self._drop(recorder)

    def _drop(self, recorder: KeptRecorder) -> None:
        self._all.remove(recorder)
        recorder.remove()

    def close(self) -> None:
        """Remove all. Idempotent."""
        kept, self._all, self._idle = self._all, [], []
        for each in kept:
            each.remove()
