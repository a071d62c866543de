"""Two ends whose conversation is captured, and the run directory that it becomes."""

from __future__ import annotations

import contextlib
import io
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Any

from testbed.capture.read_file import read
from testbed.lab import host_sockets, pinned_sysctls
from testbed.lab.collected import Collected
from testbed.lab.session import SENTINEL_TIMEOUT
from testbed.lab.tcpdump import SENTINEL_PREFIX, Captured, TcpdumpTap
from testbed.model import Host, peer_of
from testbed.model.errors import CaptureError, LabError
from testbed.model.kernel_counters import KernelCounters
from testbed.observe.calls_jsonl import write_jsonl
from testbed.rundir.layout import MANIFEST, RunDirectory
from testbed.watch.call_recorder import Checkpoint, RecordedCalls
from testbed.watch.edges import all_written, last_time, leave_out_edges
from testbed.watch.event_scanner import EventScanner
from testbed.watch.happenings import Happening
from testbed.watch.known_calls import CapturedConnections, Connection, both_quiet, known_calls
from testbed.watch.pcap_stream import RingFile
from testbed.watch.watch_order import WatchOrder
from testbed.watch.watched_end import WatchedEnd, between, route
from testbed.watch.watched_manifest import KNOWN_FROM, watched_manifest

_BUFFER_KIB = "131072"
"""tcpdump's kernel buffer: 2,000 packets where offloads are on, which hand over 64 KiB at once; a tenth of a second of
1 Gbit/s is 200 of them, with as many ACKs."""


