"""Instances of tracefs that runs have left, and whether a witness works here: the recorder run for a moment."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence

import docker

from testbed.lab.docker import images
from testbed.lab.docker.docker_clean import Remains
from testbed.lab.docker.docker_engine import WITNESS, witness_settings
from testbed.lab.docker.docker_errors import translate
from testbed.lab.docker.image_build import find
from testbed.lab.identity import OWNER_LABEL, RUN_LABEL, new_run_id, owner
from testbed.lab.kernel_trace import is_owner_alive, run_of
from testbed.model.errors import BothendsError, EngineError

Run = Callable[[Sequence[str]], str]
"""Runs the recorder with these arguments; returns its output, raises EngineError with what it said."""
_TIMEOUT = 30


def on_docker(client: docker.DockerClient) -> Run | None:
    """Return what runs the recorder on the engine; None where its image was never made."""
    image = find(client, images.reference("witness"))
    if image is None:
        return None

    def run(words: Sequence[str]) -> str:
        settings = {name: value for name, value in witness_settings().items() if name != "log_config"}
        labels = {RUN_LABEL: new_run_id(), OWNER_LABEL: owner()}
        with translate("run the witness"):
            container = client.containers.create(
                image["Id"], [WITNESS, *words], entrypoint=[], labels=labels, **settings
            )
            try:
                container.start()
                status = int(container.wait(timeout=_TIMEOUT)["StatusCode"])
                said: bytes = container.logs(stdout=not status, stderr=bool(status))
            finally:
                container.remove(v=True, force=True)  # with its volume
        text = said.decode(errors="replace").strip()
        if status:
            raise EngineError(text or f"the witness ended with {status}")
        return text

    return run


def on_this_machine() -> Run | None:
    """Return what runs the recorder here; None unless we are root and it can be compiled."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return None
    from testbed.lab.namespace import toolchain

    try:
        program = toolchain.provide(lambda _: None).witness
    except BothendsError:
        return None

    def run(words: Sequence[str]) -> str:
        done = subprocess.run([program, *words], capture_output=True, text=True, timeout=_TIMEOUT, check=False)
        if done.returncode:
            raise EngineError(done.stderr.strip() or f"the witness ended with {done.returncode}")
        return done.stdout

    return run


def try_it(run: Run) -> tuple[bool, str]:
    """Say whether the recorder can use tracefs, and what it said."""
    try:
        run(["list"])
    except EngineError as error:
        return False, error.what
    return True, "the kernel's tracepoints can be recorded"


def clean_instances(run: Run, remains: Remains, *, foreign_too: bool = False) -> None:
    """Remove the instances of runs whose runner is gone, and no other. Without tracefs there are none."""
    try:
        names = run(["list"]).split()
    except EngineError:
        return
    for name in names:
        alive = is_owner_alive(name)
        if alive:
            remains.alive.add(run_of(name))
        elif alive is None and not foreign_too:
            remains.foreign.add(run_of(name))
        else:
            try:
                run(["remove", name])
            except EngineError as error:
                remains.failed.append(error.what)
            else:
                remains.removed.append(f"trace instance {name}")
