"""``invoke bench link``: what the link program costs: exactness of its delay, and throughput against the bare kernel.

Throughput is measured in one lab whose link host forwards by itself, then through the program, in turn, so that a
machine that is busy with other things is busy for both. Nobody captures meanwhile.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dev.bench.ratio import Ratio, Say, of_pairs, spread
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
DELAY_LIMITS = {"median": 1.05, "p99": 1.3}
"""How many times as long as a timer of this machine at the same time a packet may be held."""
_SLEEPER = f"""
import select, sys, time
taken = []
while not select.select([sys.stdin], [], [], 0)[0]:
    begin = time.perf_counter()
    time.sleep({DELAY_MS / 1000})
    taken.append(1000 * (time.perf_counter() - begin))
print(*taken)
"""
BYTES = 256 << 20
PORT = 10011
LIMITS = {"no delay": 0.5, "1 ms": 0.35}
"""The least that the ratio of throughputs, program to kernel, must be."""
DELAYS: dict[str, dict[str, str]] = {"no delay": {}, "1 ms": {"delay": "1000000"}}


def measure(*, repeat: int, say: Say) -> list[Ratio]:
    """Measure the delay beside a timer of this machine, and throughput of the program beside the kernel's."""
    with tempfile.TemporaryDirectory(prefix="bothends-bench-") as directory:
        with _timer() as late:
            delays = _one_way_delays(Path(directory))
        rates = _throughputs(Path(directory), repeat)
    say(f"one-way delay of a {DELAY_MS:g} ms link, {len(delays)} packets at about 1,000 a second:")
    ratios = []
    for name, limit in DELAY_LIMITS.items():
        delay, timer = _percentile(delays, name), _percentile(late, name)
        say(f"{name}: {delay:.3f} ms, a timer of {DELAY_MS:g} ms at the same time {timer:.3f} ms")
        what = f"{name} of the delay of a {DELAY_MS:g} ms link"
        ratios.append(Ratio("link", what, "a timer of this machine", delay / timer, limit))
    for name, values in rates.items():
        say(f"one TCP flow of {BYTES >> 20} MiB, {name}: {spread(values, 'Mbit/s', 1, 0)}")
    for name, limit in LIMITS.items():
        pairs = (rates[name], rates["kernel"])
        ratios.append(of_pairs("link", f"throughput, {name}", "the kernel forwards alone", pairs, limit, at_least=True))
    return ratios


def _percentile(values: list[float], name: str) -> float:
    return statistics.median(values) if name == "median" else sorted(values)[len(values) * 99 // 100]


@contextmanager
def _timer() -> Iterator[list[float]]:
    """Let a process of its own sleep DELAY_MS again and again; fills the list with how long each sleep took, ms."""
    taken: list[float] = []
    with subprocess.Popen([sys.executable, "-c", _SLEEPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield taken
        said, _ = process.communicate(b"end")
    taken.extend(map(float, said.split()))


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
    spec = LabSpec(new_run_id(), dict.fromkeys(HOSTS, host), ip=(4,), routed=True)
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
    plan = LinkPlan(seed=1, payload=False, settings=both, faults=(), changes={}, patience=0)
    link = RunningLink(live.link, directory, died)
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
            f"0 connect sock=s addr={live.addresses['server'].first} port={PORT}\n"
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
