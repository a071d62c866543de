"""``invoke bench probe``: what one call costs under the probe, the kernel's trace and strace, against none, here.

They are compiled here by compose/Makefile, as in their images. All take turns; each figure is the least
of its turns, since noise only adds. Throughput is in :mod:`dev.bench.probe_throughput`.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from dev.bench import probe_throughput, under_trace
from testbed.model.errors import Unsupported
from testbed.observe.strace.strace_log import OPTIONS

ROOT = Path(__file__).parents[2]
LIMIT_NS = 1000.0
"""Nanoseconds that the probe may add to a call."""
TRACE_LIMIT_NS = 1500.0
"""Nanoseconds that the kernel's trace may add to a call."""
LEAST_RATIO = 20.0
"""How many times more strace must add."""
CALLS = {"none": 200_000, "probe": 200_000, "trace": 100_000, "strace": 4_000}
TURNS = 6
"""Of throughput, for each repetition: they scatter more than the cost of a call."""
_FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror")


def main(*, repeat: int, as_json: bool) -> int:
    """Measure; 0 if the probe costs a call and a throughput no more than the limits, strace LEAST_RATIO times more."""
    for tool in ("cc", "make", "strace"):
        if shutil.which(tool) is None:
            raise Unsupported(f"`{tool}` is not on this machine", hint=f"install it to measure against {tool}")
    with tempfile.TemporaryDirectory(prefix="bothends-bench-") as made:
        probe = _compile(Path(made))
        times = _measure(Path(made), probe, repeat)
        rates = probe_throughput.measure(probe, TURNS * repeat)
    least = {name: min(values) for name, values in times.items()}
    added = {name: least[name] - least["none"] for name in ("probe", "trace", "strace")}
    ratio = added["strace"] / max(added["probe"], 1.0)
    shares = {
        place: {name: probe_throughput.share(each, name) for name in each if name != "none"}
        for place, each in rates.items()
    }
    cheap = added["probe"] <= LIMIT_NS and added["trace"] <= TRACE_LIMIT_NS and ratio >= LEAST_RATIO
    fine = cheap and all(median >= probe_throughput.LEAST_SHARE for median, *_ in shares["lab"].values())
    result = {
        "machine": f"{platform.machine()}, Linux {platform.release()}, load {os.getloadavg()[0]:.1f}",
        "repeat": repeat,
        "ns_a_call": times,
        "added_ns": added,
        "ratio": ratio,
        "limit_ns": LIMIT_NS,
        "trace_limit_ns": TRACE_LIMIT_NS,
        "least_ratio": LEAST_RATIO,
        "bits_a_second": rates,
        "share": {
            place: {name: dict(zip(("median", "from", "to"), each, strict=True)) for name, each in under.items()}
            for place, under in shares.items()
        },
        "least_share": probe_throughput.LEAST_SHARE,
    }
    if as_json:
        print(json.dumps(result, indent=1))
        return 0 if fine else 1
    print(f"one send of one byte ({result['machine']}, least of {repeat})")
    for name, value in least.items():
        more = f"   {value - least['none']:+,.0f} ns" if name != "none" else ""
        print(f"  {name:7}{value:10,.0f} ns{more}")
    limits = f"limits: probe {LIMIT_NS:,.0f} ns, trace {TRACE_LIMIT_NS:,.0f} ns, {LEAST_RATIO:g} times"
    print(f"  strace adds {ratio:,.0f} times what the probe adds ({limits})")
    for place, each in rates.items():
        probe_throughput.show(place, each)
    return 0 if fine else 1


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
