"""Watch two or more targets until something happens: taps beside them, and a run directory for each pair."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import Any

from testbed.lab import host_sockets
from testbed.lab.agent import Agent
from testbed.lab.collected import Collected
from testbed.lab.docker.running_containers import RunningContainers
from testbed.lab.engine import LabHost, LabSpec, LiveLab, Progress
from testbed.lab.identity import new_run_id
from testbed.lab.namespace.beside import Beside
from testbed.lab.pinned_sysctls import parse_listing
from testbed.lab.tcpdump import Captured, TcpdumpTap
from testbed.model import HOSTS, Host
from testbed.model.errors import CaptureError, LabError, UsageError
from testbed.model.kernel_counters import KernelCounters
from testbed.run import build_manifest
from testbed.rundir.layout import MANIFEST, RunDirectory
from testbed.watch.edges import leave_out_edges
from testbed.watch.find_target import FoundTarget, find_target
from testbed.watch.happenings import Happening, HappeningWatch, Wanted
from testbed.watch.pcap_stream import RingFile
from testbed.watch.target import Target, ends

POLL = 0.2
LOOK = 2.0
"""Seconds between two looks at whether the targets are still there."""
HEADERS = 128
"""Bytes that are kept of each packet where only headers are wanted."""
SYSCTLS = ("/proc/sys/net/core", "/proc/sys/net/ipv4")


@dataclass(frozen=True, slots=True)
class WatchOrder:
    """How long to watch, and what to keep.

    ``until`` ends watching ``after`` seconds later, ``seconds`` in any case (0: only by hand). ``ring`` bounds what is
    kept of each capture, bytes (0: all); ``headers``: only :data:`HEADERS` bytes of each packet.
    """

    seconds: float = 0.0
    until: Wanted | None = None
    after: float = 2.0
    ring: int = 0
    headers: bool = False
    compose: str = ""


@dataclass(slots=True)
class Watched:
    """What came of it: a run directory for each pair that talked, and the event that ended it, if one was awaited."""

    runs: list[RunDirectory] = field(default_factory=list)
    silent: list[tuple[str, str]] = field(default_factory=list)
    happened: Happening | None = None
    ended: str = ""
    """Why it ended before its time: a target that went away, or a tap that died."""


@dataclass(slots=True)
class _End:
    """A target with the agent beside it. ``addresses`` are its own, by interface."""

    found: FoundTarget
    agent: Agent
    addresses: dict[str, list[str]]

    @property
    def all_addresses(self) -> list[str]:
        return [address for own in self.addresses.values() for address in own]


class _Pair:
    """Two ends whose conversation is captured at both."""

    def __init__(self, client: _End, server: _End, order: WatchOrder, directory: RunDirectory) -> None:
        self.ends: dict[Host, _End] = {"client": client, "server": server}
        self.directory = directory
        self.started = datetime.now(UTC)
        self.begun = self.ended = 0
        self.happenings: list[Happening] = []
        self.died = threading.Event()
        self.rings: dict[Host, RingFile] = {}
        self.before: dict[Host, KernelCounters] = {}
        expression = _between(client, server)
        self.taps = {host: self._tap(host, expression, order) for host in HOSTS}

    def _tap(self, host: Host, expression: str, order: WatchOrder) -> TcpdumpTap:
        end, peer = self.ends[host], self.ends["server" if host == "client" else "client"]
        captured = Captured(_route(end, peer), expression, HEADERS if order.headers else 0)

        def make_file(path: Path) -> RingFile:
            self.rings[host] = RingFile(path, order.ring)
            return self.rings[host]

        path = self.directory.file(f"{host}.pcap")
        tap = TcpdumpTap(host, end.agent, path, self.died.set, captured=captured, make_file=make_file)
        if order.until is not None:
            watch = HappeningWatch(order.until)
            tap.watch = lambda data: self.happenings.extend(watch.feed(data))
        return tap

    @property
    def happened(self) -> Happening | None:
        """The first event since both ends are captured."""
        found = [each for each in self.happenings if self.begun and each.time >= self.begun]
        return min(found, key=lambda each: each.time) if found else None


def watch(
    targets: Sequence[Target],
    order: WatchOrder,
    *,
    root: Path,
    progress: Progress,
    meanwhile: Callable[[], bool] = lambda: False,
) -> Watched:
    """Watch until an event, the time or an interruption ends it; nothing of the targets is touched.

    ``meanwhile`` is called now and then and says whether watching is to end. Run directories are made below
    ``root/runs``; they have captures and manifest, and are not evaluated. A KeyboardInterrupt ends watching, and what
    was captured is kept.

    Raises UsageError for what cannot be found, Unsupported, EngineError, LabError.
    """
    run_id = new_run_id()
    with ExitStack() as stack:
        containers = stack.enter_context(RunningContainers(run_id, progress))
        beside = stack.enter_context(Beside(progress))
        found = [find_target(target, containers, order.compose) for target in targets]
        for one, other in combinations(found, 2):
            if one.container and one.container == other.container:
                raise _together(one, other)
        started = {each.container: containers.started(each.container) for each in found if each.container}
        progress(f"starting {len(found)} taps")
        with ThreadPoolExecutor(len(found)) as pool:
            all_ends = list(pool.map(lambda each: _end(each, containers, beside), found))
        _check_apart(all_ends)
        pairs = [_pair(one, other, order, root) for one, other in combinations(all_ends, 2) if _meet(one, other)]
        if not pairs:
            names = " and ".join(f"`{each.target.text}`" for each in found)
            raise UsageError(f"{names} have no network in common", state=_listed(all_ends))
        result = Watched()
        error = ""
        try:
            for pair in pairs:
                _begin(pair)
            progress("watching" + (f" for {order.seconds:g} s" if order.seconds else "; Ctrl-C ends it"))
            result.ended = _until_the_end(pairs, order, containers, started, meanwhile)
        except KeyboardInterrupt:
            progress("ending")
        except LabError as failed:
            error = str(failed)
        happened = [pair.happened for pair in pairs if pair.happened is not None]
        result.happened = min(happened, key=lambda each: each.time) if happened else None
        engine = _engine(found, containers)
        for pair in pairs:
            if _finish(pair, order, engine, error or result.ended):
                result.runs.append(pair.directory)
            else:
                result.silent.append((pair.ends["client"].found.target.text, pair.ends["server"].found.target.text))
        return result


def _check_apart(all_ends: Sequence[_End]) -> None:
    for one, other in combinations(all_ends, 2):
        if one.all_addresses and one.addresses == other.addresses:
            raise _together(one.found, other.found)


def _together(one: FoundTarget, other: FoundTarget) -> UsageError:
    return UsageError(
        f"`{one.target.text}` and `{other.target.text}` are in one network namespace: what they send each other passes "
        "one interface, and there is no other end to capture at"
    )


def _end(found: FoundTarget, containers: RunningContainers, beside: Beside) -> _End:
    label = found.target.label
    agent = containers.tap(found.container, label) if found.container else beside.tap(_path(found), label)
    agent.hello()
    return _End(found, agent, _addresses(agent.run(["ip", "-json", "address", "show", "up"])))


def _path(found: FoundTarget) -> Path:
    assert found.namespace is not None  # noqa: S101 - whatever is no container has one
    return found.namespace


def _addresses(listing: str) -> dict[str, list[str]]:
    """Return the addresses of each interface but the loopback, from the JSON of `ip address`."""
    return {
        each["ifname"]: [own["local"] for own in each["addr_info"] if "local" in own and own["scope"] == "global"]
        for each in json.loads(listing or "[]")
        if "LOOPBACK" not in each.get("flags", ["LOOPBACK"])  # one that is not up is empty
    }


def _meet(one: _End, other: _End) -> bool:
    """Say whether each has an address of a family that the other has too."""
    families = [{":" in address for address in end.all_addresses} for end in (one, other)]
    return bool(families[0] & families[1]) and bool(_route(one, other)) and bool(_route(other, one))


def _route(end: _End, peer: _End) -> str:
    """Return the interface by which ``end`` reaches the first of its peer's addresses that it can, empty for none."""
    for address in peer.all_addresses:
        try:
            routes = json.loads(end.agent.run(["ip", "-json", "route", "get", address]))
        except LabError:  # no route to this one
            continue
        if routes and routes[0].get("dev") in end.addresses:
            return str(routes[0]["dev"])
    return ""


