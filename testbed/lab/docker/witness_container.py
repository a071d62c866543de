"""A container that has the program that records the kernel's trace, and nothing else.

It is told what to record once it runs, so that the engine can be making it before anyone knows what a lab will be.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import docker
import docker.errors

from testbed.lab.docker import engine_facts, images
from testbed.lab.docker.attach_stream import DockerChannel
from testbed.lab.docker.container_settings import (
    WITNESS,
    WITNESS_CONFIG,
    WITNESS_TIMEOUT,
    tracefs_volume,
    witness_settings,
)
from testbed.lab.docker.docker_errors import translate
from testbed.lab.docker.engine_facts import EngineFacts
from testbed.lab.docker.image_build import find
from testbed.lab.identity import OWNER_LABEL, ROLE_LABEL, RUN_LABEL, numbers_tasks_as_the_kernel, owner
from testbed.model.errors import EngineError

ROLE = "witness"


class WitnessContainer:
    """One container for one recording. Raises EngineError where the engine does not allow it."""

    def __init__(self, api: docker.APIClient, image: str, facts: EngineFacts, run_id: str) -> None:
        self._api = api
        self.id = ""
        self._volume: str | None = None
        channel = None
        labels = {RUN_LABEL: run_id, OWNER_LABEL: owner(), ROLE_LABEL: ROLE}
        try:
            self._volume = tracefs_volume(api, facts, labels)
            with translate("create the witness container"):
                self.id = str(
                    api.create_container(
                        image,
                        [WITNESS, "await"],
                        name=f"bothends-{run_id}-{ROLE}",
                        entrypoint=[],
                        stdin_open=True,
                        labels=labels,
                        host_config=api.create_host_config(**witness_settings(self._volume)),
                        **WITNESS_CONFIG,
                    )["Id"]
                )
            self.channel = channel = DockerChannel(api, self.id)
            with translate("start the witness"):
                api.start(self.id)
        except BaseException:
            if channel is not None:
                channel.close()
            with contextlib.suppress(EngineError):  # why it could not be made matters more
                self._remove()
            raise

    def record(self, words: Sequence[str]) -> None:
        """Have it record; ``words`` are the recorder's arguments."""
        with translate("tell the witness what to record"):
            self.channel.send("".join(f"{word}\n" for word in (*words, "")).encode())

    def remove(self) -> None:
        """End the recorder, which removes its instances of tracefs; then remove the container. Idempotent.

        Raises EngineError where the engine does not remove it.
        """
        self.channel.close()
        if self.id:
            # Podman cannot kill a container that just ends.
            with contextlib.suppress(EngineError), translate("wait for the witness"):
                self._api.wait(self.id, timeout=WITNESS_TIMEOUT)
        self._remove()

    def _remove(self) -> None:
        container, self.id = self.id, ""
        if container:
            with translate("remove the witness"), contextlib.suppress(docker.errors.NotFound):
                self._api.remove_container(container, force=True, v=True)
        volume, self._volume = self._volume, None
        if volume is not None:
            with translate("remove the volume of the kernel's tracefs"), contextlib.suppress(docker.errors.NotFound):
                self._api.remove_volume(volume, force=True)


class Early:
    """What an engine is asked for before anyone knows what a run's lab will be, by a thread of its own.

    ``witness``: a lab is likely to want one. Where its image is not there, none is made.
    """

    def __init__(self, client: docker.DockerClient, run_id: str, *, witness: bool) -> None:
        self._client = client
        self._run_id = run_id
        pool = ThreadPoolExecutor(1)
        self._facts = pool.submit(engine_facts.ask, client.api)
        self._made = pool.submit(self._make) if witness else None
        pool.shutdown(wait=False)

    def _make(self) -> WitnessContainer | None:
        image = find(self._client, images.reference("witness"))
        if image is None:
            return None
        return WitnessContainer(self._client.api, image["Id"], self.facts(), self._run_id)

    def facts(self) -> EngineFacts:
        """Return which engine it is. Raises EngineError."""
        return self._facts.result()

    def take(self) -> WitnessContainer | None:
        """Return the witness, which is then the caller's; None where none was made. Raises EngineError."""
        made, self._made = self._made, None
        return made.result() if made is not None else None

    def remove(self) -> None:
        """Remove the witness, if nobody took it. Idempotent. Raises EngineError where the engine does not remove it."""
        try:
            witness = self.take()
        except EngineError:  # none could be made
            return
        if witness is not None:
            witness.remove()


def number_of_kernel(api: docker.APIClient, container: str) -> int | None:
    """Return the number that the kernel has for a container's first process; None where that is not known.

    The engine says how it numbers processes: it may be on another machine, or in a PID namespace of its own.
    """
    if not numbers_tasks_as_the_kernel():
        return None
    with translate("inspect a container"):
        number = int(api.inspect_container(container)["State"]["Pid"])
    try:
        is_it = container in Path(f"/proc/{number}/cgroup").read_text(encoding="ascii")
    except (OSError, ValueError):
        return None
    return number if is_it else None
