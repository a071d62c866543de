"""``invoke bench namespace``: a lab of namespaces against the same made by a shell script.

Counted of the engine: making the lab, starting both taps, ending them with all that is collected, removing the lab. The
programs of connect-send-close run in between and are not counted; the script runs none.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from dev.bench.ratio import Ratio, Say, in_turns, of_pairs, spread
from testbed.lab.choose_engine import NAMESPACE, choose
from testbed.lab.session import Session
from testbed.model.errors import BothendsError
from testbed.run.scenario_to_lab import lab_spec, program_specs
from testbed.scenario.load import load

ROOT = Path(__file__).parents[2]
FLOOR = Path(__file__).with_name("namespace_floor.sh")
LIMIT = 1.5
"""How many times as long as the script the engine may take."""


def measure(*, repeat: int, say: Say) -> list[Ratio]:
    """Measure both in turn, thrice ``repeat`` times: each is short."""
    taken = in_turns({"engine": _engine, "floor": floor_seconds}, 3 * repeat)
    engine, floor = (spread(taken[name], "ms", 1000, 0) for name in ("engine", "floor"))
    say(f"namespace engine {engine}, shell script {floor}")
    pairs = (taken["engine"], taken["floor"])
    return [of_pairs("namespace", "a lab of namespaces, made and removed", "a shell script that does so", pairs, LIMIT)]


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


def floor_seconds() -> float:
    """Run the script; return how long it took."""
    begin = time.perf_counter()
    done = subprocess.run([FLOOR], capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - begin
    if done.returncode:
        raise BothendsError(f"the script failed with exit code {done.returncode}", last_output=done.stderr[-2000:])
    return seconds
