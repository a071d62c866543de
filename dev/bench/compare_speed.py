"""``invoke bench compare``: two captures of a million packets, compared, beside what else reads them.

Each turn runs every program on the same two files; the files are read once before, so that none waits for the disk.
Beside `compare` stand tcptrace and tshark, one file after the other, `cat` of both into memory, and what else is done
with the same two files: a page, a table of all packets, a diagnosis. Larger pairs stand beside that of a million.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dev.bench.make_pair import make_pair
from dev.bench.ratio import Ratio, Say, of_pairs, spread

ROOT = Path(__file__).parents[2]
PACKETS = 1_000_000
MEBIBYTES = 450
LARGEST = 1024  # MiB, however many packets there are
TCPTRACE, TSHARK, CAT, MORE, DIAGNOSE, LINEAR = 1.5, 35, 6, 1.5, 1.1, 1.1
"""The limits: memory of a comparison of so many packets, how often it may take what tcptrace and cat take, by how much
it is faster than tshark with its analysis, how often a page or a table, and a diagnosis, may take what it takes, and
what n times as many packets may take of n times the time."""

PAIRS = (
    ("1 flow", 1, 0.0),
    ("10,000 flows", 10_000, 0.0),
    ("1 flow, 1 % loss and reorder", 1, 0.01),
    ("10,000 flows, 1 % loss and reorder", 10_000, 0.01),
)
_TCPTRACE = ["tcptrace", "-n"]  # else it waits for the names of addresses
_TSHARK = ["-T", "fields", "-e", "frame.number", "-e", "tcp.analysis.flags", "-e", "tcp.analysis.retransmission", "-r"]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a program: wall seconds, those of processors, peak memory of it and its children in MiB."""

    seconds: float
    cpu: float
    mebibytes: float

    def __add__(self, other: Run) -> Run:
        """Return both as one, the other after this one."""
        return Run(self.seconds + other.seconds, self.cpu + other.cpu, max(self.mebibytes, other.mebibytes))


def measure(*, repeat: int, say: Say) -> list[Ratio]:
    """Measure all kinds of pairs.

    BOTHENDS_BENCH_PACKETS sets another size, BOTHENDS_BENCH_FOLDER where pairs are kept and found again,
    BOTHENDS_BENCH_TIMES how many times larger pairs are measured besides (``2``): one after the other, the largest of
    ``2,5,10,20`` takes 20 GB.
    """
    packets = int(os.environ.get("BOTHENDS_BENCH_PACKETS", PACKETS))
    ratios = []
    for name, flows, faults in PAIRS:
        with _pair(packets, flows, faults) as (pair, folder):
            ratios += _measure(name, pair, repeat, MEBIBYTES * max(packets / PACKETS, 1), say)
            if flows == 1 and faults:
                ratios += _more(name, pair, repeat, folder, say)
                for times in map(int, os.environ.get("BOTHENDS_BENCH_TIMES", "2").split(",")):
                    with _pair(times * packets, flows, faults) as (larger, _):
                        ratios += _larger(name, pair, larger, times, repeat, say)
    return ratios


@contextmanager
def _pair(packets: int, flows: int, faults: float) -> Iterator[tuple[tuple[Path, Path], Path]]:
    """Yield a pair of captures, and a folder for other files."""
    with tempfile.TemporaryDirectory(prefix="bothends-bench-") as made:
        folder = Path(os.environ.get("BOTHENDS_BENCH_FOLDER", made), f"{packets}-{flows}-{faults}")
        folder.mkdir(parents=True, exist_ok=True)
        pair = folder / "client.pcap", folder / "server.pcap"
        if not pair[1].exists():
            make_pair(folder, packets=packets, flows=flows, loss=faults, late=faults)
        yield pair, Path(made)


def compared(pair: Sequence[Path], *options: str) -> Run:
    """Compare two captures."""
    return run([sys.executable, "-m", "invoke", "compare", *map(str, pair), *options])


