"""One round of watching: every pair captured, the targets' calls recorded, and the runs that they become."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from testbed.lab.collected import Collected
from testbed.lab.docker.running_containers import RunningContainers
from testbed.lab.engine import Progress
from testbed.lab.identity import boot_id, new_run_id
from testbed.lab.namespace.beside import Beside
from testbed.model import Host
from testbed.model.errors import EngineError, LabError, Unsupported
from testbed.observe.kernel.observed_interface import SeenInterface
from testbed.rundir.layout import RECORDING, RunDirectory
from testbed.watch.call_recorder import (
    Checkpoint,
    Recorder,
    StraceRecorder,
    TraceRecorder,
    make_witness,
    pids_of,
    witness_words,
)
from testbed.watch.happenings import Happening
from testbed.watch.read_processes import first_process_in, network_of, why_not_here
from testbed.watch.seen_interface import seen_interface
from testbed.watch.watch_order import CallSource, Kept, WatchOrder
from testbed.watch.watched_end import WatchedEnd
from testbed.watch.watched_kernel import write_kernel
from testbed.watch.watched_pair import WatchedPair, all_rings

_WHERE = "stat -Lc %i /proc/self/ns/net; cat /proc/sys/kernel/random/boot_id"
Made = tuple[Mapping[Host, WatchedEnd], Callable[[], RunDirectory]]


class WatchRound:
    """Taps and trace of all pairs, from their start to their runs."""

    def __init__(
        self,
        made: Sequence[Made],
        order: WatchOrder,
        containers: RunningContainers,
        beside: Beside,
        progress: Progress,
    ) -> None:
        self.pairs = [WatchedPair(ends, order, directory()) for ends, directory in made]
        self._order = order
        self._containers = containers
        self._beside = beside
        self._progress = progress
        self._ends = {end.name: end for pair in self.pairs for end in pair.ends.values()}
        self._trace: TraceRecorder | None = None
        self._recorder: Recorder | None = None
        self._straces: dict[str, StraceRecorder] = {}
        self._note = ""
        self._seen: dict[tuple[str, str], SeenInterface] = {}
        self._recording = Path(tempfile.mkdtemp(prefix=".trace-", dir=self.pairs[0].directory.path.parent)) / RECORDING

    @property
    def happened(self) -> Happening | None:
        """The first event of any pair that was found so far."""
        found = [pair.happened for pair in self.pairs if pair.happened is not None]
        return min(found, key=lambda each: each.time) if found else None

    @property
    def died(self) -> bool:
        """Whether a tap has ended by itself."""
        return any(pair.died.is_set() for pair in self.pairs)

    def begin(self) -> None:
        """Start taps and trace; from then on events count."""
        for pair in self.pairs:
            pair.start()
        match self._order.calls:
            case CallSource.TRACE | CallSource.OFFERED:
                try:
                    self._begin_trace()
                except (Unsupported, EngineError, LabError) as error:
                    self._end_trace()
                    if self._order.calls is CallSource.TRACE:
                        self.give_up()
                        raise
                    self._note = f"calls are not recorded: {error.what}"
                    self._progress(self._note)
            case CallSource.STRACE:
                self._begin_strace()
        # Which of its moments calls are counted from is chosen later: an event after all of them is in any case kept.
        looked = [each.begun for each in self._trace.checkpoints] if self._trace is not None else []
        for pair in self.pairs:
            pair.begun, pair.events_since = (looked[0], looked[-1]) if looked else (pair.now(),) * 2

    def _begin_trace(self) -> None:
        refused = why_not_here()
        if refused:
            raise Unsupported(f"the kernel's trace cannot be had: {refused}")
        for end in self._ends.values():
            self._find_process(end)
        run_id = new_run_id()
        self._seen = self._find_interfaces()
        words = witness_words(run_id, self._seen.values())
        in_container = any(end.found.container for end in self._ends.values())
        recorder = self._containers.witness(run_id, words) if in_container else self._beside.witness(words)
        self._recorder = recorder
        witness, ring = make_witness(recorder.channel, self._recording, self._order.ring)
        addresses = frozenset(address for end in self._ends.values() for address in end.all_addresses)
        self._trace = TraceRecorder([end.found for end in self._ends.values()], witness, ring, addresses)
        self._trace.begin()

    def _find_interfaces(self) -> dict[tuple[str, str], SeenInterface]:
        """Return by which name each interface that is captured at is known, by target and its own name."""
        captured = {
            (pair.ends[host].name, device): pair.ends[host].found
            for pair in self.pairs
            for host, device in pair.devices.items()
        }
        found = {key: seen_interface(own.path, key[1]) for key, own in captured.items()}
        return {key: seen for key, seen in found.items() if seen is not None}

    @staticmethod
    def _find_process(end: WatchedEnd) -> None:
        """Find a container's first process by the number that this machine has for it.

        The engine may be in another PID namespace. Raises Unsupported where it is on another machine, or where several
        containers share a network namespace.
        """
        if end.agent is None or not end.found.container:
            return
        own, boot = end.agent.run(["sh", "-c", _WHERE]).split()
        if boot != boot_id():
            raise Unsupported("the kernel's trace cannot be had: the engine is on another machine")
        if str(network_of(end.found.pid)) == own:
            return
        pid = first_process_in(int(own))
        if not pid:
            raise Unsupported(f"the kernel's trace cannot be had: which processes are `{end.name}` is not known")
        end.found = replace(end.found, pid=pid)

    def _begin_strace(self) -> None:
        for name, end in self._ends.items():
            if end.agent is None:
                continue
            if end.found.container:
                agent, strace, pids = self._containers.tracer(end.found.container, end.found.target.label)
            else:
                agent, strace, pids = end.agent, self._beside.strace(), pids_of(end.found)
            self._straces[name] = StraceRecorder(name, agent, strace, pids)
        for tracer in self._straces.values():
            tracer.begin()

    def follow(self, before: WatchRound) -> None:
        """Count events from the end of the round before this one."""
        for pair, last in zip(self.pairs, before.pairs, strict=True):
            pair.events_since = last.ended

    def look(self) -> None:
        """Do what is to be done now and then."""
        if self._trace is not None:
            self._trace.look(all_rings(self.pairs))

    def _end_trace(self) -> None:
        if self._trace is not None:
            self._trace.stop()
        self._trace = None
        if self._recorder is not None:
            with contextlib.suppress(EngineError):  # who made it tries again, and says so
                self._recorder.remove()
        self._recorder = None
        shutil.rmtree(self._recording.parent, ignore_errors=True)

    def give_up(self) -> None:
        """End all, and keep nothing."""
        for tracer in self._straces.values():
            tracer.stop()
        self._end_trace()
        for pair in self.pairs:
            pair.stop()
            for path in pair.directory.path.glob("*"):
                path.unlink()
            if pair.directory.path.exists():
                pair.directory.path.rmdir()

    def finish(self, engine: Mapping[str, Any], cut_short: str) -> Iterator[Kept | tuple[str, str]]:
        """End all; yield each run, and the names of two that said nothing to each other."""
        if self._straces:  # letting go of every process takes a while, in which calls are not seen any more
            for pair in self.pairs:
                pair.note_end()
        for tracer in self._straces.values():
            tracer.stop()
        stopped = {id(pair): pair.stop() for pair in self.pairs}  # before the trace: what is captured is in it
        flaw = self._trace.stop() if self._trace is not None else ""
        try:
            for pair in self.pairs:
                collected, names = stopped[id(pair)], pair.names
                if collected is None:
                    yield names["client"], names["server"]
                    continue
                collected.notes += [self._note] if self._note else []
                collected.incomplete += [flaw] if flaw else []
                at = self._add_calls(pair, collected)
                pair.leave_out_edges(collected)
                if self._trace is not None and at is not None:
                    write_kernel(pair, self._trace, self._seen, collected)
                demanded = {CallSource.TRACE: "demanded", CallSource.OFFERED: "offered"}
                pair.write(collected, engine, cut_short, demanded.get(self._order.calls, "none"))
                yield Kept(
                    pair.directory, names["client"], names["server"], len(pair.taps) < len(pair.ends), pair.happened
                )
        finally:
            self._trace = None
            self._end_trace()

    def _add_calls(self, pair: WatchedPair, collected: Collected) -> Checkpoint | None:
        """Write a pair's calls; return the moment from which the trace's are counted, if there is one."""
        at: Checkpoint | None = None
        if self._trace is not None:
            at = pair.best_of(self._trace.candidates(pair.complete_since))
            if at is None:
                collected.notes.append("the ring holds nothing since the targets were last read: calls are left out")
                return None
            pair.begun = at.begun
            calls = {
                host: self._trace.calls(end.name, host, end.all_addresses, at)
                for host, end in pair.ends.items()
                if end.agent is not None
            }
            pair.take_calls(collected, calls, "trace", at)
        elif self._straces:
            traced = {host: self._straces[end.name].calls(host) for host, end in pair.ends.items() if end.agent}
            pair.take_calls(collected, traced, "strace", None)
        return at
