"""A shell in a host of a lab that is up, on any engine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from testbed.lab.choose_engine import engine_kind
from testbed.lab.engine import PROBE_ENVIRONMENT, TOOLS_DIRECTORY
from testbed.model import Host

SHELL = ("sh", "-c", "command -v bash >/dev/null && exec bash; exec sh")


def open_shell(engine: str, run_id: str, manifest: Mapping[str, Any], host: Host, argv: tuple[str, ...]) -> int:
    """Run a command in a host, on our terminal if there is one; return its exit status.

    What is started there is observed by the probe like a scenario's programs. ``manifest`` is
    :attr:`testbed.lab.engine.LiveLab.manifest` of the lab.
    """
    environment = {
        **PROBE_ENVIRONMENT,
        "PATH": f"{TOOLS_DIRECTORY}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "TERM": os.environ.get("TERM", "dumb"),
        "PS1": f"{host}# ",
    }
    return engine_kind(engine).open_shell(run_id, manifest, host, argv, environment)
