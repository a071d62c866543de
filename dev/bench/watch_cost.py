"""``invoke bench watch``: requests a second of a small HTTP server while it is watched, against before and after.

Server and client are Python programs in two network namespaces, one connection, one request after the other: the worst
case, as every request waits for every cost. Each way of watching takes turns with none; the figures are medians of the
pairs' ratios: of requests a second, and of the processor time that both programs took for a request.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dev.bench import watch_load
from dev.bench.ratio import Ratio, Say, of_pairs, spread
from dev.bench.two_programs import two_programs

WAYS = {
    "taps": ("--calls", "none"),
    "taps, headers": ("--calls", "none", "--headers"),
    "taps and trace": ("--calls", "trace"),
    "taps and strace": ("--calls", "strace"),
}
SECONDS = 2.0
_BEGIN_TIMEOUT = 120.0
_SERVER = """
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"x" * 1000)
    def log_message(self, *words):
        pass
ThreadingHTTPServer(("", 8080), Handler).serve_forever()
"""
_CLIENT = """
import http.client, mmap, struct, sys
with open(sys.argv[2], "r+b") as file:
    count = mmap.mmap(file.fileno(), 8)
connection = http.client.HTTPConnection(sys.argv[1], 8080)
n = 0
while True:
    connection.request("GET", "/")
    connection.getresponse().read()
    n += 1
    count[:8] = struct.pack("q", n)
"""


@dataclass(frozen=True, slots=True)
class _Rate:
    requests: float
    processor: float
    """Seconds that both programs took for a request."""


class _Pair:
    """A server and its client that run."""

    def __init__(self, pids: tuple[int, int], count: Path) -> None:
        self.pids = pids
        self._count = count

    def rate(self) -> _Rate:
        """Measure for some seconds."""
        first, spent, begun = self._requests(), self._spent(), time.monotonic()
        time.sleep(SECONDS)
        done = self._requests() - first
        return _Rate(done / (time.monotonic() - begun), (self._spent() - spent) / max(done, 1))

    def _requests(self) -> int:
        return int.from_bytes(self._count.read_bytes(), sys.byteorder)

    def _spent(self) -> float:
        fields = (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self.pids)
        return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")


def measure(*, repeat: int, say: Say) -> list[Ratio]:
    """Measure each way of watching in turn with none; there is no limit to keep."""
    pairs: dict[str, list[tuple[_Rate, _Rate]]] = {name: [] for name in WAYS}
    with tempfile.TemporaryDirectory(prefix="bothends-bench-") as made:
        count = Path(made, "count")
        count.write_bytes(bytes(8))
        with two_programs(_SERVER, _CLIENT, (str(count),)) as pids:
            pair = _Pair(pids, count)
            for _ in range(repeat):
                for name, words in WAYS.items():
                    bare = pair.rate()
                    with _watched(pids, words, made):
                        watched = pair.rate()
                    pairs[name].append((bare, watched))
    ratios = []
    for name, each in pairs.items():
        requests = [watched.requests for _, watched in each], [bare.requests for bare, _ in each]
        processor = [watched.processor for _, watched in each], [bare.processor for bare, _ in each]
        say(f"{name}: {spread(requests[0], 'requests/s', 1, 0)}, without {spread(requests[1], 'requests/s', 1, 0)}")
        ratios += [
            of_pairs("watch", f"requests a second, {name}", "unwatched", requests, None, at_least=True),
            of_pairs("watch", f"processor time of a request, {name}", "unwatched", processor, None),
        ]
    return ratios + watch_load.measure(say)


@contextmanager
def _watched(pids: tuple[int, int], words: tuple[str, ...], runs: str) -> Iterator[None]:
    targets = [f"pid:{pid}" for pid in pids]
    argv = [sys.executable, "-m", "invoke", "watch", *targets, *words, "--ring", "16MiB", "--json", "--runs", runs]
    watching = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert watching.stderr is not None  # noqa: S101 - a pipe was asked for
        said = []
        for line in watching.stderr:
            said.append(line)
            if line.startswith("watching"):
                break
        else:
            raise RuntimeError(f"`{' '.join(argv)}` did not begin: {''.join(said)}")
        yield
    finally:
        watching.kill()  # what it would make of the captures is not measured; its taps end with it
        watching.communicate(timeout=_BEGIN_TIMEOUT)
        time.sleep(1)
