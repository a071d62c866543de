"""Steps that wait for a packet in the host's own capture: wait_packet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator
from typing_extensions import override

from testbed.model import Host
from testbed.model.awaited_packets import AwaitedPacket
from testbed.model.ip import ICMP, ICMPV6, TCP, UDP
from testbed.model.tcp import FLAG_LETTERS
from testbed.scenario.expect.packet_patterns import pattern_of
from testbed.scenario.language.base import Opt, Short, shown
from testbed.scenario.language.kernel_names import PACKET_BARRIER
from testbed.scenario.language.limits import Amount
from testbed.scenario.language.payload import Data
from testbed.scenario.language.values import Flags, Whole
from testbed.scenario.steps.open_sockets import Use
from testbed.scenario.steps.step import ScriptContext, Step

_PROTOCOLS = {"tcp": TCP, "udp": UDP, "icmp": ICMP, "icmpv6": ICMPV6}
_HINT = "the sending host and tcpdump's flag letters: client S; or a mapping: {from: client, has: F, nth: 2}"


class PacketToAwait(Short):
    """Which packet: all that is given must match. Text is the sending host and flags."""

    short_schema: ClassVar[dict[str, Any]] = {"type": "string", "pattern": f"^(client|server) [{FLAG_LETTERS}]+$"}

    sender: Opt[Host] = Field(default=None, alias="from")
    """The host that sent it; default: either."""
    protocol: Opt[Literal["tcp", "udp", "icmp", "icmpv6"]] = None
    """Its protocol above IP."""
    flags: Opt[Flags] = None
    """Exactly these TCP flags, in tcpdump's letters."""
    has: Opt[Flags] = None
    """These TCP flags and any others."""
    length: Opt[Amount] = None
    """Bytes of payload."""
    data: Opt[Data] = None
    """The payload: text, or {bytes: "00ff"}."""
    nth: Whole = Field(default=1, ge=1)
    """Which of the matching packets, from 1. Packets of the whole run count, those before the step too; in a loop the
    next round goes on behind those of the last."""

    @classmethod
    def lengthened(cls, value: object) -> object:
        """Return the mapping that text stands for."""
        if not isinstance(value, str):
            raise ValueError(f"{shown(value)} is not a packet", _HINT)  # noqa: TRY004 - pydantic reads ValueError
        pattern = pattern_of(value)
        late = next((name for name in ("seq", "ack") if name in pattern), None)
        if late:
            raise ValueError(f"`{late}` is known only after the run", _HINT)
        return pattern

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.model_fields_set <= {"nth"}:
            raise ValueError("no packet is named", "for instance {from: client, flags: S}")
        return self

    def compiled(self) -> AwaitedPacket:
        """Return the packet as the host's tap matches it."""
        given = {name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set}
        words = [f"{'from' if name == 'sender' else name} {value}" for name, value in given.items() if name != "data"]
        return AwaitedPacket(
            ", ".join([*words, *([f"data {self.data.compiled().text}"] if self.data else [])]),
            self.sender,
            _PROTOCOLS[self.protocol] if self.protocol else None,
            _bits(self.flags),
            _bits(self.has),
            self.length,
            self.data.content if self.data else None,
            self.nth,
        )


def _bits(letters: str | None) -> int | None:
    return None if letters is None else sum(1 << FLAG_LETTERS.index(letter) for letter in letters)


class WaitPacketStep(Step):
    """Waits until the host's own capture has a packet: order, not time."""

    key = "wait_packet"
    wait_packet: PacketToAwait
    """The packet, as text or as a mapping."""

    @override
    def lines(self, use: Use, context: ScriptContext) -> Iterator[str]:
        yield f"barrier name={PACKET_BARRIER}{context.index}"
