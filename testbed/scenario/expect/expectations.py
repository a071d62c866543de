"""What a scenario expects of a run's calls, packets, bytes and programs, as written, compiled for the analysis."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from testbed.model import Host, expect
from testbed.model.expect import AT_LEAST_ONE, Limits
from testbed.scenario.expect.packet_patterns import Event, Pattern
from testbed.scenario.expect.written_expectation import WrittenExpectation
from testbed.scenario.language.base import Frozen, Opt
from testbed.scenario.language.limits import Amount, CountText, Ratio, Result, SpanLimits
from testbed.scenario.language.payload import Data, Payload
from testbed.scenario.language.values import (
    Call,
    CauseRule,
    Errno,
    ExitStatus,
    LabelName,
    Text,
    Whole,
    WhyNoPacket,
)

OF_A_CALL = ("packets", "why", "result", "errno", "args", "data", "took", "count")
"""What can be expected of a call."""


class CallExpectation(WrittenExpectation):
    """How one socket call ended, and which packets it caused, with the answers to them."""

    key = "call"
    call: Call
    """The call's name, as the program used it."""
    host: Host = "client"
    """The host that made the call."""
    nth: Whole = Field(default=1, ge=1)
    """Which of the host's calls of this name, from 1."""
    packets: Opt[tuple[Pattern, ...]] = None
    """These packets in order. An ACK that is not listed is ignored; a listed ACK may also be carried by later data."""
    why: Opt[WhyNoPacket] = None
    """The reason for which the call caused no packet."""
    result: Opt[Result] = None
    """What the call returned: a number, a limit or a range."""
    errno: Opt[Errno] = None
    """The error with which the call failed."""
    args: Opt[dict[Text, Any]] = Field(default=None, min_length=1)
    """Arguments as recorded, including values that the call returned in them: {name: SO_ERROR, value:
    ECONNREFUSED}, {revents: POLLIN|POLLHUP}. Of a value with members those that are named are compared, and an address
    may be named as endpoints name it: {pktinfo: {address: server.2}}."""
    data: Opt[Data] = None
    """The bytes that the call moved."""
    took: Opt[SpanLimits] = None
    """How long it lasted; only for times that the kernel sets."""
    count: Opt[CountText] = None
    """How often the host made this call."""
    connection: Opt[Whole] = Field(default=None, ge=1)
    """Only calls on this connection or conversation, from 1 in the order of their first packets; `nth` and `count` are
    of these."""
    socket: Opt[Whole] = Field(default=None, ge=1)
    """Only calls on this socket of the host, from 1 in the order of the first calls on them; `nth` and `count` are of
    these. All descriptors of a socket, in all processes, are one."""

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

    def _wanted(self) -> expect.Wanted:
        return expect.ExpectedCall(
            host=self.host,
            call=self.call,
            nth=self.nth,
            packets=None if self.packets is None else tuple(each.compiled() for each in self.packets),
            why=self.why,
            result=self.result,
            errno=self.errno,
            args=self.args,
            data=None if self.data is None else self.data.compiled(),
            took=self.took,
            count=self.count,
            connection=self.connection,
            socket=self.socket,
        )


class SegmentsExpectation(WrittenExpectation):
    """The payloads of the segments that a host sent, in order, first transmissions only."""

    key = "segments"
    segments: dict[Host, tuple[Payload, ...]] = Field(min_length=1)
    """For each host, the payloads in order: text, {bytes: "00ff"} or {size: 1448}."""

    def _wanted(self) -> expect.Wanted:
        payloads = {host: tuple(each.compiled() for each in listed) for host, listed in self.segments.items()}
        return expect.ExpectedSegments(payloads)


class LedgerFigures(Frozen):
    """How far the bytes that one host sent got. A figure that is left out is not checked."""

    written: Opt[Amount] = None
    """Accepted by the sender's socket calls."""
    sent: Opt[Amount] = None
    """Distinct bytes in the sender's capture."""
    arrived: Opt[Amount] = None
    """Distinct bytes in the receiver's capture."""
    acknowledged: Opt[Amount] = None
    """Covered by the receiver's ACKs in the sender's capture (TCP)."""
    read: Opt[Amount] = None
    """Returned to the receiver's program."""
    unread: Opt[Amount] = None
    """Arrived, but never read."""
    content: Opt[Literal["equal"]] = None
    """equal: the same bytes at every step, as far as they got. Undecided where nobody saw them, as with sendfile."""
    datagrams: Opt[Amount] = None
    """How many datagrams were sent (UDP)."""
    lost_at: Opt[Literal["nowhere", "sent", "arrived", "acknowledged", "read"]] = None
    """The first step at which bytes are missing."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("no figure is expected", "for instance {sent: 8, read: 8}")
        return self

    @property
    def given(self) -> dict[str, Limits | str]:
        """The figures that are named."""
        return {name: getattr(self, name) for name in LedgerFigures.model_fields if name in self.model_fields_set}


class LedgerExpectation(WrittenExpectation):
    """How far the bytes got, for each sending host."""

    key = "ledger"
    ledger: dict[Host, LedgerFigures] = Field(min_length=1)
    """For each sending host, the figures of the ledger."""
    connection: Opt[Whole] = Field(default=None, ge=1)
    """Only this connection, from 1 in the order of their first packets; default: the sum of all."""

    def _wanted(self) -> expect.Wanted:
        figures = {host: each.given for host, each in self.ledger.items()}
        return expect.ExpectedLedger(figures, self.connection)


class CrossingFigures(Frozen):
    """How many packets did not cross as they were sent. A figure that is left out is not checked."""

    lost: Opt[CountText] = None
    """Captured at the sender only."""
    altered: Opt[CountText] = None
    """Captured at both ends, with differences."""
    appeared: Opt[CountText] = None
    """Captured at the receiver only."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("no figure is expected", "for instance {lost: 0}")
        return self

    @property
    def given(self) -> dict[str, Limits]:
        """The figures that are named."""
        return {name: getattr(self, name) for name in CrossingFigures.model_fields if name in self.model_fields_set}


