"""What the taps of `invoke watch` drop while two programs move as much as the kernel lets them, up to 1 Gbit/s.

A part of ``invoke bench watch``. The sender is paced by the kernel (SO_MAX_PACING_RATE). Each figure is of several
seconds: how many of the packets that passed a tap it dropped. Where one dropped any, the run must say so.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from dev.bench.ratio import Ratio, Say
from dev.bench.two_programs import two_programs

RATE = 1_000_000_000
WAYS = {"whole packets": (), "headers": ("--headers",)}
SECONDS = 3
_SERVER = """
import socket, sys
listener = socket.create_server(("", 7000))
connection, _ = listener.accept()
while connection.recv(1 << 20):
    pass
"""
_CLIENT = """
import socket, struct, sys
with open(sys.argv[3], "r+b", buffering=0) as count:
    connection = socket.create_connection((sys.argv[1], 7000))
    connection.setsockopt(socket.SOL_SOCKET, 47, int(sys.argv[2]) // 8)
    data, sent = bytes(1 << 18), 0
    while True:
        connection.sendall(data)
        sent += len(data)
        count.seek(0)
        count.write(struct.pack("q", sent))
"""


def measure(say: Say) -> list[Ratio]:
    """Measure with frames as they are between containers, as large as the kernel likes, and with those of a wire."""
    ratios = []
    with tempfile.TemporaryDirectory(prefix="bothends-bench-") as made:
        count = Path(made, "count")
        count.write_bytes(bytes(8))
        for frames, segments in (("large frames", False), ("frames of a wire", True)):
            with two_programs(_SERVER, _CLIENT, (str(RATE), str(count)), segments=segments) as pids:
                for name, words in WAYS.items():
                    ratios.append(_dropped(pids, (f"{frames}, {name}", *words), count, say))
    return ratios


def _dropped(pids: tuple[int, int], named: tuple[str, ...], count: Path, say: Say) -> Ratio:
    name, *words = named
    argv = [sys.executable, "-m", "invoke", "watch", *(f"pid:{pid}" for pid in pids), *words, "--calls", "none"]
    argv += ["--for", f"{SECONDS}s", "--ring", "128MiB", "--json"]
    with tempfile.TemporaryDirectory(prefix="bothends-bench-") as runs:
        watching = subprocess.Popen(
            [*argv, "--runs", runs], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        assert watching.stderr is not None  # noqa: S101 - a pipe was asked for
        next(line for line in watching.stderr if line.startswith("watching"))
        before, begun = int.from_bytes(count.read_bytes(), sys.byteorder), time.monotonic()
        time.sleep(SECONDS - 1)
        moved = int.from_bytes(count.read_bytes(), sys.byteorder) - before
        rate = moved * 8 / (time.monotonic() - begun)
        told = _manifest(Path(runs), watching)
    taps = [tap["statistics"] for tap in told["taps"].values()]
    dropped, all_packets = (sum(tap[which] for tap in taps) for which in ("dropped by kernel", "received by filter"))
    if dropped and not told["incomplete"]:
        raise RuntimeError(f"{name}: {dropped} packets were dropped, and the run does not say so")
    say(f"{name}: {rate / 1e9:.2f} Gbit/s, {dropped:,} of {all_packets:,} packets dropped by a tap")
    share = dropped / max(all_packets, 1)
    return Ratio("watch", f"packets that taps dropped at {rate / 1e9:.1f} Gbit/s, {name}", "all", share, None)


def _manifest(runs: Path, watching: subprocess.Popen[str]) -> dict[str, Any]:
    """Return what the run says of itself; what would be made of its captures is not measured."""
    while True:
        ended = watching.poll() is not None
        for manifest in runs.glob("runs/*/2*/manifest.json"):  # it is written as a whole
            watching.kill()
            watching.communicate()
            found: dict[str, Any] = json.loads(manifest.read_text(encoding="utf-8"))
            return found
        if ended:
            raise RuntimeError(f"watching left no run: {watching.communicate()[1]}")
        time.sleep(0.2)
