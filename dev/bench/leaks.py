"""``invoke soak``: thousands of runs leave the machine as it was.

Runs alternate engines and scenarios within one process, so that what this process itself keeps shows too. Compared
before and after: containers, networks and volumes of ours, network namespaces, interfaces, mounts, our own open
descriptors and threads, processes of labs, and temporary files.
"""

from __future__ import annotations

import itertools
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from testbed.api.finish_run import FINISH
from testbed.lab.choose_engine import DOCKER, NAMESPACE, choose
from testbed.lab.engine_kind import Choice
from testbed.lab.identity import RUN_LABEL
from testbed.model.errors import BothendsError, EngineError
from testbed.run.live_lab import run
from testbed.scenario.catalogue import all_scenarios
from testbed.scenario.load import load

ROOT = Path(__file__).parents[2]
SETTLE = 30.0
"""Seconds that the kernel may take to remove namespaces: it does so in the background."""
_TOLD = 50
_POOL = 24
"""Sockets that may stay open: the Docker SDK keeps up to ten connections for each client, and drops none by itself."""

State = dict[str, frozenset[str]]


def main(*, runs: int) -> int:
    """Make the runs; 0 if all passed and nothing is left, else 1."""
    choices = _choices()
    scenarios = [each for path in all_scenarios(ROOT) if (each := load(path)).clock != "virtual"]
    pairs = itertools.cycle(itertools.product(scenarios, choices))
    failed = 0
    root = Path(tempfile.mkdtemp(prefix="bothends-soak-"))
    try:
        for choice in choices:
            choice.prepare(lambda text: print(text, file=sys.stderr))
        for scenario, choice in itertools.product(scenarios, choices):  # what is made once and kept is made now
            run(scenario, root=root, make_engine=choice.make, progress=lambda _: None, finish=FINISH)
        before = _state()
        for number, (scenario, choice) in zip(range(runs), pairs, strict=False):
            try:
                finished = run(scenario, root=root, make_engine=choice.make, progress=lambda _: None, finish=FINISH)
                outcome, reasons = finished.analysis.outcome.value, "; ".join(finished.analysis.reasons)
                shutil.rmtree(finished.directory.path)
            except BothendsError as error:
                outcome, reasons = "error", str(error)
            if outcome != "pass":
                failed += 1
                print(f"run {number}, {scenario.name} on {choice.name}: {outcome}: {reasons}")
            if (number + 1) % _TOLD == 0:
                print(f"{number + 1} of {runs} runs, {failed} did not pass", file=sys.stderr)
        left = _left(before)
    finally:
        shutil.rmtree(root)
    for what, names in left.items():
        print(f"left behind, {what}: {', '.join(sorted(names))}")
    engines = ", ".join(choice.name for choice in choices)
    print(f"{runs} runs on {engines}: {failed} did not pass, {len(left)} kinds of leaks")
    return 1 if failed or left else 0


def _choices() -> list[Choice]:
    found = [choose(NAMESPACE)]
    try:
        found.append(choose(DOCKER))
    except EngineError as error:
        print(f"without Docker: {error.what}", file=sys.stderr)
    return found


def _left(before: State) -> State:
    """Return what is there that was not, once nothing more goes away."""
    deadline = time.monotonic() + SETTLE
    while True:
        now = _state()
        left = {what: now[what] - before[what] for what in now if now[what] - before[what]}
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.2)


def _state() -> State:
    return {
        "docker": frozenset(_docker()),
        "network namespaces": frozenset(_namespaces()),
        "interfaces": frozenset(path.name for path in Path("/sys/class/net").iterdir()),
        "mounts": frozenset(Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()),
        "descriptors": frozenset(_descriptors()),
        "threads": frozenset(str(thread.ident) for thread in threading.enumerate()),
        "processes": frozenset(_processes()),
        "temporary files": frozenset(path.name for path in Path(tempfile.gettempdir()).glob("*bothends*")),
    }


def _descriptors() -> Iterator[str]:
    """Our open descriptors by what they are, numbered; connections to the Docker Engine are kept in a pool."""
    kinds: Counter[str] = Counter()
    for path in Path("/proc/self/fd").iterdir():
        try:
            target = str(path.readlink())
        except OSError:  # the one that this list is read from
            continue
        kind = target.partition(":")[0]
        kinds[kind] += 1
    for kind, count in kinds.items():
        most = max(count, _POOL) if kind == "socket" else count
        yield from (f"{kind} {number}" for number in range(most))


def _docker() -> list[str]:
    from testbed.lab.docker.docker_engine import connect
    from testbed.lab.docker.docker_errors import translate

    try:
        client = connect()
    except EngineError:
        return []
    only = {"label": RUN_LABEL}
    with translate("list what runs have left"):
        found = [container["Names"][0] for container in client.api.containers(all=True, filters=only)]
        found += [network["Name"] for network in client.api.networks(filters=only)]
        found += [volume["Name"] for volume in client.api.volumes(filters=only)["Volumes"] or []]
    client.close()
    return found


def _namespaces() -> set[str]:
    found = set()
    for link in Path("/proc").glob("[0-9]*/ns/net"):
        try:
            found.add(str(link.readlink()))
        except OSError:  # it ended meanwhile
            continue
    return found


def _processes() -> set[str]:
    found = set()
    for path in Path("/proc").glob("[0-9]*/comm"):
        try:
            name = path.read_text(encoding="utf-8").strip()
        except OSError:  # it ended meanwhile
            continue
        if name in {"agent", "actor", "launch", "tcpdump"}:
            found.add(f"{path.parent.name} {name}")
    return found
