"""``invoke bench witness``: iperf3 between two hosts with the kernel's tracepoints recorded, and a whole run with them.

Each against the same without them. iperf3 runs in bare labs of namespaces, without taps or observers, offloads off as
in every run. The two take turns; the figure is the median of the pairs' ratios.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

from dev.bench import iperf3
from dev.bench.ratio import Ratio, Say, in_turns, of_pairs, spread
from dev.bench.whole_run import seconds
from testbed.lab.identity import new_run_id
from testbed.lab.kernel_trace import Witness, command
from testbed.lab.namespace.namespace_engine import Namespaces
from testbed.model.errors import Unsupported
from testbed.scenario.scenario import Observe

LEAST_RATIO = 0.9
"""Throughput with the witness must be at least this part of that without."""
MOST_RUN = 1.15
"""A whole run of namespaces with the kernel trace may take this many times as long as one without."""
SECONDS = "2"
RUN = ("run", "connect-send-close", "--quiet", "--engine", "namespace")


def measure(*, repeat: int, say: Say) -> list[Ratio]:
    """Measure each pair in turn."""
    return [_iperf3(repeat, say), _whole_run(repeat, say)]


def _whole_run(repeat: int, say: Say) -> Ratio:
    with tempfile.TemporaryDirectory(prefix="bothends-bench-") as runs:
        ours = [sys.executable, "-m", "invoke", *RUN, "--runs", runs]
        measures = {"with": partial(seconds, "run", ours), "without": partial(seconds, "run", [*ours, "--no-witness"])}
        taken = in_turns(measures, repeat)
    say(f"invoke run with the kernel trace {spread(taken['with'])}, without it {spread(taken['without'])}")
    pairs = (taken["with"], taken["without"])
    return of_pairs("witness", "a whole namespace run with the kernel trace", "without it", pairs, MOST_RUN)


def _iperf3(repeat: int, say: Say) -> Ratio:
    if shutil.which("iperf3") is None:
        raise Unsupported("`iperf3` is not on this machine", hint="install it")
    engines = Namespaces()
    sides = {"without": False, "with": True}
    taken = in_turns({name: partial(_throughput, engines, witnessed=way) for name, way in sides.items()}, repeat)
    rates = (spread(taken[name], "Gbit/s", 1e-9) for name in sides)
    say("iperf3 for {} s, offloads off: without the kernel trace {}, with it {}".format(SECONDS, *rates))
    pairs = (taken["with"], taken["without"])
    return of_pairs("witness", "iperf3 with the kernel trace", "without it", pairs, LEAST_RATIO, at_least=True)


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
        report = live.hosts["client"].run(
            ["iperf3", "--client", live.addresses["server"].first, "--time", SECONDS, "--json"]
        )
        served()
        if witness is not None:
            witness.stop()
            witness.close()
    return iperf3.rate(report)