def _between(one: _End, other: _End) -> str:
    """Return a filter (pcap-filter(7)) for what the two ends send each other."""
    sides = [" or ".join(f"host {address}" for address in end.all_addresses) for end in (one, other)]
    return f"( {sides[0]} ) and ( {sides[1]} )"


def _pair(one: _End, other: _End, order: WatchOrder, root: Path) -> _Pair:
    client, server = ends(one.found.target, other.found.target)
    by_target = {id(end.found.target): end for end in (one, other)}
    directory = RunDirectory.create(root, f"watch-{client.label}-{server.label}", new_run_id())
    return _Pair(by_target[id(client)], by_target[id(server)], order, directory)


def _begin(pair: _Pair) -> None:
    for host, tap in pair.taps.items():
        tap.start()
        pair.before[host] = KernelCounters(host_sockets.counters(pair.ends[host].agent))
    pair.begun = pair.ends["client"].agent.hello()


def _until_the_end(
    pairs: Sequence[_Pair],
    order: WatchOrder,
    containers: RunningContainers,
    started: Mapping[str, str],
    meanwhile: Callable[[], bool],
) -> str:
    """Wait; return why it ended before its time, empty if it did not."""
    begin = looked = time.monotonic()
    targets = {id(end.found): end.found for pair in pairs for end in pair.ends.values()}
    while True:
        now = time.monotonic()
        if any(pair.happened for pair in pairs):
            time.sleep(order.after)
            return ""
        if (order.seconds and now - begin >= order.seconds) or meanwhile():
            return ""
        died = any(pair.died.is_set() for pair in pairs)
        if died:
            time.sleep(LOOK)  # with a target its network goes, and the tap with that: which of them ended shows soon
        if died or now - looked >= LOOK:
            looked = now
            gone = next(filter(None, (_gone(found, containers, started) for found in targets.values())), "")
            if gone or died:
                return gone or "a tap ended"
        time.sleep(POLL)


