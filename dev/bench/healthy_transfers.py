"""``invoke bench healthy``: random transfers without a fault, in which no error and no warning may be found.

Drawn are delay, address family, number of connections, requests on each, sizes of requests and replies, TCP_NODELAY,
how long the server thinks and who closes first. The link loses, alters and limits nothing.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import sys
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from dev.kept_engine import kept_engine
from dev.truth.draw_scenario import as_scenario
from testbed.model.errors import BothendsError
from testbed.model.findings import Severity
from testbed.report.text.finding_text import headline
from testbed.run.live_lab import run

COUNT, SEED = 1000, 7
_TOLD_EVERY = 50
_SIZES = (1, 20, 100, 700, 1448, 1449, 3000, 9000, 30_000, 120_000, 400_000)


def draw(seed: int, number: int) -> dict[str, Any]:
    """Return the scenario of a number, as its YAML file would hold it."""
    chance = random.Random(f"{seed}/{number}")
    names = [f"c{n}" for n in range(chance.choice((1, 1, 2, 3, 6)))]
    server: list[dict[str, Any]] = [{"listen": 7001}]
    client: list[dict[str, Any]] = []
    for name in names:
        client.append({"connect": "server:7001", "as": name})
        server.append({"accept": None, "as": name})
        if chance.random() < 0.5:
            client.append({"setsockopt": {"TCP_NODELAY": 1}, "on": name})
    for _ in range(chance.choice((1, 1, 2, 4))):
        for name in names:
            size = chance.choice(_SIZES)
            client.append({"send": {"size": size}, "on": name})
            server.append({"recv_exact": size, "on": name})
        for name in names:
            size = chance.choice(_SIZES)
            if chance.random() < 0.2:
                server.append({"sleep": f"{chance.choice((1, 20, 150))}ms"})
            server.append({"send": {"size": size}, "on": name})
            client.append({"recv_exact": size, "on": name})
    hosts = [client, server] if chance.random() < 0.7 else [server, client]
    for name in names:
        hosts[0].append({"shutdown": "write", "on": name})
        hosts[1] += [{"recv_all": None, "on": name}, {"close": name}]
        hosts[0] += [{"recv_all": None, "on": name}, {"close": name}]
    return {
        "summary": "A healthy transfer",
        "ip": chance.choice((4, 4, 6)),
        "link": {"delay": f"{chance.choice((0, 1, 5, 10, 25))}ms"},
        "server": {"steps": server},
        "client": {"steps": client},
    }


def measure(number: int) -> tuple[str, ...]:
    """Run one; return what was found to be wrong in it, and ``skipped`` where the lab could not carry it through."""
    root = Path(tempfile.mkdtemp(prefix="bothends-healthy-"))
    try:
        finished = run(
            as_scenario(draw(SEED, number), "healthy"), root=root, make_engine=kept_engine(), progress=_quiet
        )
        analysis = finished.analysis
        if analysis.diagnosis is None or analysis.inputs.incomplete or not analysis.diagnosis.looked_for:
            return ("skipped",)
        if any(sum(each.parts.values()) != each.total for each in analysis.diagnosis.time):
            return (f"number {number}: the parts of the time do not add up",)
        return tuple(f"{each.severity} {number}: {headline(each)}" for each in analysis.diagnosis.findings)
    except BothendsError:
        return ("skipped",)
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(root)


def _quiet(_: str) -> None:
    return None


def main(count: int = COUNT, jobs: int = 2) -> int:
    """Run so many; 0: no error and no warning was found in any, 1: in some."""
    told: Counter[str] = Counter()
    wrong = 0
    with ProcessPoolExecutor(jobs) as pool:
        try:
            for done, found in enumerate(pool.map(measure, range(count), chunksize=4), start=1):
                for text in found:
                    told[text.partition(" ")[0].rstrip(":")] += 1
                    if text != "skipped" and not text.startswith(Severity.NOTE):
                        wrong += 1
                        sys.stdout.write(f"{text}\n")
                        sys.stdout.flush()
                if done % _TOLD_EVERY == 0:
                    sys.stderr.write(f"{done:,} of {count:,} transfers, {wrong} errors and warnings\n")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # else all that was planned would still be done
            raise
    notes = ", ".join(f"{number:,} {name}" for name, number in sorted(told.items()))
    sys.stdout.write(f"{count:,} healthy transfers: {wrong} errors and warnings ({notes or 'nothing found'})\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main(*map(int, sys.argv[1:])))
