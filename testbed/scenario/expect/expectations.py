"""What a scenario expects of a run, as written. Evaluated by ``testbed/analysis/expect/check_expectations.py``.

One class for each kind; the key that names the kind is a field of the same name, so that a model mirrors its YAML.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, PrivateAttr, Tag, model_validator

from testbed.model import Host
from testbed.scenario.expect.packet_patterns import Event, Pattern
from testbed.scenario.language.base import Frozen, Opt
from testbed.scenario.language.limits import AT_LEAST_ONE, Amount, CountText, Ratio, Result, SpanLimits
from testbed.scenario.language.payload import Data, Payload
from testbed.scenario.language.values import (
    Call,
    CauseRule,
    Errno,
    ExitStatus,
    LabelName,
    Share,
    Text,
    Whole,
    WhyNoPacket,
)


class Expectation(Frozen):
    """One expectation of any kind."""

    when: Opt[dict[Text, Any]] = None
    """Only in the variants in which these settings of the matrix have these values: {observe.client: probe}."""
    share: Opt[Share] = Field(default=None, alias="in")
    """In how many of a scenario's repeats it must hold: 99%. In a single run it is shown and not judged."""

    _where: str = PrivateAttr(default="")
    _source: Any = PrivateAttr(default=None)

    def located(self, where: str, source: object) -> Self:
        """Remember where it stands (``scenarios/x.yaml:12``) and what stands there; returns itself."""
        self._where, self._source = where, source
        return self

    def applies(self, settings: Mapping[str, Any]) -> bool:
        """Whether it is about the variant with these settings."""
        return all(path in settings and settings[path] == value for path, value in (self.when or {}).items())

    @property
    def where(self) -> str:
        """File and line, empty when it was not read from a file."""
        return self._where

    @property
    def text(self) -> str:
        """The expectation in one line of YAML."""
        import yaml

        source = self._source
        if source is None:
            source = self.model_dump(mode="json", by_alias=True, exclude_unset=True)
        flow = yaml.safe_dump(source, default_flow_style=True, width=1 << 20, sort_keys=False, allow_unicode=True)
        return flow.strip()


class Segments(Expectation):
    """The payloads of the segments that a host sent, in order, first transmissions only."""

    segments: dict[Host, tuple[Payload, ...]] = Field(min_length=1)
    """For each host, the payloads in order: text, {bytes: "00ff"} or {size: 1448}."""


OF_A_CALL = ("packets", "why", "result", "errno", "args", "data", "took", "count")
"""What can be expected of a call."""


class CallExpectation(Expectation):
    """How one socket call ended, and which packets it caused with all answers that these had."""

    call: Call
    """The call's name, as the program used it."""
    host: Host = "client"
    """The host that made the call."""
    nth: Whole = Field(default=1, ge=1)
    """Which of the host's calls of this name, from 1."""
    packets: Opt[tuple[Pattern, ...]] = None
    """These packets in order. An ACK that is not listed is passed over; one that came with later data is forgiven."""
    why: Opt[WhyNoPacket] = None
    """The reason for which the call caused no packet."""
    result: Opt[Result] = None
    """What the call returned: a number, a limit or a range."""
    errno: Opt[Errno] = None
    """The error that the call gave."""
    args: Opt[dict[Text, Any]] = Field(default=None, min_length=1)
    """Arguments as they were recorded, results that come back through them included: {name: SO_ERROR, value:
    ECONNREFUSED}, {revents: POLLIN|POLLHUP}."""
    data: Opt[Data] = None
    """The bytes that the call moved."""
    took: Opt[SpanLimits] = None
    """How long it lasted: only where the kernel fixes a time."""
    count: Opt[CountText] = None
    """How often the host made this call."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.model_fields_set.isdisjoint(OF_A_CALL):
            listed = f"{', '.join(OF_A_CALL[:-1])} and {OF_A_CALL[-1]}"
            raise ValueError("nothing is expected of the call", f"at least one of {listed}")
        if self.errno is not None and self.result is not None and not self.result.holds(-1):
            raise ValueError(f"a call that fails with {self.errno} returns -1, not {self.result}")
        if self.why is not None and self.packets:
            raise ValueError("`why` is the reason for no packet", "`packets: []`, or leave `packets` out")
        return self


class LedgerFigures(Frozen):
    """How far the bytes that one host sent got. A figure that is left out is not checked."""

    written: Opt[Amount] = None
    """Accepted by the sender's socket calls."""
    sent: Opt[Amount] = None
    """Distinct bytes on the sender's wire."""
    arrived: Opt[Amount] = None
    """Distinct bytes on the receiver's wire."""
    acknowledged: Opt[Amount] = None
    """Covered by the receiver's ACKs, as seen at the sender (TCP)."""
    read: Opt[Amount] = None
    """Returned to the receiver's program."""
    unread: Opt[Amount] = None
    """Arrived, but never read."""
    content: Opt[Literal["equal"]] = None
    """equal: the same bytes at every point, as far as they got."""
    datagrams: Opt[Amount] = None
    """How many datagrams were sent (UDP)."""
    lost_at: Opt[Literal["nowhere", "sent", "arrived", "acknowledged", "read"]] = None
    """The first step at which bytes are missing."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("no figure is expected", "for instance {sent: 8, read: 8}")
        return self


class LedgerExpectation(Expectation):
    """How far the bytes got, for each sending host."""

    ledger: dict[Host, LedgerFigures] = Field(min_length=1)
    """For each sending host, the figures of the ledger."""
    connection: Opt[Whole] = Field(default=None, ge=1)
    """Only this connection, from 1 in the order of their first packets; the sum of all when left out."""


class CrossingFigures(Frozen):
    """How many packets did not cross as they were sent. A figure that is left out is not checked."""

    lost: Opt[CountText] = None
    """Seen only where they were sent."""
    altered: Opt[CountText] = None
    """Seen at both ends, but not the same."""
    appeared: Opt[CountText] = None
    """Seen only where they arrived."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("no figure is expected", "for instance {lost: 0}")
        return self