def _measure(name: str, pair: tuple[Path, Path], repeat: int, mebibytes: float, say: Say) -> list[Ratio]:
    ours: list[Run] = []
    diagnosed: list[Run] = []
    tcptrace: list[Run] = []
    floor: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="bothends-bench-", dir=_memory()) as memory:
        for turn in range(1 + repeat):
            for path in pair:
                _warm(path)
            runs = [compared(pair)]
            diagnosis = run([sys.executable, "-m", "invoke", "diagnose", *map(str, pair)])
            if shutil.which("tcptrace"):
                runs.append(run([*_TCPTRACE, str(pair[0])]) + run([*_TCPTRACE, str(pair[1])]))
            target = Path(memory, "both")
            with target.open("wb") as out:
                runs.append(run(["cat", *map(str, pair)], out.fileno()))
            target.unlink()
            if turn:  # the first one loads programs
                ours.append(runs[0])
                diagnosed.append(diagnosis)
                floor.append(runs[-1])
                tcptrace += runs[1:-1]
    memory_used = max(each.mebibytes for each in ours)
    say(f"{name}: {_spread(ours)}, {memory_used:.0f} MiB; cat: {_spread(floor)}")
    ratios = [Ratio("compare", f"memory, {name}", f"{mebibytes:g} MiB", memory_used / mebibytes, 1.0)]
    if tcptrace:
        say(f"{name}, tcptrace: {_spread(tcptrace)}")
        ratios.append(_wall(name, "tcptrace, one file after the other", ours, tcptrace, TCPTRACE))
        processors = [each.cpu for each in ours], [each.cpu for each in tcptrace]
        beside = "that of tcptrace, one file after the other"
        ratios.append(of_pairs("compare", f"processor time, {name}", beside, processors, TCPTRACE))
    say(f"{name}, diagnose: {_spread(diagnosed)}")
    ratios.append(_wall("diagnose", f"compare, {name}", diagnosed, ours, DIAGNOSE))
    ratios.append(_wall(name, "cat of both files to memory", ours, floor, CAT))
    if shutil.which("tshark"):  # it takes a minute
        tshark = run(["tshark", *_TSHARK, str(pair[0])]) + run(["tshark", *_TSHARK, str(pair[1])])
        again = compared(pair)
        say(f"{name}, tshark: {_spread([tshark])}")
        times = tshark.seconds / statistics.median([ours[-1].seconds, again.seconds])
        ratios.append(Ratio("compare", "tshark, one file after the other", name, times, TSHARK, at_least=True))
    return ratios


def _more(name: str, pair: tuple[Path, Path], repeat: int, folder: Path, say: Say) -> list[Ratio]:
    """Measure what else is done with two captures, beside a comparison alone."""
    alone: list[Run] = []
    commands = {
        "compare --html": partial(compared, pair, "--html", str(folder / "page.html")),
        "compare --csv": partial(compared, pair, "--csv", str(folder / "packets.csv")),
    }
    taken: dict[str, list[Run]] = {what: [] for what in commands}
    for _ in range(repeat):
        alone.append(compared(pair))
        for what, command in commands.items():
            taken[what].append(command())
    for what, runs in taken.items():
        say(f"{name}, {what}: {_spread(runs)}")
    return [_wall(what, f"compare, {name}", runs, alone, MORE) for what, runs in taken.items()]


def _larger(
    name: str, pair: tuple[Path, Path], larger: tuple[Path, Path], times: int, repeat: int, say: Say
) -> list[Ratio]:
    """Measure a pair that is so many times as large, beside the other so many times."""
    one: list[Run] = []
    many: list[Run] = []
    for turn in range(1 + repeat):
        for files, runs in ((pair, one), (larger, many)):
            for path in files:
                _warm(path)
            taken = compared(files)
            if turn:  # the first one loads programs
                runs.append(taken)
    memory_used = max(each.mebibytes for each in many)
    say(f"{name}, {times} times as many packets: {_spread(many)}, {memory_used:.0f} MiB")
    in_turn = [each.seconds for each in many], [times * each.seconds for each in one]
    return [
        of_pairs("compare", f"{times} times as many packets", f"{times} times compare, {name}", in_turn, LINEAR),
        Ratio("compare", f"memory, {times} times as many packets", f"{LARGEST} MiB", memory_used / LARGEST, 1.0),
    ]


def _wall(what: str, beside: str, runs: Sequence[Run], others: Sequence[Run], limit: float) -> Ratio:
    pairs = [each.seconds for each in runs], [each.seconds for each in others]
    return of_pairs("compare", what, beside, pairs, limit)


def _spread(runs: Sequence[Run]) -> str:
    return f"{spread([each.seconds for each in runs])}, {spread([each.cpu for each in runs])} of processors"


def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - memory, in a folder of its own


def _warm(path: Path) -> None:
    with path.open("rb") as stream:
        while stream.read(1 << 24):
            pass


def run(command: list[str], out: int = subprocess.DEVNULL) -> Run:
    """Run a program to its end. Raises RuntimeError where it fails."""
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.DEVNULL)
    most = 0
    while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
        most = max(most, _resident(process.pid))
        time.sleep(0.01)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(ended[1])
    if process.returncode not in (0, 1):
        raise RuntimeError(f"{command[0]} ended with status {process.returncode}")
    return Run(seconds, ended[2].ru_utime + ended[2].ru_stime, most / 1024)


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
