"""A shell in a host of a lab that is up, on either engine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping

from testbed.lab.choose_engine import DOCKER
from testbed.lab.engine import PROBE_ENVIRONMENT, TOOLS_DIRECTORY
from testbed.model import Host

SHELL = ("sh", "-c", "command -v bash >/dev/null && exec bash; exec sh")


def open_shell(engine: str, run_id: str, processes: Mapping[str, int], host: Host, argv: tuple[str, ...]) -> int:
    """Run a command in a host, on our terminal if there is one; return its exit status.

    What is started there is observed by the probe like a scenario's programs. ``processes`` are the agents' process
    ids by role, on an engine that has them.
    """
    environment = {
        **PROBE_ENVIRONMENT,
        "PATH": f"{TOOLS_DIRECTORY}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "TERM": os.environ.get("TERM", "dumb"),
        "PS1": f"{host}# ",
    }
    if engine == DOCKER:
        from testbed.lab.docker.docker_engine import connect
        from testbed.lab.docker.docker_shell import shell

        return shell(connect(), run_id, host, argv, environment)
    from testbed.lab.namespace import toolchain

    launch = toolchain.provide(lambda _: None).launch
    # The probe is for the command alone: `launch` itself is not inside yet.
    inside = ("env", *(f"{name}={value}" for name, value in environment.items()), *argv)
    words = (str(launch), "enter", str(processes[f"{host}-host"]), *inside)
    return subprocess.run(words, env={"PATH": environment["PATH"]}, check=False).returncode
