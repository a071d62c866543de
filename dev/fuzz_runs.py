"""Run directories from elsewhere: ``python -m dev.fuzz_runs --count 5000`` breaks each file of a run in that many ways.

Each is read as `invoke show`, `invoke report` and `invoke diff` do. What may come of it is an analysis, or one of our
errors; anything else is told with the seed that makes it again. Nothing is written but into a folder of its own.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from testbed.api.runs import RunResult, load_run
from testbed.model.errors import BothendsError
from testbed.report.run_difference import Told, compare
from testbed.rundir.broken_files import read_from
from testbed.rundir.layout import MANIFEST, RunDirectory

DATA = Path(__file__).parents[1] / "tests" / "data"
RUNS = (
    DATA / "run-v1/server-reads-once/20261122T120401Z-af8198a2",
    DATA / "witness-v1/keepalive-lookalike/20261126T122711Z-f35161f0",
)
MEMORY = 4 << 30
PATIENCE = 20.0
"""Seconds that reading one broken run may take before it counts as hanging, on a busy machine."""
_WORDS = (b"null", b"-1", b"1e999", b"99999999999999999999", b'""', b"[]", b"{}", b"true", b"\xff\xfe", b"\0", b"\n")
_VALUES: tuple[Any, ...] = (
    *(None, -1, 0, 2**63, 2**200, 1.5, float("inf"), True, "", "x", "../../../etc/passwd", "<script>alert(1)</script>"),
    *([], {}, [[]], {"x": {}}, "9" * 5000),
)


def mutate(data: bytes, chance: random.Random) -> bytes:
    """Return the content of a file, broken once or a few times."""
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        data = chance.choice(_WAYS)(data, chance)
    return data


def _flip(data: bytes, chance: random.Random) -> bytes:
    if not data:
        return b"\x01"
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


def _cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def _insert(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + chance.choice(_WORDS) + data[at:]


def _drop(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + data[at + chance.randrange(1, 64) :]


def _shuffle_lines(data: bytes, chance: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    if lines:
        lines.insert(chance.randrange(len(lines)), chance.choice(lines))
    return b"".join(lines)


def _change_value(data: bytes, chance: random.Random) -> bytes:
    """Put another value into one member of the JSON, of any depth; what is no JSON stays."""
    lines = data.splitlines() if b'\n{"' in data else [data]
    at = chance.randrange(len(lines)) if lines else 0
    try:
        value = json.loads(lines[at])
    except (ValueError, IndexError):
        return data
    places = list(_places(value))
    if not places:
        return data
    holder, key = chance.choice(places)
    if chance.random() < 0.2 and isinstance(holder, dict):
        del holder[key]
    else:
        holder[key] = chance.choice(_VALUES)
    lines[at] = json.dumps(value).encode()
    return b"\n".join(lines) + b"\n"


def _places(value: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401 - JSON
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


_WAYS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    *(_flip, _cut, _insert, _drop, _shuffle_lines),
    *(_change_value, _change_value, _change_value),
)


def read(directory: Path, other: Path) -> str:
    """Read a run in all ways; return the outcome, or the kind of our error. Any other exception is a finding."""
    try:
        found = load_run(directory)
        with read_from(RunDirectory(directory)):
            found.summary()
            found.write_reports()
            compare(*(_told(each) for each in (found, load_run(other))))
    except BothendsError as error:
        return type(error).__name__
    return found.outcome.value


def _told(result: RunResult) -> Told:
    files = RunDirectory(result.directory)
    return Told(str(files), result.to_json(), files.read_json(MANIFEST))


def fuzz(run: Path, count: int, seed: int, work: Path) -> tuple[Counter[str], dict[str, str]]:
    """Break each file of a run ``count`` times; return what came of it, and how to make each kind of finding."""
    came: Counter[str] = Counter()
    findings: dict[str, str] = {}
    for name in sorted(path.name for path in run.iterdir()):
        for number in range(count):
            chance = random.Random(f"{seed}/{run.parent.name}/{name}/{number}")  # noqa: S311 - it breaks files
            directory = work / run.parent.name / run.name
            shutil.copytree(run, directory)
            (directory / name).write_bytes(mutate((run / name).read_bytes(), chance))
            begun = time.monotonic()
            try:
                came[read(directory, run)] += 1
            except Exception as error:  # noqa: BLE001 - any is a finding
                frame = traceback.extract_tb(error.__traceback__)[-1]
                place = f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
                came["finding"] += 1
                findings.setdefault(place, f"{run.parent.name}/{name} number {number}: {error}"[:300])
            if time.monotonic() - begun > PATIENCE:
                findings.setdefault(f"{name} took long", f"{run.parent.name}/{name} number {number}")
            shutil.rmtree(directory)
    return came, findings


def main() -> int:
    """Print what came of it; 1 if there were findings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="how often each file is broken")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    failed = 0
    for run in RUNS:
        with tempfile.TemporaryDirectory(prefix="bothends-fuzz-") as work:
            came, findings = fuzz(run, arguments.count, arguments.seed, Path(work))
        sys.stdout.write(f"{run.parent.name}: {dict(came)}\n")
        sys.stdout.writelines(f"  {place}: {how}\n" for place, how in sorted(findings.items()))
        failed += len(findings)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
