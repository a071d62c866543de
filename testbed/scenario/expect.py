"""What a scenario expects of a run, as written. Evaluated by ``testbed/analysis/expectations.py``.

One class for each kind; the key that names the kind is a field of the same name, so that a model mirrors its YAML.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Discriminator, Field, PrivateAttr, Tag, model_validator

from testbed.model import Host
from testbed.scenario.base import Frozen, Opt, Short
from testbed.scenario.values import (
    Call,
    CauseRule,
    Count,
    CountText,
    Errno,
    ExitStatus,
    Flags,
    Hex,
    Packet,
    Share,
    Size,
    Text,
    Whole,
)


class Data(Short):
    """Some bytes: text (as UTF-8) or hex. Exactly one of ``text`` and ``bytes``."""

    short = "text"
    text: Opt[Text] = None
    """The bytes as text, encoded in UTF-8."""
    hex: Opt[Hex] = Field(default=None, alias="bytes")
    """The bytes as pairs of hex digits, quoted: "00ff"."""

    _choices: ClassVar[tuple[str, ...]] = ("text", "hex")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(getattr(self, choice) is not None for choice in self._choices) != 1:
            names = [type(self).model_fields[choice].alias or choice for choice in self._choices]
            raise ValueError(f"exactly one of {', '.join(names)} is needed")
        return self

    @property
    def content(self) -> bytes | None:
        """The bytes, or None where only their number is given."""
        if self.text is not None:
            return self.text.encode()
        return None if self.hex is None else bytes.fromhex(self.hex)


class Payload(Data):
    """Some bytes, or only how many. Exactly one of ``text``, ``bytes`` and ``size``."""

    size: Opt[Size] = None
    """How many bytes, of the pattern that the scenario's seed gives."""

    _choices: ClassVar[tuple[str, ...]] = ("text", "hex", "size")

    @property
    def length(self) -> int:
        """How many bytes."""
        content = self.content
        if content is not None:
            return len(content)
        assert self.size is not None  # noqa: S101 - one of them is there
        return self.size


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


class CallExpectation(Expectation):
    """How one socket call ended, and which packets it caused with all answers that these had."""

    call: Call
    """The call's name, as the program used it."""
    host: Host = "client"
    """The host that made the call."""
    nth: Whole = Field(default=1, ge=1)
    """Which of the host's calls of this name, from 1."""
    packets: Opt[tuple[Packet, ...]] = None
    """These packets in order, each as the sending host and tcpdump's flag letters."""
    result: Opt[Whole] = None
    """What the call returned."""
    errno: Opt[Errno] = None
    """The error that the call gave."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.packets is None and self.result is None and self.errno is None:
            raise ValueError("nothing is expected of the call", "at least one of packets, result and errno")
        if self.errno is not None and self.result not in (None, -1):
            raise ValueError(f"a call that fails with {self.errno} returns -1, not {self.result}")
        return self


class LedgerFigures(Frozen):
    """How far the bytes that one host sent got. A figure that is left out is not checked."""

    written: Opt[Size] = None
    """Accepted by the sender's socket calls."""
    sent: Opt[Size] = None
    """Distinct bytes on the sender's wire."""
    arrived: Opt[Size] = None
    """Distinct bytes on the receiver's wire."""
    acknowledged: Opt[Size] = None
    """Covered by the receiver's ACKs, as seen at the sender (TCP)."""
    read: Opt[Size] = None
    """Returned to the receiver's program."""
    unread: Opt[Size] = None
    """Arrived, but never read."""
    content: Opt[Literal["equal"]] = None
    """equal: the same bytes at every point, as far as they got."""
    datagrams: Opt[Size] = None
    """How many datagrams were sent (UDP)."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("no figure is expected", "for instance {sent: 8, read: 8}")
        return self


class LedgerExpectation(Expectation):
    """How far the bytes got, for each sending host."""

    ledger: dict[Host, LedgerFigures] = Field(min_length=1)
    """For each sending host, the figures of the ledger."""


class CrossingFigures(Frozen):
    """How many packets did not cross as they were sent. A figure that is left out is not checked."""

    lost: Opt[Size] = None
    """Seen only where they were sent."""
    altered: Opt[Size] = None
    """Seen at both ends, but not the same."""
    appeared: Opt[Size] = None
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


class PacketFigures(Frozen):
    """Which packets, and how many of them."""

    sender: Host = Field(alias="from")
    """The host that sent them."""
    flags: Opt[Flags] = None
    """Only those with exactly these TCP flags, in tcpdump's letters; all when left out."""
    cause: Opt[CauseRule] = None
    """Only those that this rule explains: fast-retransmission. With link-copy, link-forged or link-icmp those that the
    link made, which no host sent."""
    fate: Opt[Literal["crossed", "lost", "appeared"]] = None
    """Only those that crossed, were lost, or appeared on the way."""
    count: CountText = Field(default=Count(1, None))
    """How many: 2, ">=1" or "<=2"; 0 for never."""


class PacketsExpectation(Expectation):
    """How many packets of a kind a host sent."""

    packets: PacketFigures
    """Sender, flags and number of the packets."""


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
    | Annotated[ExitExpectation, Tag("<exit>")]
    | Annotated[OutputExpectation, Tag("<output>")],
    Discriminator(kind_of),
]
