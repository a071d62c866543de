"""``invoke bench start``: processor time until a command answers, against the start of Python and invoke alone.

A run's first line is what it says on standard error before anything of a lab is made; a shown run is one that was made
just before, as `invoke run X` and then `invoke show X/latest`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from dev.bench.ratio import Ratio, Say, in_turns, of_pairs, spread
from testbed.model.errors import BothendsError

ROOT = Path(__file__).parents[2]
SCENARIO = "connect-send-close"
FLOOR = 'python -c "import invoke"'
LIMITS = {"list": 2.0, "the first line of run": 2.0, "show of a run": 2.0}
"""How many times the processor time of FLOOR each may take. Where FLOOR takes 0.15 s, that is 0.3 s."""


def measure(*, repeat: int, say: Say) -> list[Ratio]:
    """Measure all in turn, thrice ``repeat`` times: each is short."""
    invoke = [sys.executable, "-m", "invoke"]
    with tempfile.TemporaryDirectory(prefix="bothends-bench-") as runs:
        run = [*invoke, "run", SCENARIO, "--engine", "namespace", "--runs", runs]
        _processor_seconds(run)
        measures: dict[str, Callable[[], float]] = {
            FLOOR: partial(_processor_seconds, [sys.executable, "-c", "import invoke"]),
            "list": partial(_processor_seconds, [*invoke, "list"]),
            "the first line of run": partial(_until_first_line, run),
            "show of a run": partial(_processor_seconds, [*invoke, "show", f"{SCENARIO}/latest", "--runs", runs]),
        }
        taken = in_turns(measures, 3 * repeat)
    for name, seconds in taken.items():
        say(f"{name}: {spread(seconds)} of processor time")
    return [of_pairs("start", name, FLOOR, (taken[name], taken[FLOOR]), limit) for name, limit in LIMITS.items()]


def _processor_seconds(command: list[str]) -> float:
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise BothendsError(
                f"`{' '.join(command)}` failed with exit code {process.returncode}",
                last_output=said.read().decode(errors="replace")[-2000:],
            )
    return used.ru_utime + used.ru_stime


def _until_first_line(command: list[str]) -> float:
    """Return the processor time that a command had taken when it wrote its first line; it goes on to its end."""
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None  # noqa: S101 - it is a pipe
        process.stderr.readline()
        numbers = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        process.stderr.read()
    if process.returncode:
        raise BothendsError(f"`{' '.join(command)}` failed with exit code {process.returncode}")
    return (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")  # utime and stime: proc(5)
