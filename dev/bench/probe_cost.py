"""``invoke bench probe``: what one call costs under the probe, the kernel's trace and strace, against none, here.

They are compiled here by compose/Makefile, as in their images. All take turns; each figure is the least
of its turns, since noise only adds. Throughput is in :mod:`dev.bench.probe_throughput`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from dev.bench import probe_throughput, under_trace
from dev.bench.ratio import Ratio, Say, of_pairs, spread
from testbed.model.errors import Unsupported
from testbed.observe.strace.strace_log import OPTIONS

ROOT = Path(__file__).parents[2]
CALL_LIMITS = {"probe": 2.5, "trace": 4.0}
"""How many times as long as without an observer a send of one byte may take."""
LEAST_TIMES = 20.0
"""How many times more than the probe strace must add."""
CALLS = {"none": 200_000, "probe": 200_000, "trace": 100_000, "strace": 4_000}
TURNS = 6
"""Of throughput, for each repetition: they scatter more than the cost of a call."""
_FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror")


def measure(*, repeat: int, say: Say) -> list[Ratio]:
    """Measure what a call costs, and what is left of a throughput."""
    for tool in ("cc", "make", "strace"):
        if shutil.which(tool) is None:
            raise Unsupported(f"`{tool}` is not on this machine", hint=f"install it to measure against {tool}")
    with tempfile.TemporaryDirectory(prefix="bothends-bench-") as made:
        probe = _compile(Path(made))
        times = _measure(Path(made), probe, repeat)
        rates = probe_throughput.measure(probe, TURNS * repeat)
    least = {name: min(values) for name, values in times.items()}
    for name, values in times.items():
        say(f"one send of one byte, {name}: {spread(values, 'ns', 1, 0)}")
    added = {name: least[name] - least["none"] for name in ("probe", "strace")}
    ratios = [
        of_pairs("probe", f"a call under the {name}", "the call alone", (times[name], times["none"]), limit)
        for name, limit in CALL_LIMITS.items()
    ]
    times_more = added["strace"] / max(added["probe"], 1.0)
    ratios.append(Ratio("probe", "what strace adds to a call", "what the probe adds", times_more, LEAST_TIMES, True))
    return ratios + probe_throughput.ratios(rates, say)


def _compile(made: Path) -> Path:
    """Compile the probe, the recorder and what holds a program; return where the probe is."""
    probe, hold = made / "tools" / "libprobe.so", made / "tools" / "hold"
    subprocess.run(["make", "-s", "-C", ROOT / "compose", f"OUT={made}", probe, hold, "witness"], check=True)
    return probe


def _measure(made: Path, probe: Path, repeat: int) -> dict[str, list[float]]:
    loop, logs = made / "send_loop", made / "logs"
    subprocess.run(["cc", *_FLAGS, "-o", loop, Path(__file__).parent / "send_loop.c"], check=True)
    times: dict[str, list[float]] = {name: [] for name in CALLS}
    for _ in range(repeat):
        for name, calls in CALLS.items():
            if name == "trace":
                with under_trace.recording_here(made / "witness", calls) as run_id:
                    said = under_trace.run_here(run_id, made / "tools" / "hold", [str(loop), str(calls)])
                times[name].append(float(said))
                continue
            logs.mkdir()
            environment = dict(os.environ)
            if name == "probe":
                environment |= {"LD_PRELOAD": str(probe), "BOTHENDS_LOG_DIR": str(logs)}
            tracer = ["strace", *OPTIONS, "-o", str(made / "trace")] if name == "strace" else []
            done = subprocess.run(
                [*tracer, str(loop), str(calls)], env=environment, check=True, capture_output=True, text=True
            )
            if name == "probe" and not any(logs.iterdir()):
                raise Unsupported("the probe left no log: nothing was measured")
            times[name].append(float(done.stdout))
            shutil.rmtree(logs)
    return times
