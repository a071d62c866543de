"""Which packet an expectation means: a pattern, written as text or as a mapping, and moments in a run.

::

    client S                            host and tcpdump's flag letters
    server S. seq 0 ack 1               with sequence numbers relative to the stream, as Wireshark counts
    {from: client, has: F, cause: fin}  all else
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from testbed.model import HOSTS, Host
from testbed.model.expect import AnsweredPacket, CallMoment, Limits, PacketPattern
from testbed.model.tcp import FLAG_LETTERS
from testbed.scenario.language.base import Frozen, Opt, Short, nearest, shown
from testbed.scenario.language.limits import Amount, CountText, Presence
from testbed.scenario.language.payload import Data
from testbed.scenario.language.values import Call, CauseRule, CauseRules, Flags, LabelName, Line, Whole, flag_letters

_NUMBERS = ("seq", "ack", "length")
_HINT = "the sending host and tcpdump's flag letters, then seq, ack or length: client S, or server S. seq 0 ack 1"


def pattern_of(text: str) -> dict[str, Any]:
    """Return the mapping that a pattern's text stands for. Raises ValueError (message, hint)."""
    host, _, rest = text.partition(" ")
    if host not in HOSTS:
        raise ValueError(f"{shown(text)} names no host{nearest(host, HOSTS)}", _HINT)
    words = rest.split()
    if not words:
        raise ValueError(f"{shown(text)} names no flags", _HINT)
    pattern: dict[str, Any] = {"from": host, "flags": flag_letters(words[0])}
    for name, number in zip(words[1::2], [*words[2::2], ""], strict=False):
        if name in pattern:
            raise ValueError(f"`{name}` is given twice in {shown(text)}")
        if name not in _NUMBERS:
            raise ValueError(f"`{name}` is out of place in {shown(text)}{nearest(name, _NUMBERS)}", _HINT)
        if not (number.isascii() and number.isdigit()):
            raise ValueError(f"a number is missing after `{name}` in {shown(text)}", _HINT)
        pattern[name] = int(number)
    return pattern


