"""``invoke bench compare``: two captures of a million packets, compared, against what else reads them.

Each round runs every program on the same two files; the files are read once before, so that none waits for the disk.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from dev.bench.make_pair import make_pair
from dev.bench.ratio import Ratio, Say, spread

ROOT = Path(__file__).parents[2]
PACKETS = 1_000_000
MEBIBYTES, TIMES = 700, 12
"""The limits: memory of a comparison, and by how much it is faster than tshark with its analysis."""

PAIRS = (
    ("1 flow", 1, 0.0),
    ("10,000 flows", 10_000, 0.0),
    ("1 flow, 1 % loss and reorder", 1, 0.01),
    ("10,000 flows, 1 % loss and reorder", 10_000, 0.01),
)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a program: wall seconds, peak memory of it and its children in MiB."""

    seconds: float
    mebibytes: float


def measure(*, repeat: int, say: Say) -> list[Ratio]:
    """Measure all kinds of pairs. BOTHENDS_BENCH_PACKETS sets another size; only we read a larger pair."""
    packets = int(os.environ.get("BOTHENDS_BENCH_PACKETS", PACKETS))
    times = max(packets / PACKETS, 1)
    peers = {name: command for name, command in _peers().items() if shutil.which(command[0]) and times == 1}
    ratios = []
    for name, flows, faults in PAIRS:
        with tempfile.TemporaryDirectory(prefix="bothends-bench-") as folder:
            pair = make_pair(Path(folder), packets=packets, flows=flows, loss=faults, late=faults)
            ratios += _measure(name, pair, repeat, MEBIBYTES * times, peers, say)
    return ratios


def _measure(
    name: str, pair: tuple[Path, Path], repeat: int, mebibytes: float, peers: dict[str, list[str]], say: Say
) -> list[Ratio]:
    ours = [sys.executable, "-m", "invoke", "compare", *map(str, pair)]
    runs: list[Run] = []
    seconds: dict[str, list[float]] = {peer: [] for peer in peers}
    for turn in range(repeat):
        for path in pair:
            _warm(path)
        runs.append(_run(ours))
        if turn < 1:  # they take a minute
            for peer, command in peers.items():
                seconds[peer].append(sum(_run([*command, str(path)]).seconds for path in pair))
    memory = max(run.mebibytes for run in runs)
    wall = statistics.median(run.seconds for run in runs)
    say(f"{name}: {spread([run.seconds for run in runs])}, {memory:.0f} MiB")
    for peer, taken in seconds.items():
        say(f"{name}, {peer}: {spread(taken)}")
    ratios = [Ratio("compare", f"memory, {name}", f"{mebibytes:g} MiB", memory / mebibytes, 1.0)]
    if "tshark" in seconds:
        times = statistics.median(seconds["tshark"]) / wall
        ratios.append(Ratio("compare", "tshark on the same files", name, times, TIMES, at_least=True))
    return ratios


def _peers() -> dict[str, list[str]]:
    fields = ["-T", "fields", "-e", "frame.number", "-e", "tcp.analysis.flags", "-e", "tcp.analysis.retransmission"]
    return {"tshark": ["tshark", *fields, "-r"], "tcpdump": ["tcpdump", "-nn", "-r"], "tcptrace": ["tcptrace"]}


def _warm(path: Path) -> None:
    with path.open("rb") as stream:
        while stream.read(1 << 24):
            pass


def _run(command: list[str]) -> Run:
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    most = 0
    while process.poll() is None:
        most = max(most, _resident(process.pid))
        time.sleep(0.01)
    seconds = time.perf_counter() - started
    if process.returncode not in (0, 1):
        raise RuntimeError(f"{command[0]} ended with status {process.returncode}")
    return Run(seconds, most / 1024)


def _resident(pid: int) -> int:
    """Return the memory of a process and its children in KiB; what they share counts once."""
    own, shared = 0, 0
    todo = [pid]
    while todo:
        one = Path(f"/proc/{todo.pop()}")
        try:
            status = dict(line.split(":", 1) for line in (one / "status").read_text().splitlines())
            children = (one / "task" / one.name / "children").read_text().split()
        except (OSError, ValueError):  # it has ended
            continue
        own += sum(int(status[name].split()[0]) for name in ("RssAnon", "RssFile") if name in status)
        shared = max(shared, int(status.get("RssShmem", "0").split()[0]))
        todo += [int(child) for child in children]
    return own + shared