class CrossingsExpectation(Expectation):
    """How many packets were lost or changed between the two hosts."""

    crossings: CrossingFigures
    """The number of packets of each fate."""


class PacketFigures(Pattern):
    """Which packets, and how many of them."""

    count: CountText = Field(default=AT_LEAST_ONE)
    """How many: 2, ">=1", "<=2" or 1-4; 0 for never."""


class PacketsExpectation(Expectation):
    """How many packets of a kind there were."""

    packets: PacketFigures
    """Which packets, and how many."""


class NeverExpectation(Expectation):
    """Packets that there must not be."""

    never: Pattern
    """Which packets."""


class OrderExpectation(Expectation):
    """Packets and calls in this order, others between them.

    A packet's time is that of its sender's capture, with `at` that of the host named.
    """

    order: tuple[Event, ...]
    """Packets, and moments of calls: {call: close, host: server, moment: begins}."""

    @model_validator(mode="after")
    def _of_several(self) -> Self:
        if len(self.order) < 2:
            raise ValueError("an order has two packets or calls at least")
        return self


class Timing(Frozen):
    """Intervals between packets. A kernel's timer is never early and may be late: lower limits are safe."""

    packets: Pattern
    """The packets whose intervals are meant."""
    after: Opt[Event] = None
    """The first interval begins with this packet or call."""
    until: Opt[Event] = None
    """The last interval ends with this packet or call."""
    first: Opt[SpanLimits] = None
    """How long the first interval is."""
    each: Opt[SpanLimits] = None
    """How long each interval is."""
    ratio: Opt[Ratio] = None
    """How much longer each interval is than the one before: ">=1.5" or 1.5-3."""
    count: CountText = Field(default=AT_LEAST_ONE)
    """How many intervals there are."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.model_fields_set.isdisjoint(("first", "each", "ratio", "count")):
            raise ValueError("nothing is expected of the intervals", "at least one of first, each, ratio and count")
        return self


class TimerExpectation(Expectation):
    """How a timer of the kernel shows on the wire."""

    timer: Timing
    """Which packets, and how their intervals are."""


class CausesExpectation(Expectation):
    """How many packets each rule explains, of both hosts."""

    causes: dict[CauseRule, CountText] = Field(min_length=1)
    """For each rule a number. unknown counts all packets of which no cause is known, whatever they look like."""


class LabelsExpectation(Expectation):
    """Which labels Wireshark gives in the capture of a host, and how often."""

    labels: dict[Host, Annotated[dict[LabelName, CountText], Field(min_length=1)]] = Field(min_length=1)
    """For each host's capture the labels and their number: {client: {keep_alive: 1}}."""


class ExitExpectation(Expectation):
    """How the program of a host ended."""

    exit: dict[Host, ExitStatus] = Field(min_length=1)
    """For each host an exit status, or the name of the signal that ended it."""


class OutputExpectation(Expectation):
    """What the program of a host wrote to its standard output."""

    output: dict[Host, Text] = Field(min_length=1)
    """For each host, text that its output contains."""


EXPECTATIONS: dict[str, type[Expectation]] = {
    "call": CallExpectation,
    "segments": Segments,
    "ledger": LedgerExpectation,
    "crossings": CrossingsExpectation,
    "packets": PacketsExpectation,
    "never": NeverExpectation,
    "order": OrderExpectation,
    "timer": TimerExpectation,
    "causes": CausesExpectation,
    "labels": LabelsExpectation,
    "exit": ExitExpectation,
    "output": OutputExpectation,
}
"""The key that names an expectation, and its model. ``call`` comes first: it may have ``packets`` beside it."""


def kind_of(value: object) -> str | None:
    """Return the tag of the expectation that a plain value holds, None when it names none."""
    if isinstance(value, Expectation):
        return next(f"<{key}>" for key, model in EXPECTATIONS.items() if isinstance(value, model))
    if not isinstance(value, dict):
        return None
    return next((f"<{key}>" for key in EXPECTATIONS if key in value), None)


AnyExpectation = Annotated[
    Annotated[CallExpectation, Tag("<call>")]
    | Annotated[Segments, Tag("<segments>")]
    | Annotated[LedgerExpectation, Tag("<ledger>")]
    | Annotated[CrossingsExpectation, Tag("<crossings>")]
    | Annotated[PacketsExpectation, Tag("<packets>")]
    | Annotated[NeverExpectation, Tag("<never>")]
    | Annotated[OrderExpectation, Tag("<order>")]
    | Annotated[TimerExpectation, Tag("<timer>")]
    | Annotated[CausesExpectation, Tag("<causes>")]
    | Annotated[LabelsExpectation, Tag("<labels>")]
    | Annotated[ExitExpectation, Tag("<exit>")]
    | Annotated[OutputExpectation, Tag("<output>")],
    Discriminator(kind_of),
]
