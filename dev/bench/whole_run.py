"""``invoke bench``: a whole `invoke run connect-send-close` with warm images against the bare lab."""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from testbed.lab.docker import images
from testbed.lab.docker.docker_engine import connect
from testbed.lab.identity import OWNER_LABEL, RUN_LABEL, new_run_id, owner
from testbed.model.errors import BothendsError

ROOT = Path(__file__).parents[2]
LIMIT = 1.5
"""The ratio of medians that a run must not exceed."""


def main(*, repeat: int, as_json: bool) -> int:
    """Measure both in turn ``repeat`` times after one warm-up each; 0 if the ratio of medians is within LIMIT."""
    client = connect()
    ids = images.ensure(client, ["tools", "host", "tap", "own-program"], lambda text: print(text, file=sys.stderr))
    images.ensure_tools_volume(client, ids["tools"], lambda _: None)
    times: dict[str, list[float]] = {"run": [], "floor": []}
    with tempfile.TemporaryDirectory(prefix="bothends-bench-") as runs:
        labels = json.dumps({RUN_LABEL: new_run_id(), OWNER_LABEL: owner()})
        commands = {
            "floor": [
                sys.executable,
                str(Path(__file__).parent / "bare_lab.py"),
                ids["own-program"],
                ids["tap"],
                labels,
            ],
            "run": [sys.executable, "-m", "invoke", "run", "connect-send-close", "--quiet", "--runs", runs],
        }
        for turn in range(repeat + 1):
            for name, command in commands.items():
                seconds = _seconds(name, command)
                if turn:
                    times[name].append(seconds)
    medians = {name: statistics.median(values) for name, values in times.items()}
    ratio = medians["run"] / medians["floor"]
    result = {
        "machine": f"{platform.processor() or platform.machine()}, Linux {platform.release()}",
        "engine": client.api.version()["Version"],
        "repeat": repeat,
        "run_s": times["run"],
        "floor_s": times["floor"],
        "median_run_s": medians["run"],
        "median_floor_s": medians["floor"],
        "ratio": ratio,
        "limit": LIMIT,
    }
    if as_json:
        print(json.dumps(result, indent=1))
    else:
        print(f"{'':18}{'median':>8}{'least':>8}{'most':>8}")
        for name, shown in (("run", "invoke run"), ("floor", "bare SDK lab")):
            values = times[name]
            print(f"{shown:18}{medians[name]:7.2f}s{min(values):7.2f}s{max(values):7.2f}s")
        print(f"ratio of medians  {ratio:7.2f}   (limit {LIMIT}, {repeat} times each, in turn)")
    return 0 if ratio <= LIMIT else 1


def _seconds(name: str, command: list[str]) -> float:
    begin = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - begin
    if done.returncode:
        raise BothendsError(f"the {name} failed with exit code {done.returncode}", last_output=done.stderr[-2000:])
    return seconds