class WatchedPair:
    """Two ends whose conversation is captured: at both, or at the one that is not outside."""

    def __init__(self, ends: Mapping[Host, WatchedEnd], order: WatchOrder, directory: RunDirectory) -> None:
        self.ends = dict(ends)
        self.directory = directory
        self.started = datetime.now(UTC)
        self.begun = self.ended = self.events_since = 0
        self.died = threading.Event()
        self.rings: dict[Host, RingFile] = {}
        self.devices: dict[Host, str] = {}
        self._order = order
        self._happenings: list[Happening] = []
        self._scanners: list[EventScanner] = []
        self._before: dict[Host, KernelCounters] = {}
        expression = between(self.ends["client"], self.ends["server"])
        self.taps = {host: self._tap(host, expression) for host, end in self.ends.items() if end.agent is not None}

    @property
    def names(self) -> dict[Host, str]:
        """The targets as they were named, without the words that say which end one is."""
        return {host: end.name.removeprefix(f"{host}=") for host, end in self.ends.items()}

    @property
    def addresses(self) -> dict[Host, list[str]]:
        """The addresses of each end."""
        return {host: end.all_addresses for host, end in self.ends.items()}

    def _tap(self, host: Host, expression: str) -> TcpdumpTap:
        end, peer = self.ends[host], self.ends[peer_of(host)]
        assert end.agent is not None  # noqa: S101 - asked for those only that have one
        self.devices[host] = route(end, peer)
        captured = Captured(self.devices[host], expression, self._order.headers, _BUFFER_KIB)

        def make_file(path: Path) -> RingFile:
            self.rings[host] = RingFile(path, self._order.ring)
            return self.rings[host]

        path = self.directory.file(f"{host}.pcap")
        tap = TcpdumpTap(host, end.agent, path, self.died.set, captured=captured, make_file=make_file)
        if self._order.until is not None:
            self._scanners.append(EventScanner(self._order.until, self._happenings.append))
            tap.watch = self._scanners[-1].put
        return tap

    @property
    def happened(self) -> Happening | None:
        """The first event that was found since both ends are captured."""
        found = [each for each in self._happenings if self.events_since and each.time >= self.events_since]
        return min(found, key=lambda each: each.time) if found else None

    def start(self) -> None:
        """Start the taps."""
        for host, tap in self.taps.items():
            tap.start()
            self._before[host] = KernelCounters(host_sockets.begin_counters(tap.agent)())

    def now(self) -> int:
        """Return the clock of the captures, ns."""
        try:
            return next(iter(self.taps.values())).agent.hello()
        except LabError:
            return time.time_ns()

    def note_end(self) -> None:
        """Note that watching ends now: what is captured from here on is left out."""
        self.ended = self.now()

    def stop(self) -> Collected | None:
        """End the taps; None, and no directory stays, if the two never talked."""
        collected = Collected(observers=dict.fromkeys(self.ends, "none"))
        if not self.ended:
            self.note_end()
        seen = self._prove(collected) if self._order.sentinel else {}
        with ThreadPoolExecutor(len(self.taps)) as pool:
            endings = {host: pool.submit(tap.stop) for host, tap in self.taps.items()}
        for host, tap in self.taps.items():
            failed = endings[host].exception()
            if failed is not None and not isinstance(failed, LabError):
                raise failed
            collected.incomplete += [str(failed)] if failed is not None else []
            died = tap.died()
            collected.incomplete += [str(died)] if died else []
            collected.incomplete += tap.problems(sentinel_seen=seen.get(host, True))
            collected.tap_statistics[host] = tap.statistics
            self._ask(host, collected)
        for scanner in self._scanners:
            scanner.end()
        if any(ring.made for ring in self.rings.values()):
            self.ended = min(self.ended, *map(self._known_until, self.taps))
            return collected
        for host in self.taps:
            self.directory.file(f"{host}.pcap").unlink(missing_ok=True)
        self.directory.path.rmdir()
        return None

    def _known_until(self, host: Host) -> int:
        """Return until when (ns) a capture has all."""
        if all_written(self.taps[host].statistics):
            return self.ended
        try:
            return last_time(read(self.directory.file(f"{host}.pcap")))
        except CaptureError:
            return self.ended  # said where it is evaluated

    def _prove(self, collected: Collected) -> dict[Host, bool]:
        """Send a sentinel each way; return whether each capture has both. A capture is a queue: all before is in it."""
        ways = [(host, peer_of(host)) for host in self.taps if peer_of(host) in self.taps]
        texts = {way: f"{SENTINEL_PREFIX} {way[0]} {token_hex(8)}" for way in ways}
        for tap in self.taps.values():
            tap.expect(list(texts.values()))
        for (host, other), text in texts.items():
            agent = self.taps[host].agent
            with contextlib.suppress(LabError):  # else it is answered by ICMP, which is left out
                agent.open_sentinel()
            try:
                agent.send_sentinel(self._reached(host, other), text)
            except LabError as error:
                collected.incomplete.append(f"the sentinel could not be sent: {error.what}")
        return {host: tap.wait_seen(SENTINEL_TIMEOUT) for host, tap in self.taps.items() if texts}

    def _reached(self, host: Host, other: Host) -> str:
        """Return the first address of the other end that has an address of ours in its family."""
        own = {":" in address for address in self.addresses[host]}
        return next((each for each in self.addresses[other] if (":" in each) in own), self.addresses[other][0])

    def _ask(self, host: Host, collected: Collected) -> None:
        """Fetch what the namespace is set to and has counted; a target that is gone tells nothing any more."""
        agent, before = self.taps[host].agent, self._before.get(host)
        try:
            if before is not None:
                collected.counters[host] = KernelCounters(before.before, host_sockets.begin_counters(agent)())
            files = agent.begin_trees(pinned_sysctls.READ_BELOW, without=pinned_sysctls.OF_INTERFACES)()
            collected.sysctls[host] = pinned_sysctls.by_name(files)
            collected.tcpdump[host] = agent.run(["tcpdump", "--version"]).partition("\n")[0]
        except LabError as error:
            collected.notes.append(f"{host}: its settings are not known: {error.what}")

    @property
    def complete_since(self) -> int:
        """Return since when (ns) both captures have all."""
        return max((ring.complete_since for ring in self.rings.values()), default=0)

    def take_calls(
        self, collected: Collected, calls: Mapping[Host, RecordedCalls], observer: str, at: Checkpoint | None
    ) -> None:
        """Write the calls that can be put beside packets; note how many connections' cannot.

        ``at``: what is known of the targets at a moment since which everything is there; :attr:`begun` is then.
        """
        captures = self._captures()
        if captures is None:
            return
        old = frozenset.union(*(each.opened_before(self.begun) for each in captures))
        quiet = self._countable(captures, at) if at is not None else frozenset()
        left_out: set[frozenset[object]] = set()
        for host, recorded in calls.items():
            kept = known_calls(recorded.calls, old, quiet, (self.begun, self.ended))
            left_out |= {frozenset(each) for each in kept.left_out}
            collected.observers[host] = observer
            collected.incomplete += [f"{host}: {problem}" for problem in recorded.problems]
            lines = io.StringIO()
            write_jsonl(kept.calls, lines)
            self.directory.write_text(f"{host}.calls.jsonl", lines.getvalue())
        if left_out:
            were = "1 connection was" if len(left_out) == 1 else f"{len(left_out)} connections were"
            collected.notes.append(
                f"{were} open before and moved bytes as watching began: calls and packets cannot be counted "
                "from one byte, so that the calls are left out"
            )

    def best_of(self, moments: Sequence[Checkpoint]) -> Checkpoint | None:
        """Return the moment from which on most connections that are older can be counted, of several the first.

        What happened is after it: an event that ended watching is in the run.
        """
        captures = self._captures()
        moments = before_it(moments, self.happened)
        if captures is None or not moments:
            return None
        counted = [len(self._countable(captures, each)) for each in moments]
        return moments[counted.index(max(counted))]

    def _countable(self, captures: Sequence[CapturedConnections], at: Checkpoint) -> frozenset[Connection]:
        """Return the older connections of which calls and packets are counted from one byte since a moment."""
        quiet = both_quiet(
            {host: at.states[end.name].quiet for host, end in self.ends.items() if end.agent is not None}
        )
        quiet &= frozenset.union(*(each.opened_before(at.begun) for each in captures))
        since = min(state.since for state in at.states.values())
        for each in captures:
            quiet &= each.countable(quiet, since, at.begun)
        return quiet

    def _captures(self) -> list[CapturedConnections] | None:
        try:
            return [CapturedConnections(read(self.directory.file(f"{host}.pcap"))) for host in self.taps]
        except CaptureError:
            return None  # said where it is evaluated

    def leave_out_edges(self, collected: Collected) -> None:
        """Leave out of the captures what only one of them can have: their frames have their numbers from then on."""
        paths = {host: self.directory.file(f"{host}.pcap") for host in self.taps}
        left_out: dict[Host, int] = {}
        try:
            if len(paths) == len(self.ends):
                left_out = leave_out_edges(paths, self.addresses, max(self.begun, self.complete_since), self.ended)
        except CaptureError as error:
            collected.incomplete.append(error.what)
        else:
            if any(left_out.values()):
                words = " and ".join(f"{number} at the {host}" for host, number in left_out.items() if number)
                collected.notes.append(f"packets on their way as watching began or ended are left out: {words}")

    def write(self, collected: Collected, engine: Mapping[str, Any], cut_short: str, witness: str) -> None:
        """Write the manifest."""
        collected.notes += self._bounds(cut_short)
        made = watched_manifest(
            self.directory,
            {host: (self.names[host], end.found.what) for host, end in self.ends.items()},
            self.addresses,
            collected,
            started=self.started,
            engine=engine,
            witness=witness,
        )
        self.directory.write_json(MANIFEST, made)

    def _bounds(self, cut_short: str) -> list[str]:
        notes = [KNOWN_FROM]
        if cut_short:
            notes.append(cut_short)
        for host, ring in self.rings.items():
            if ring.dropped:
                notes.append(
                    f"{host}: {ring.dropped:,} bytes of older packets did not fit into the ring and are not there"
                )
        if self._order.headers:
            notes.append(
                f"of each packet {self._order.headers} bytes were kept: bytes are counted, contents are not compared"
            )
        if not self._order.sentinel:
            notes.append("no sentinel was sent: that the captures are complete is what tcpdump counted")
        for host, end in self.ends.items():
            if end.agent is None:
                notes.append(f"only one end was captured: {end.name}, the {host}, is outside")
        return notes


def before_it(moments: Sequence[Checkpoint], happened: Happening | None) -> Sequence[Checkpoint]:
    """Return the moments that came before an event, of none the first."""
    return moments if happened is None else [each for each in moments if each.begun <= happened.time] or moments[:1]


def all_rings(pairs: Sequence[WatchedPair]) -> list[RingFile]:
    """Return the captures of some pairs."""
    return [ring for pair in pairs for ring in pair.rings.values()]
