"""``invoke bench namespace``: a lab of namespaces against the same made by a shell script.

Counted of the engine: making the lab, starting both taps, ending them with all that is collected, removing the lab. The
programs of connect-send-close run in between and are not counted; the script runs none.
"""

from __future__ import annotations

import json
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from testbed.lab.choose_engine import NAMESPACE, choose
from testbed.lab.session import Session
from testbed.model.errors import BothendsError
from testbed.run.scenario_to_lab import lab_spec, program_specs
from testbed.scenario.load import load

ROOT = Path(__file__).parents[2]
FLOOR = Path(__file__).with_name("namespace_floor.sh")
LIMIT = 1.5
"""The ratio of medians that the engine must not exceed."""


def main(*, repeat: int, as_json: bool) -> int:
    """Measure both in turn ``repeat`` times after one warm-up each; 0 if the ratio of medians is within LIMIT."""
    measure: dict[str, Callable[[], float]] = {"engine": _engine, "floor": _floor}
    times: dict[str, list[float]] = {name: [] for name in measure}
    for turn in range(repeat + 1):
        for name, once in measure.items():
            seconds = once()
            if turn:
                times[name].append(seconds)
    medians = {name: statistics.median(values) for name, values in times.items()}
    ratio = medians["engine"] / medians["floor"]
    if as_json:
        result = {
            "machine": f"{platform.processor() or platform.machine()}, Linux {platform.release()}",
            "repeat": repeat,
            **{f"{name}_s": values for name, values in times.items()},
            **{f"median_{name}_s": value for name, value in medians.items()},
            "ratio": ratio,
            "limit": LIMIT,
        }
        print(json.dumps(result, indent=1))
    else:
        print(f"{'':18}{'median':>9}{'least':>9}{'most':>9}")
        for name, shown in (("engine", "namespace engine"), ("floor", "shell script")):
            values = times[name]
            print(f"{shown:18}" + "".join(f"{1000 * v:6.0f} ms" for v in (medians[name], min(values), max(values))))
        print(f"ratio of medians  {ratio:9.2f}   (limit {LIMIT}, {repeat} times each, in turn)")
    return 0 if ratio <= LIMIT else 1


def _engine() -> float:
    choice = choose(NAMESPACE)
    choice.prepare(lambda text: print(text, file=sys.stderr))
    scenario = load(ROOT / "scenarios" / "connect-send-close.yaml")
    directory = Path(tempfile.mkdtemp(prefix="bothends-bench-"))
    try:
        begin = time.perf_counter()
        with choice.make(lambda _: None) as engine:
            spec = replace(lab_spec(scenario), witness=())
            live = engine.bring_up(spec)
            session = Session(live, directory, lambda _: None, plan=None)
            session.start_taps(offloads=False, egress={})
            up = time.perf_counter()
            session.run(program_specs(scenario, spec, live.addresses), scenario.timeout)
            session.settle()
            session.prove()
            down = time.perf_counter()
            session.collect()
        end = time.perf_counter()
    finally:
        shutil.rmtree(directory)
    if session.collected.failures or session.collected.incomplete:
        raise BothendsError(
            "the run failed", state="; ".join(session.collected.failures + session.collected.incomplete)
        )
    return up - begin + end - down


def _floor() -> float:
    begin = time.perf_counter()
    done = subprocess.run([FLOOR], capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - begin
    if done.returncode:
        raise BothendsError(f"the script failed with exit code {done.returncode}", last_output=done.stderr[-2000:])
    return seconds