class TcpOptions(Frozen):
    """TCP options of a segment: true (present), false (absent), or the value of one."""

    mss: Opt[Presence] = None
    """The maximum segment size that a SYN announces."""
    wscale: Opt[Presence] = None
    """The shift of the window scale."""
    sack_permitted: Opt[Presence] = None
    """The offer of selective acknowledgements."""
    timestamps: Opt[Presence] = None
    """The timestamps."""
    fast_open: Opt[Presence] = None
    """TCP Fast Open: the length of the cookie in bytes; 0 requests one."""
    sack: Opt[Presence] = None
    """How many blocks are acknowledged selectively."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("no option is named", "for instance {mss: 1460, sack_permitted: true}")
        return self

    @property
    def given(self) -> dict[str, Limits | bool]:
        """The options that are named."""
        return {name: getattr(self, name) for name in TcpOptions.model_fields if name in self.model_fields_set}


class Answered(Short):
    """The packet that others answer."""

    short = "rule"
    rule: CauseRule
    """The rule that explains it."""
    nth: Whole = Field(default=1, ge=1)
    """Which of the packets that this rule explains, from 1."""

    def __str__(self) -> str:
        return f"{self.rule} {self.nth}"


class Pattern(Short):
    """Which packets: all that is given must match. Text is the sending host and flags, then seq, ack or length."""

    short_schema: ClassVar[dict[str, Any]] = {
        "type": "string",
        "pattern": f"^(client|server) [{FLAG_LETTERS}]+( (seq|ack|length) [0-9]+)*$",
    }

    sender: Opt[Host] = Field(default=None, alias="from")
    """The host that sent them; default: either."""
    protocol: Opt[Literal["tcp", "udp", "icmp", "icmpv6"]] = None
    """Their protocol above IP."""
    flags: Opt[Flags] = None
    """Exactly these TCP flags, in tcpdump's letters. A FIN may also have P, because it may carry data."""
    has: Opt[Flags] = None
    """These TCP flags and any others."""
    seq: Opt[CountText] = None
    """The sequence number, relative to the stream: 0 for the SYN, 1 for the first byte."""
    ack: Opt[CountText] = None
    """The acknowledgement number, relative to the peer's stream."""
    length: Opt[Amount] = None
    """Bytes of payload."""
    data: Opt[Data] = None
    """The payload: text, or {bytes: "00ff"}."""
    window: Opt[Amount] = None
    """The receive window in bytes, scaled where both hosts agreed to."""
    urgent: Opt[CountText] = None
    """The urgent pointer: how many bytes after the sequence number the urgent data ends."""
    options: Opt[TcpOptions] = None
    """TCP options that must be present or absent."""
    cause: Opt[CauseRules] = None
    """The rule that explains them, or one of several: [tail-loss-probe, timeout]. link-copy, link-forged and
    link-icmp are packets that the link made and no host sent. unknown: no rule explains them."""
    label: Opt[LabelName] = None
    """With this label of Wireshark in the capture of `at`."""
    fate: Opt[Literal["crossed", "lost", "appeared"]] = None
    """Only those that crossed, were lost, or appeared on the way."""
    at: Opt[Host] = None
    """Only those in this host's capture, with its times and labels (default: the sender's)."""
    connection: Opt[Whole] = Field(default=None, ge=1)
    """Only those of this connection or conversation, from 1 in the order of their first packets."""
    basis: Opt[Literal["kernel", "inferred"]] = None
    """What their cause rests on: kernel (the kernel's own call stack) or inferred (captures and calls)."""
    answers: Opt[Answered] = None
    """Those that answer this packet, by their cause's evidence: {rule: window-probe, nth: 3}, or the rule alone."""
    function: Opt[Line] = None
    """With this function in the kernel's call stack: tcp_send_loss_probe. Needs the kernel trace."""
    timer: Opt[Line] = None
    """Sent by the timer of the kernel that has this function: tcp_write_timer. Needs the kernel trace."""

    @classmethod
    def lengthened(cls, value: object) -> object:
        """Return the mapping that text stands for."""
        if not isinstance(value, str):
            raise ValueError(f"{shown(value)} is not a packet", _HINT)  # noqa: TRY004 - pydantic reads ValueError
        return pattern_of(value)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("no packet is named", "for instance {from: client, flags: S}")
        return self

    def compiled(self) -> PacketPattern:
        """Return the pattern as the analysis matches packets with it."""
        given = {name: getattr(self, name) for name in Pattern.model_fields}
        given["data"] = None if self.data is None else self.data.content
        given["options"] = None if self.options is None else self.options.given
        given["answers"] = None if self.answers is None else AnsweredPacket(self.answers.rule, self.answers.nth)
        return PacketPattern(self._text(), **given)

    def _text(self) -> str:
        """Return the pattern in short words: ``client S seq 0``, ``server packets (cause ack)``."""
        given = {name: getattr(self, name) for name in Pattern.model_fields if name in self.model_fields_set}
        head = [given.pop("sender", "")]
        flags = given.pop("flags", None)
        head.append(flags or ("" if "has" in given or "protocol" in given else "packet"))
        if "has" in given:
            head.append(f"{given.pop('has')}+")
        if "protocol" in given:
            head.append(given.pop("protocol"))
        head += [f"{name} {given.pop(name)}" for name in _NUMBERS if name in given]
        more = [f"{name} {_value_text(value)}" for name, value in given.items()]
        text = " ".join(filter(None, head))
        return f"{text} ({', '.join(more)})" if more else text


def _value_text(value: object) -> str:
    if isinstance(value, Data):
        return value.compiled().text
    if isinstance(value, TcpOptions):
        return " ".join(f"{name}={_value_text(each)}" for name, each in value.given.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "/".join(map(str, value)) if type(value) is tuple else str(value)


class Moment(Frozen):
    """When a call began or returned."""

    call: Call
    """The call's name."""
    host: Host = "client"
    """The host that made it."""
    nth: Whole = Field(default=1, ge=1)
    """Which of the host's calls of this name, from 1."""
    moment: Literal["begins", "returns"] = "returns"
    """begins or returns."""

    def compiled(self) -> CallMoment:
        """Return the moment as the analysis finds it."""
        return CallMoment(self.host, self.call, self.nth, self.moment)


def event_kind(value: object) -> str:
    """Return the tag of an event: a moment of a call, or a packet."""
    return "<moment>" if isinstance(value, Moment) or (isinstance(value, dict) and "call" in value) else "<packet>"


Event = Annotated[Annotated[Moment, Tag("<moment>")] | Annotated[Pattern, Tag("<packet>")], Discriminator(event_kind)]
"""A packet, or the beginning or return of a call."""
EVENTS: dict[str, type[Frozen]] = {"moment": Moment, "packet": Pattern}
"""What an order may hold, by tag."""
