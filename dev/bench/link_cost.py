"""``invoke bench link``: what the link program costs: exactness of its delay, and throughput against the bare kernel.

Throughput is measured in one lab whose link host forwards by itself, then through the program, in turn, so that a
machine that is busy with other things is busy for both. Nobody captures meanwhile.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from testbed.lab import pinned_sysctls
from testbed.lab.docker.docker_engine import DockerEngine, connect
from testbed.lab.engine import TOOLS_DIRECTORY, LabHost, LabSpec, LiveLab
from testbed.lab.identity import new_run_id
from testbed.lab.link_host import FILTERS, RunningLink
from testbed.lab.tcpdump import TcpdumpTap
from testbed.model import HOSTS, Host
from testbed.model.errors import BothendsError
from testbed.run.live_lab import run
from testbed.scenario.link.link_plan import LinkPlan
from testbed.scenario.load import parse

PACKETS = 3000
DELAY_MS = 5.0
MEDIAN_WITHIN_MS, P99_WITHIN_MS = 0.2, 1.5
BYTES = 256 << 20
PORT = 10011
LIMITS = {"no delay": 0.5, "1 ms": 0.35}
"""The least that the ratio of throughputs, program to kernel, must be."""
DELAYS: dict[str, dict[str, str]] = {"no delay": {}, "1 ms": {"delay": "1000000"}}


def main(*, repeat: int, as_json: bool) -> int:
    """Measure; 0 if all limits are kept."""
    with tempfile.TemporaryDirectory(prefix="bothends-bench-") as directory:
        delays = _one_way_delays(Path(directory))
        rates = _throughputs(Path(directory), repeat)
    median = statistics.median(delays)
    p99 = sorted(delays)[len(delays) * 99 // 100]
    ratios = {
        name: statistics.median(rate / bare for rate, bare in zip(rates[name], rates["kernel"], strict=True))
        for name in LIMITS
    }
    kept = {
        "median": abs(median - DELAY_MS) <= MEDIAN_WITHIN_MS,
        "p99": abs(p99 - DELAY_MS) <= P99_WITHIN_MS,
        **{name: ratios[name] >= limit for name, limit in LIMITS.items()},
    }
    if as_json:
        result: dict[str, Any] = {"load": os.getloadavg()[0], "delay_median_ms": median, "delay_p99_ms": p99}
        print(json.dumps({**result, "mbit_s": rates, "ratio": ratios, "kept": kept}, indent=1))
        return int(not all(kept.values()))
    print(f"one-way delay of a 5 ms link, {len(delays)} packets at about 1,000 a second")
    print(f"  median {median:.3f} ms   (5 ms within {MEDIAN_WITHIN_MS} ms){_missed(kept['median'])}")
    print(f"  p99    {p99:.3f} ms   (5 ms within {P99_WITHIN_MS} ms){_missed(kept['p99'])}")
    print(f"throughput of one TCP flow of {BYTES >> 20} MiB, {repeat} times each, in turn; Mbit/s")
    for name, values in rates.items():
        ratio = f"   ratio {ratios[name]:.2f} (least {LIMITS[name]}){_missed(kept[name])}" if name in ratios else ""
        print(f"  {name:9} median {statistics.median(values):6.0f}, {min(values):.0f} to {max(values):.0f}{ratio}")
    print(f"load of this machine at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    return int(not all(kept.values()))


def _missed(kept: bool) -> str:
    return "" if kept else "  MISSED"


def _one_way_delays(directory: Path) -> list[float]:
    """Return the delays, ms, of datagrams sent 1 ms apart, as the two captures show them."""
    text = (
        "summary: bench\ntimeout: 2m\nlink: {delay: 5ms}\nserver: {command: sleep 600, until: client-ends}\n"
        "observe: {client: none, server: none}\nclient:\n  steps:\n    - socket: udp\n"
        + f"    - send: {{text: x, to: 'server:{PORT}'}}\n    - sleep: 1ms\n"
        * PACKETS
    )
    scenario = parse(text.encode(), name="bench", path=directory / "bench.yaml", shown="bench.yaml")
    client = connect()
    done = run(scenario, root=directory, make_engine=lambda told: DockerEngine(client, told), progress=_tell)
    if done.analysis.inputs.incomplete:
        raise BothendsError("the run is not complete", state="; ".join(done.analysis.inputs.incomplete))
    crossings = [one for one in done.analysis.inputs.joined.crossings if one.protocol == "udp"]
    return [(one.arrived - one.sent) / 1e6 for one in crossings if one.sent is not None and one.arrived is not None]


def _throughputs(directory: Path, repeat: int) -> dict[str, list[float]]:
    rates: dict[str, list[float]] = {"kernel": [], **{name: [] for name in LIMITS}}
    host = LabHost("host", pinned_sysctls.for_host({}), pinned_sysctls.congestion_control({}))
    spec = LabSpec(new_run_id(), dict.fromkeys(HOSTS, host), ip=4, routed=True)
    with DockerEngine(connect(), _tell) as engine:
        live = engine.bring_up(spec)
        for side, agent in live.taps.items():
            tap = TcpdumpTap(side, agent, directory / f"{side}.pcap")
            tap.begin_routes(live.routes[side])()
            tap.turn_off_offloads()
        for turn in range(repeat + 1):
            for name, values in rates.items():
                with _linked(live, directory, DELAYS.get(name)):
                    rate = _transfer(live)
                if turn:
                    values.append(rate)
    return rates


@contextmanager
def _linked(live: LiveLab, directory: Path, settings: dict[str, str] | None) -> Iterator[None]:
    """Let the link program take the packets, or the kernel alone (``settings`` None)."""
    assert live.link is not None  # noqa: S101 - a routed lab has one
    if settings is None:
        yield
        return

    def died() -> None:
        raise BothendsError("the link program died")

    both: dict[Host, dict[str, str]] = dict.fromkeys(HOSTS, settings)
    plan = LinkPlan(seed=1, ip=4, payload=False, settings=both, faults=(), changes={}, patience=0)
    link = RunningLink(live.link, 4, directory, died)
    link.prepare()
    try:
        link.start(plan)
        yield
        link.stop()
    finally:
        for tool in FILTERS[4][:1]:
            live.link.agent.run([tool, "-F", "FORWARD"])


def _transfer(live: LiveLab) -> float:
    """Send BYTES from client to server; return Mbit/s from the client's start to the server's end."""
    actor = [f"{TOOLS_DIRECTORY}/actor"]
    listening: list[bytes] = []
    server = live.hosts["server"].start(actor, out=listening.append, err=_complain, stdin=True)
    server.write(
        (
            "0 socket as=l family=inet type=stream\n0 setsockopt sock=l name=SO_REUSEADDR value=1\n"
            f"0 bind sock=l addr=0.0.0.0 port={PORT}\n0 listen sock=l backlog=1\n1 accept sock=l as=c\n"
            "2 recv_all sock=c chunk=262144\nend\n"
        ).encode()
    )
    client = live.hosts["client"].start(actor, out=lambda _: None, err=_complain, stdin=True)
    while b'"listening"' not in b"".join(listening) and not server.ended.wait(0.01):
        pass
    client.write(
        (
            "0 socket as=s family=inet type=stream\n"
            f"0 connect sock=s addr={live.addresses['server']} port={PORT}\n"
            f"1 send sock=s size={BYTES} seed=1 chunk=262144\n2 close sock=s\nend\n"
        ).encode()
    )
    began = live.hosts["client"].hello()
    ended = server.wait(120)
    if ended is None or ended.status != 0:
        raise BothendsError(f"the transfer failed: {ended}")
    return BYTES * 8 / ((ended.time - began) / 1e9) / 1e6


def _complain(data: bytes) -> None:
    sys.stderr.write(data.decode(errors="replace"))


def _tell(text: str) -> None:
    print(text, file=sys.stderr)