def _gone(found: FoundTarget, containers: RunningContainers, started: Mapping[str, str]) -> str:
    name = found.target.text
    if not found.container:
        return "" if found.lives() else f"`{name}` ended while it was watched"
    state = containers.state(found.container)
    if state:
        return f"`{name}` ended while it was watched ({state})"
    if containers.started(found.container) != started[found.container]:
        return f"`{name}` was restarted while it was watched: its network is another one since"
    return ""


def _engine(found: Sequence[FoundTarget], containers: RunningContainers) -> dict[str, str]:
    version = containers.version() if any(each.container for each in found) else {}
    return {"name": "watch", **version}


def _finish(pair: _Pair, order: WatchOrder, engine: Mapping[str, Any], cut_short: str) -> bool:
    """End the taps and write the manifest; False, and no directory stays, if the two never talked."""
    collected = Collected(observers=dict.fromkeys(HOSTS, "none"))
    try:
        pair.ended = pair.ends["client"].agent.hello()
    except LabError:
        pair.ended = time.time_ns()
    with ThreadPoolExecutor(len(HOSTS)) as pool:
        endings = {host: pool.submit(tap.stop) for host, tap in pair.taps.items()}
    for host, tap in pair.taps.items():
        failed = endings[host].exception()
        if failed is not None and not isinstance(failed, LabError):
            raise failed
        collected.incomplete += [str(failed)] if failed is not None else []
        died = tap.died()
        collected.incomplete += [str(died)] if died else []
        collected.incomplete += tap.problems(sentinel_seen=True)
        collected.tap_statistics[host] = tap.statistics
        _ask(pair.ends[host].agent, host, collected, pair.before.get(host))
    if not any(tap.statistics.get("captured") for tap in pair.taps.values()):
        for host in HOSTS:
            pair.directory.file(f"{host}.pcap").unlink(missing_ok=True)
        pair.directory.path.rmdir()
        return False
    collected.notes += _bounds(pair, order, cut_short)
    addresses = {host: end.all_addresses for host, end in pair.ends.items()}
    paths = {host: pair.directory.file(f"{host}.pcap") for host in HOSTS}
    try:
        left_out = leave_out_edges(paths, addresses, pair.begun, pair.ended)
    except CaptureError as error:
        collected.incomplete.append(error.what)
    else:
        if any(left_out.values()):
            words = " and ".join(f"{number} at the {host}" for host, number in left_out.items() if number)
            collected.notes.append(f"packets on their way as watching began or ended are left out: {words}")
    pair.directory.write_json(MANIFEST, _manifest(pair, collected, engine, addresses))
    return True


