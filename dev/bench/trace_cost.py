"""``invoke bench witness``: iperf3 between two hosts with the kernel's tracepoints recorded, against without.

Bare labs of namespaces, without taps or observers, offloads off as in every run. The two take turns; the figure is the
median of the pairs' ratios.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import tempfile
from pathlib import Path

from dev.bench import iperf3
from testbed.lab.identity import new_run_id
from testbed.lab.kernel_trace import Witness, command
from testbed.lab.namespace.namespace_engine import Namespaces
from testbed.model.errors import Unsupported
from testbed.scenario.scenario import Observe

LEAST_RATIO = 0.9
"""Throughput with the witness must be at least this part of that without."""
SECONDS = "2"


def main(*, repeat: int, as_json: bool) -> int:
    """Measure; 0 if the median ratio is at least LEAST_RATIO."""
    if shutil.which("iperf3") is None:
        raise Unsupported("`iperf3` is not on this machine", hint="install it")
    engines = Namespaces()
    pairs = [(_throughput(engines, witnessed=False), _throughput(engines, witnessed=True)) for _ in range(repeat)]
    ratio = statistics.median(w / bare for bare, w in pairs)
    result = {
        "machine": f"{platform.machine()}, Linux {platform.release()}, load {os.getloadavg()[0]:.1f}",
        "repeat": repeat,
        "bits_per_second": {"without": [bare for bare, _ in pairs], "with": [w for _, w in pairs]},
        "ratio": ratio,
        "least_ratio": LEAST_RATIO,
    }
    if as_json:
        print(json.dumps(result, indent=1))
    else:
        bare, witnessed = (statistics.median(side) / 1e9 for side in zip(*pairs, strict=True))
        print(f"iperf3 for {SECONDS} s, offloads off ({result['machine']}, medians of {repeat})")
        print(f"  without the witness {bare:6.2f} Gbit/s\n  with it             {witnessed:6.2f} Gbit/s")
        print(f"  ratio {ratio:.3f} (limit: {LEAST_RATIO:g})")
    return 0 if ratio >= LEAST_RATIO else 1


def _throughput(engines: Namespaces, *, witnessed: bool) -> float:
    """Return what iperf3's receiver counted, bits a second."""
    run_id = new_run_id()
    recorder = command(run_id, buffer=Observe().kernel_buffer, arrivals=False) if witnessed else ()
    with tempfile.TemporaryDirectory(prefix="bothends-bench-") as made, engines(lambda _: None) as engine:
        live = iperf3.bring_up(engine, recorder, run_id)
        witness = Witness(live.witness, Path(made) / "recording") if live.witness is not None else None
        refusal = witness.wait_ready() if witness is not None else None
        if refusal is not None:
            raise refusal
        served = iperf3.serve(live.hosts["server"])
        report = live.hosts["client"].run(["iperf3", "--client", live.addresses["server"], "--time", SECONDS, "--json"])
        served()
        if witness is not None:
            witness.stop()
            witness.close()
    return iperf3.rate(report)
