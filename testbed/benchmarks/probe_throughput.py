"""What of iperf3's throughput is left under the probe: over the loopback, both ends observed, in turns with none.

Each end has a processor of its own where there are two. Single turns scatter by a tenth and more, and on a machine that
others use too the rate changes for seconds: so many short turns, each compared with its neighbour, and the median of
those shares counts.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from testbed.errors import LabError, LabTimeout, Unsupported
from testbed.observe.probe_format import HEADER_SIZE, BadLogError, read_header

SIZE = 500_000_000
"""Bytes of one turn."""
BLOCK = 128 * 1024
"""What iperf3 gives one call."""
LEAST_SHARE = 0.95
"""Throughput under the probe, of that without."""
TIMEOUT = 60.0
"""Seconds that one turn may take."""


def measure(probe: Path, turns: int) -> dict[str, list[float]]:
    """Return bits a second of every turn, with no observer (``none``) and with the library ``probe``."""
    if shutil.which("iperf3") is None:
        raise Unsupported("`iperf3` is not on this machine", hint="install it to measure throughput")
    rates: dict[str, list[float]] = {"none": [], "probe": []}
    for turn in range(turns):
        for name in list(rates)[:: -1 if turn % 2 else 1]:
            rates[name].append(_turn(probe if name == "probe" else None))
    return rates


def share(rates: dict[str, list[float]]) -> tuple[float, float, float]:
    """Return the median of what each turn under the probe had of its neighbour without, and its 95% limits."""
    pairs = sorted(probe / none for probe, none in zip(rates["probe"], rates["none"], strict=True))
    rank = max(0, int(len(pairs) / 2 - 0.98 * math.sqrt(len(pairs))))  # by the binomial distribution's normal form
    return statistics.median(pairs), pairs[rank], pairs[-1 - rank]


def show(rates: dict[str, list[float]]) -> None:
    """Print every turn, the medians and the share."""
    print(f"iperf3 over the loopback, Gbit/s ({len(rates['none'])} turns each, of {SIZE / 1e9:g} GB)")
    for name, values in rates.items():
        turns = " ".join(f"{value / 1e9:.1f}" for value in values)
        print(f"  {name:7}{statistics.median(values) / 1e9:6.2f}   of {turns}")
    left, low, high = share(rates)
    print(
        f"  {left:.3f} of the throughput is left under the probe (95%: {low:.3f} to {high:.3f}; limit: {LEAST_SHARE:g})"
    )


def _turn(probe: Path | None) -> float:
    memory = Path("/dev/shm")  # noqa: S108 - the directories are our own; a lab's logs are in memory too
    with tempfile.TemporaryDirectory(prefix="bothends-bench-", dir=memory if memory.is_dir() else None) as made:
        logs = {name: Path(made) / name for name in ("server", "client")}
        for directory in logs.values():
            directory.mkdir()
        environment = {name: _environment(probe, directory) for name, directory in logs.items()}
        rate = _transfer(environment, Path(made) / "server.out")
        if probe is not None:
            for name, directory in logs.items():
                _check_seen(name, directory)
    return rate


def _environment(probe: Path | None, logs: Path) -> dict[str, str]:
    preload = {"LD_PRELOAD": str(probe), "BOTHENDS_LOG_DIR": str(logs)} if probe else {}
    return dict(os.environ) | preload


def _transfer(environment: dict[str, dict[str, str]], said: Path) -> float:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    serve = ("iperf3", "-s", "-1", "-B", "127.0.0.1", "-p", port, "--forceflush")
    send = ("iperf3", "-c", "127.0.0.1", "-p", port, "-n", str(SIZE), "-l", str(BLOCK), "-J", *_processors())
    with (
        said.open("wb") as log,
        subprocess.Popen(serve, env=environment["server"], stdout=log, stderr=log) as server,
    ):
        try:
            _wait_listening(server, said)
            done = subprocess.run(
                send, env=environment["client"], timeout=TIMEOUT, capture_output=True, text=True, check=False
            )
            server.wait(TIMEOUT)
        except subprocess.TimeoutExpired as error:
            raise LabTimeout(f"iperf3 did not end within {TIMEOUT:g} s", last_output=said.read_text()) from error
        finally:
            server.kill()
    if done.returncode or server.returncode:
        raise LabError("iperf3 failed", last_output=said.read_text() + done.stdout + done.stderr)
    return float(json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"])


def _wait_listening(server: subprocess.Popen[bytes], said: Path) -> None:
    deadline = time.monotonic() + TIMEOUT
    while "listening" not in said.read_text():
        if server.poll() is not None or time.monotonic() > deadline:
            raise LabError("iperf3 does not listen", last_output=said.read_text())
        time.sleep(0.005)


def _processors() -> tuple[str, ...]:
    mine = sorted(os.sched_getaffinity(0))
    return ("-A", f"{mine[0]},{mine[1]}") if len(mine) > 1 else ()


def _check_seen(name: str, logs: Path) -> None:
    """Raise where the probe did not see a call for each block: a throughput without it would be none."""
    seen = 0
    for path in logs.iterdir():
        with path.open("rb") as log:
            try:
                header = read_header(log.read(HEADER_SIZE))
            except BadLogError as error:
                raise LabError(f"the probe's log of iperf3's {name} is of no use: {error}") from error
        seen += header.used - header.lost
    if seen < SIZE // BLOCK:
        raise LabError(f"the probe saw {seen} calls of iperf3's {name}, which made {SIZE // BLOCK} at least")