def _ask(agent: Agent, host: Host, collected: Collected, before: KernelCounters | None) -> None:
    """Fetch what the namespace is set to and has counted; a target that is gone tells nothing any more."""
    try:
        if before is not None:
            collected.counters[host] = KernelCounters(before.before, host_sockets.counters(agent))
        listing = agent.run(["grep", "-rs", "--exclude-dir=conf", "--exclude-dir=neigh", "", *SYSCTLS], fine=(0, 2))
        collected.sysctls[host] = parse_listing(listing)
        collected.tcpdump[host] = agent.run(["tcpdump", "--version"]).partition("\n")[0]
    except LabError as error:
        collected.notes.append(f"{host}: its settings are not known: {error.what}")


def _bounds(pair: _Pair, order: WatchOrder, cut_short: str) -> list[str]:
    notes = ["connections that were open before watching began are known from there on only"]
    if cut_short:
        notes.append(cut_short)
    for host, ring in pair.rings.items():
        if ring.dropped:
            notes.append(f"{host}: {ring.dropped:,} bytes of older packets did not fit into the ring and are not there")
    if order.headers:
        notes.append(f"of each packet {HEADERS} bytes were kept: bytes are counted, and contents are not compared")
    return notes


def _manifest(
    pair: _Pair, collected: Collected, engine: Mapping[str, Any], addresses: Mapping[Host, list[str]]
) -> dict[str, Any]:
    names = {host: end.found.target.text for host, end in pair.ends.items()}
    version = 6 if all(":" in address for own in addresses.values() for address in own) else 4
    hosts = {host: LabHost(image=names[host], sysctls={}, congestion_control="") for host in HOSTS}
    live = LiveLab(
        hosts={},
        taps={},
        addresses={host: own[0] for host, own in addresses.items()},
        routes={},
        manifest={"engine": dict(engine)},
    )
    made = build_manifest.build(
        scenario={
            "name": pair.directory.scenario,
            "summary": f"{names['client']} and {names['server']}, as they were watched",
            "by_hand": True,
        },
        spec=LabSpec(pair.directory.run_id, hosts, version),
        started=pair.started,
        observed=dict.fromkeys(HOSTS, "none"),
        live=live,
        collected=collected,
        error="",
    )
    for host, own in addresses.items():
        made["hosts"][host]["addresses"] = own
        made["hosts"][host]["watched"] = {"target": names[host], "what": pair.ends[host].found.what}
    return made


def _listed(all_ends: Sequence[_End]) -> str:
    return "; ".join(f"{end.found.target.text}: {', '.join(end.all_addresses) or 'no address'}" for end in all_ends)
