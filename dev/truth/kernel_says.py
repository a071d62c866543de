"""What the kernel says of a run's calls and connections, and what would be said of the run without it. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from testbed.analysis.analyse import analyse
from testbed.analysis.calls.streams import Streams, build_streams
from testbed.analysis.kernel.calls_in_progress import CallsInProgress
from testbed.model import Analysis, Call, Host
from testbed.model.kernel_log import StateChange
from testbed.model.origins import Mechanism

Key = tuple[int, Host]
"""A connection's number, and one of its hosts."""

_ENDING = frozenset({"FIN_WAIT1", "LAST_ACK", "CLOSE"})


def without_kernel(analysis: Analysis) -> Analysis:
    """Return what captures and calls alone say of a run whose kernel trace is known.

    Calls that only the kernel's trace has stay: without them those of the two analyses would have other numbers.
    """
    return analyse(replace(analysis.inputs, kernel=None, proven=frozenset()))


@dataclass(frozen=True, slots=True)
class KernelSays:
    """The changes of state of each endpoint, and which call each packet was sent in, as the kernel recorded them.

    ``changes`` are in time order, ``sent_in`` is by crossing: the call that the call stack is in, where it is one.
    ``exact`` says of which hosts every packet has a stack.
    """

    streams: Streams
    changes: dict[Key, list[StateChange]] = field(default_factory=lambda: defaultdict(list))
    sent_in: dict[int, Call] = field(default_factory=dict)

    @classmethod
    def of(cls, analysis: Analysis) -> KernelSays:
        """Gather it from a run with a kernel trace."""
        inputs = analysis.inputs
        streams = build_streams(inputs.joined, inputs.calls, inputs.observed, inputs.proven)
        found = cls(streams)
        for change in analysis.kernel.state_changes if analysis.kernel is not None else ():
            if change.flow is not None and change.event.host is not None:
                found.changes[change.flow, change.event.host].append(change)
        calls = CallsInProgress(streams)
        for packet, cause in zip(inputs.joined.crossings, analysis.causes, strict=True):
            origin = cause.origin
            if origin is None or origin.mechanism is not Mechanism.CALL or not origin.syscall or origin.pid is None:
                continue
            when = packet.time - origin.waited
            call = calls.at(packet.sender, when, origin.syscall, packet.flow, origin.pid)
            named = {n for n in cause.calls if inputs.calls[packet.sender][n].name == (call and call.name)}
            if call is not None and (not named or call.n in named):  # else two of one name are too near each other
                found.sent_in[packet.n] = call
        return found

    def opened(self, key: Key) -> bool:
        """Say whether the connection was ever open at this host."""
        return any(change.new == "ESTABLISHED" for change in self.changes[key])

    def closed(self, key: Key) -> StateChange | None:
        """Return the change by which the kernel gave the connection up or was done with it."""
        return next((change for change in self.changes[key] if change.new == "CLOSE"), None)

    def ended_in(self, key: Key, call: Call) -> Iterator[StateChange]:
        """Yield the changes that end a direction or the connection and happened within a call."""
        for change in self.changes[key]:
            begun = call.start <= change.event.time
            if change.new in _ENDING and begun and (call.end is None or change.event.time <= call.end):
                yield change
