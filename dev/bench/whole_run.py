"""``invoke bench run``: a whole `invoke run connect-send-close` with warm images against the bare lab."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from dev.bench.ratio import Ratio, Say, in_turns, of_pairs, spread
from testbed.lab.docker import images
from testbed.lab.docker.docker_engine import connect
from testbed.lab.identity import OWNER_LABEL, RUN_LABEL, new_run_id, owner
from testbed.model.errors import BothendsError

ROOT = Path(__file__).parents[2]
LIMIT = 1.2
"""How many times as long as the bare lab a run may take."""


def measure(*, repeat: int, say: Say) -> list[Ratio]:
    """Measure both in turn ``repeat`` times after one warm-up each."""
    client = connect()
    ids = images.ensure(client, ["tools", "host", "tap", "own-program"], lambda text: print(text, file=sys.stderr))
    images.ensure_tools_volume(client, ids["tools"], lambda _: None)
    labels = json.dumps({RUN_LABEL: new_run_id(), OWNER_LABEL: owner()})
    floor = [sys.executable, str(Path(__file__).with_name("bare_lab.py")), ids["own-program"], ids["tap"], labels]
    with tempfile.TemporaryDirectory(prefix="bothends-bench-") as runs:
        ours = [sys.executable, "-m", "invoke", "run", "connect-send-close", "--quiet", "--engine", "docker"]
        measures: dict[str, Callable[[], float]] = {
            "run": partial(seconds, "run", [*ours, "--runs", runs]),
            "floor": partial(seconds, "floor", floor),
        }
        taken = in_turns(measures, repeat)
    say(f"invoke run {spread(taken['run'])}, bare SDK lab {spread(taken['floor'])}")
    return [of_pairs("run", "a whole run on Docker", "a bare lab by the SDK", (taken["run"], taken["floor"]), LIMIT)]


def seconds(name: str, command: list[str]) -> float:
    """Return how long a command takes from start to end; ``name`` is what an error calls it."""
    begin = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    taken = time.perf_counter() - begin
    if done.returncode:
        raise BothendsError(f"the {name} failed with exit code {done.returncode}", last_output=done.stderr[-2000:])
    return taken
