"""``invoke bench compare``: two captures of a million packets, compared, against what else reads them.

Each round runs every program on the same two files; the files are read once before, so that none waits for the disk.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev.bench.make_pair import make_pair

ROOT = Path(__file__).parents[2]
PACKETS = 1_000_000
SECONDS, MEBIBYTES, TIMES = 2.5, 700, 12
"""The limits: wall time and memory of a comparison, and by how much it is faster than tshark with its analysis."""
MORE = 1.2
"""By how much a larger pair may take longer than in proportion: disk caches may not hold it."""

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


def main(*, repeat: int, as_json: bool) -> int:
    """Measure all kinds of pairs; 0 if the limits are kept in the medians.

    BOTHENDS_BENCH_PACKETS sets another size: the limits grow with it, and only we read a larger pair.
    """
    packets = int(os.environ.get("BOTHENDS_BENCH_PACKETS", PACKETS))
    times = max(packets / PACKETS, 1)
    most = Run(SECONDS * times * (MORE if times > 1 else 1), MEBIBYTES * times)
    peers = {name: command for name, command in _peers().items() if shutil.which(command[0]) and times == 1}
    rows = []
    for name, flows, faults in PAIRS:
        with tempfile.TemporaryDirectory(prefix="bothends-bench-") as folder:
            pair = make_pair(Path(folder), packets=packets, flows=flows, loss=faults, late=faults)
            rows.append(_measure(name, pair, repeat, most, peers))
            if not as_json:
                print(_line(rows[-1]), flush=True)
    good = all(row["within"] for row in rows)
    result = {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}",
        "load": os.getloadavg()[0],
        "packets": packets,
        "limits": {"seconds": most.seconds, "mebibytes": most.mebibytes, "times_tshark": TIMES},
        "pairs": rows,
    }
    if as_json:
        print(json.dumps(result, indent=1))
    else:
        print(f"{result['machine']}, load {result['load']:.1f}; limits {'kept' if good else 'NOT kept'}")
    return 0 if good else 1


def _measure(name: str, pair: tuple[Path, Path], repeat: int, most: Run, peers: dict[str, list[str]]) -> dict[str, Any]:
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
    wall = statistics.median(run.seconds for run in runs)
    memory = max(run.mebibytes for run in runs)
    row: dict[str, Any] = {
        "pair": name,
        "bytes": [path.stat().st_size for path in pair],
        "seconds": [run.seconds for run in runs],
        "median_seconds": wall,
        "mebibytes": memory,
        "peers": {peer: statistics.median(times) for peer, times in seconds.items()},
    }
    row["times_tshark"] = row["peers"]["tshark"] / wall if "tshark" in row["peers"] else None
    faster = row["times_tshark"] is None or row["times_tshark"] >= TIMES
    row["within"] = wall <= most.seconds and memory <= most.mebibytes and faster
    return row


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


def _line(row: dict[str, Any]) -> str:
    peers = ", ".join(f"{peer} {seconds:.1f} s" for peer, seconds in row["peers"].items())
    times = f", {row['times_tshark']:.1f} times faster than tshark" if row["times_tshark"] else ""
    size = sum(row["bytes"]) / 2e6
    told = f"{row['pair']} ({size:.0f} MB each): {row['median_seconds']:.2f} s, {row['mebibytes']:.0f} MiB{times}"
    return f"{told}; {peers}" if peers else told
