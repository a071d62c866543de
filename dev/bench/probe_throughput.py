"""What of iperf3's throughput is left under the probe and the kernel's trace: both ends observed, in turns with none.

In a lab offloads are off as in every run. Over the loopback a call's 128 KiB are only copied, and their digest counts
most. Each end has a processor of its own where there are two. Single turns
scatter by a tenth and more, and on a machine that others use too the rate changes for seconds: so many short turns,
each compared with its neighbour, and the median of those shares counts.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

from dev.bench import iperf3, under_trace
from dev.bench.ratio import Ratio, Say, in_turns, of_pairs, spread
from testbed.lab.engine import LOG_DIRECTORY, PROBE_ENVIRONMENT
from testbed.lab.identity import new_run_id
from testbed.lab.namespace.namespace_engine import Namespaces
from testbed.model.errors import LabError, LabTimeout, Unsupported
from testbed.observe.probe.probe_format import HEADER_SIZE, BadLogError, read_header

Rates = Mapping[str, list[float]]
"""Bits a second of every turn, with no observer (``none``), with the probe (``probe``), with the trace (``trace``)."""
SIZES = {"lab": 200_000_000, "loopback": 500_000_000}
"""Bytes of one turn."""
BLOCK = 128 * 1024
"""What iperf3 gives one call."""
LEAST_SHARE = 0.95
"""Throughput under an observer, of that without."""


def measure(probe: Path, turns: int) -> dict[str, Rates]:
    """Measure in a lab and over the loopback, there with the library ``probe``.

    Raises Unsupported without iperf3, LabError where the probe did not see the calls.
    """
    if shutil.which("iperf3") is None:
        raise Unsupported("`iperf3` is not on this machine", hint="install it to measure throughput")
    engines = Namespaces()
    return {
        "lab": in_turns({name: partial(_in_lab, engines, name) for name in ("none", "probe", "trace")}, turns),
        "loopback": in_turns({"none": partial(_over_loopback, None), "probe": partial(_over_loopback, probe)}, turns),
    }


def ratios(rates: Mapping[str, Rates], say: Say) -> list[Ratio]:
    """Say every rate, and return what each observer leaves of its neighbour without one."""
    left = []
    for place, each in rates.items():
        for name, values in each.items():
            say(f"iperf3, {place}, {name}: {spread(values, 'Gbit/s', 1e-9)}")
            if name != "none":
                pairs = (values, each["none"])
                what = (
                    f"iperf3's throughput in a lab under the {name}" if place == "lab" else f"over the loopback, {name}"
                )
                left.append(of_pairs("probe", what, "without an observer", pairs, LEAST_SHARE, at_least=True))
    return left


def _in_lab(engines: Namespaces, name: str) -> float:
    return _traced_in_lab(engines) if name == "trace" else _probed_in_lab(engines, probed=name == "probe")


def _traced_in_lab(engines: Namespaces) -> float:
    run_id = new_run_id()
    with tempfile.TemporaryDirectory(prefix="bothends-bench-") as made, engines(lambda _: None) as engine:
        live = iperf3.bring_up(engine, under_trace.recorder(run_id), run_id)
        assert live.witness is not None  # noqa: S101 - it was asked for
        witness = under_trace.begin(live.witness, Path(made) / "recording")
        served = iperf3.serve(live.hosts["server"], under_trace.held(run_id, "server"))
        words = _client(live.addresses["server"].first, iperf3.PORT, SIZES["lab"])
        report = live.hosts["client"].run([*under_trace.held(run_id, "client"), *words])
        served()
        under_trace.end(witness, 2 * SIZES["lab"] // BLOCK)
    return iperf3.rate(report)


def _probed_in_lab(engines: Namespaces, *, probed: bool) -> float:
    preload = ("env", *(f"{name}={value}" for name, value in PROBE_ENVIRONMENT.items())) if probed else ()
    with engines(lambda _: None) as engine:
        live = iperf3.bring_up(engine)
        served = iperf3.serve(live.hosts["server"], preload)
        report = live.hosts["client"].run(
            [*preload, *_client(live.addresses["server"].first, iperf3.PORT, SIZES["lab"])]
        )
        served()
        for name, agent in live.hosts.items():
            if probed:
                logs = agent.list_directory(LOG_DIRECTORY)
                headers = [agent.read_part(f"{LOG_DIRECTORY}/{log}", 0, HEADER_SIZE) for log in logs]
                _check_seen(name, headers, SIZES["lab"])
    return iperf3.rate(report)


def _over_loopback(probe: Path | None) -> float:
    memory = Path("/dev/shm")  # noqa: S108 - the directories are our own; a lab's logs are in memory too
    with tempfile.TemporaryDirectory(prefix="bothends-bench-", dir=memory if memory.is_dir() else None) as made:
        logs = {name: Path(made) / name for name in ("server", "client")}
        for directory in logs.values():
            directory.mkdir()
        environment = {name: _environment(probe, directory) for name, directory in logs.items()}
        rate = _transfer(environment, Path(made) / "server.out")
        if probe is not None:
            for name, directory in logs.items():
                headers = [path.read_bytes()[:HEADER_SIZE] for path in directory.iterdir()]
                _check_seen(name, headers, SIZES["loopback"])
    return rate


def _environment(probe: Path | None, logs: Path) -> dict[str, str]:
    preload = {"LD_PRELOAD": str(probe), "BOTHENDS_LOG_DIR": str(logs)} if probe else {}
    return dict(os.environ) | preload


def _transfer(environment: dict[str, dict[str, str]], said: Path) -> float:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    serve = ("iperf3", "--server", "--one-off", "--bind", "127.0.0.1", "--port", str(port), "--forceflush")
    send = _client("127.0.0.1", port, SIZES["loopback"])
    with (
        said.open("wb") as log,
        subprocess.Popen(serve, env=environment["server"], stdout=log, stderr=log) as server,
    ):
        try:
            _wait_listening(server, said)
            done = subprocess.run(
                send, env=environment["client"], timeout=iperf3.TIMEOUT, capture_output=True, text=True, check=False
            )
            server.wait(iperf3.TIMEOUT)
        except subprocess.TimeoutExpired as error:
            raise LabTimeout(f"iperf3 did not end within {iperf3.TIMEOUT:g} s", last_output=said.read_text()) from error
        finally:
            server.kill()
    if done.returncode or server.returncode:
        raise LabError("iperf3 failed", last_output=said.read_text() + done.stdout + done.stderr)
    return iperf3.rate(done.stdout)


def _client(address: str, port: int, size: int) -> tuple[str, ...]:
    words = ("--client", address, "--port", str(port), "--bytes", str(size), "--length", str(BLOCK), "--json")
    mine = sorted(os.sched_getaffinity(0))
    return ("iperf3", *words, *(("--affinity", f"{mine[0]},{mine[1]}") if len(mine) > 1 else ()))


def _wait_listening(server: subprocess.Popen[bytes], said: Path) -> None:
    deadline = time.monotonic() + iperf3.TIMEOUT
    while "listening" not in said.read_text():
        if server.poll() is not None or time.monotonic() > deadline:
            raise LabError("iperf3 does not listen", last_output=said.read_text())
        time.sleep(0.005)


def _check_seen(name: str, headers: Iterable[bytes], size: int) -> None:
    """Raise where the probe did not see a call for each block: a throughput without that would be none under it."""
    seen = 0
    for log in headers:
        try:
            header = read_header(log)
        except BadLogError as error:
            raise LabError(f"the probe's log of iperf3's {name} is of no use: {error}") from error
        seen += header.used - header.lost
    if seen < size // BLOCK:
        raise LabError(f"the probe saw {seen} calls of iperf3's {name}, which made {size // BLOCK} at least")
