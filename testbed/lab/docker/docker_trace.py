"""The program that records the kernel's trace, run for a moment in a container."""

from __future__ import annotations

from collections.abc import Sequence

import docker

from testbed.lab.docker import engine_facts, images
from testbed.lab.docker.container_settings import WITNESS, WITNESS_CONFIG, tracefs_volume, witness_settings
from testbed.lab.docker.docker_errors import translate
from testbed.lab.docker.image_build import find
from testbed.lab.identity import OWNER_LABEL, RUN_LABEL, new_run_id, owner
from testbed.lab.trace_instances import TIMEOUT, RunRecorder
from testbed.model.errors import EngineError


def on_docker(client: docker.DockerClient) -> RunRecorder | None:
    """Return what runs the recorder on the engine; None where its image was never made."""
    image = find(client, images.reference("witness"))
    if image is None:
        return None
    facts = engine_facts.ask(client.api)

    def run(words: Sequence[str]) -> str:
        labels = {RUN_LABEL: new_run_id(), OWNER_LABEL: owner()}
        volume = tracefs_volume(client.api, facts, labels)
        settings = {name: value for name, value in witness_settings(volume).items() if name != "log_config"}
        settings |= WITNESS_CONFIG
        with translate("run the recorder of the kernel trace"):
            container = client.containers.create(
                image["Id"], [WITNESS, *words], entrypoint=[], labels=labels, **settings
            )
            try:
                container.start()
                status = int(container.wait(timeout=TIMEOUT)["StatusCode"])
                printed: bytes = container.logs(stdout=not status, stderr=bool(status))
            finally:
                container.remove(v=True, force=True)  # with its volume
                if volume is not None:
                    client.api.remove_volume(volume, force=True)
        text = printed.decode(errors="replace").strip()
        if status:
            raise EngineError(text or f"the recorder ended with {status}")
        return text

    return run