class CrossingsExpectation(WrittenExpectation):
    """How many packets were lost or changed between the two hosts."""

    key = "crossings"
    crossings: CrossingFigures
    """The number of packets of each fate."""

    def _wanted(self) -> expect.Wanted:
        return expect.ExpectedCrossings(self.crossings.given)


class PacketFigures(Pattern):
    """Which packets, and how many of them."""

    count: CountText = Field(default=AT_LEAST_ONE)
    """How many: 2, ">=1", "<=2" or 1-4; 0 for never."""


class PacketsExpectation(WrittenExpectation):
    """How many packets match a pattern."""

    key = "packets"
    packets: PacketFigures
    """Which packets, and how many."""

    def _wanted(self) -> expect.Wanted:
        return expect.ExpectedPackets(self.packets.compiled(), self.packets.count)


class NeverExpectation(WrittenExpectation):
    """Packets that must not occur."""

    key = "never"
    never: Pattern
    """Which packets."""

    def _wanted(self) -> expect.Wanted:
        return expect.ExpectedPackets(self.never.compiled(), expect.NONE)


class OrderExpectation(WrittenExpectation):
    """Packets and calls in this order; others may come between them.

    The time of a packet is that of its sender's capture, or with `at` that of the named host's capture.
    """

    key = "order"
    order: tuple[Event, ...]
    """Packets, and moments of calls: {call: close, host: server, moment: begins}."""

    @model_validator(mode="after")
    def _of_several(self) -> Self:
        if len(self.order) < 2:
            raise ValueError("an order needs at least two packets or calls")
        return self

    def _wanted(self) -> expect.Wanted:
        return expect.ExpectedOrder(tuple(event.compiled() for event in self.order))


class Timing(Frozen):
    """Intervals between packets. A kernel's timer is never early and may be late: lower limits are safe."""

    packets: Pattern
    """The packets whose intervals are measured."""
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


class TimerExpectation(WrittenExpectation):
    """The intervals of packets that a timer of the kernel sends."""

    key = "timer"
    timer: Timing
    """The packets and the limits of their intervals."""

    def _wanted(self) -> expect.Wanted:
        timing = self.timer
        return expect.ExpectedIntervals(
            packets=timing.packets.compiled(),
            count=timing.count,
            after=None if timing.after is None else timing.after.compiled(),
            until=None if timing.until is None else timing.until.compiled(),
            first=timing.first,
            each=timing.each,
            ratio=timing.ratio,
        )


class CausesExpectation(WrittenExpectation):
    """How many packets of both hosts each rule explains."""

    key = "causes"
    causes: dict[CauseRule, CountText] = Field(min_length=1)
    """For each rule a number. unknown counts all packets without a known cause."""

    def _wanted(self) -> expect.Wanted:
        return expect.ExpectedCauses(self.causes)


class LabelsExpectation(WrittenExpectation):
    """Which labels Wireshark gives in the capture of a host, and how often."""

    key = "labels"
    labels: dict[Host, Annotated[dict[LabelName, CountText], Field(min_length=1)]] = Field(min_length=1)
    """For each host's capture the labels and their number: {client: {keep_alive: 1}}."""

    def _wanted(self) -> expect.Wanted:
        return expect.ExpectedLabels(self.labels)


class ExitExpectation(WrittenExpectation):
    """How the program of a host ended."""

    key = "exit"
    exit: dict[Host, ExitStatus] = Field(min_length=1)
    """For each host an exit status, or the name of the signal that ended it."""

    def _wanted(self) -> expect.Wanted:
        return expect.ExpectedExit(self.exit)


class OutputExpectation(WrittenExpectation):
    """What the program of a host wrote to its standard output."""

    key = "output"
    output: dict[Host, Text] = Field(min_length=1)
    """For each host, text that its output contains."""

    def _wanted(self) -> expect.Wanted:
        return expect.ExpectedOutput(self.output)
