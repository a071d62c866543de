"""What a page is made of, as values: nothing here reads a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from testbed.model import Analysis, Cause, Crossing, Flow, Host, Labels
from testbed.model.kernel_log import Assessment, SendState
from testbed.pairing.clock import ONE_CLOCK, Clock

if TYPE_CHECKING:
    from testbed.capture.columns import Capture
    from testbed.model.arrays import Int64


@dataclass(frozen=True, slots=True)
class PageSource:
    """One run to be shown.

    ``meta`` is what :func:`testbed.rundir.manifest.meta` returns, what it lacks is left out. Without ``captures`` the
    header fields that only they hold are not shown; ``loopbacks`` are the captures of the hosts' loopbacks. ``labels``
    are optional data of others. ``clock`` says how the server's clock runs against the client's, on which crossings are
    told. ``printed`` holds what programs printed by the artefact's name (``client.out``). ``conditions`` are (name,
    value) pairs that say under which the run was made.
    """

    analysis: Analysis
    meta: Mapping[str, Any]
    captures: Mapping[Host, Capture] = field(default_factory=dict)
    loopbacks: Mapping[Host, Capture] = field(default_factory=dict)
    labels: Labels = field(default_factory=dict)
    clock: Clock = ONE_CLOCK
    printed: Mapping[str, str] = field(default_factory=dict)
    conditions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class KernelOfPackets:
    """What a kernel trace says of packets, aligned with them.

    ``assessments`` of their causes, ``stacks`` the calls of functions that sent them (empty where they are not known),
    ``states`` as each left (None where it is not known), ``events`` in words.
    """

    assessments: Sequence[Assessment]
    stacks: Sequence[Sequence[str]]
    states: Sequence[SendState | None]
    events: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class ShownPackets:
    """The packets that a ladder shows: those of a run, or of two captures from anywhere.

    ``crossings`` are those that the page holds, in time order, of ``total``; what follows is aligned with them.
    ``marks`` are bits (:class:`testbed.report.html.marks.PacketMark`), ``counts`` says of how many of all packets each
    is true that the page offers. ``fates`` are the words for what became of a packet. ``ways`` says from which end of
    its flow a packet is (0: the client's). ``causes`` are empty where nothing is known about calls. ``labels`` are
    those of each host's capture. ``ends`` holds header fields, by the names of
    :data:`testbed.report.html.packet_columns.ENDS`, at the client and at the server; what an end did not capture counts
    for nothing. ``kernel`` is None without a kernel trace.
    """

    flows: Sequence[Flow]
    crossings: Sequence[Crossing]
    total: int
    marks: Sequence[int]
    counts: Mapping[int, int]
    fates: Sequence[str]
    ways: Sequence[int]
    causes: Sequence[Cause] = ()
    labels: Mapping[Host, Sequence[str]] = field(default_factory=dict)
    ends: Mapping[str, tuple[Int64, Int64]] = field(default_factory=dict)
    kernel: KernelOfPackets | None = None

    @property
    def cut(self) -> int:
        """How many packets are not in the page."""
        return self.total - len(self.crossings)
