"""Run a command on another engine: ``python -m dev.other_engines podman sid invoke run nagle``.

The engine gets our images from the machine's own (those that are made on demand where it has them), and keeps them in
the user's cache.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys

from dev.other_engines.give_images import give
from dev.other_engines.start_engine import running
from dev.other_engines.unpack_engine import unpacked
from testbed.lab.docker import images
from testbed.lab.docker.docker_engine import connect
from testbed.lab.docker.image_build import find


def main(kind: str, suite: str, *command: str) -> int:
    """Return the command's exit code."""
    engine = unpacked(kind, suite)
    with running(engine, state=engine.root.with_name(f"{engine.root.name}-data")) as started:
        with contextlib.closing(started.client()) as client, contextlib.closing(connect()) as own:
            sys.stderr.write(f"{kind} {client.version()['Version']} at {started.address}\n")
            made = [name for name in images.NAMES if name not in images.USUAL and find(own, images.reference(name))]
            give(own, client, [*images.USUAL, *made])
        environment = {**os.environ, "DOCKER_HOST": started.address}
        return subprocess.run(command or ["sh"], env=environment, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
