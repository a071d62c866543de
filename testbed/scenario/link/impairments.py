"""What the link does to all packets of a direction, as written.

An impairment is named by a key (``delay: 5ms``) and holds for the packets of both hosts, or below ``client`` or
``server`` for those that this host sends.
"""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, StrictBool, model_validator

from testbed.model import HOSTS, Host
from testbed.scenario.language.base import Frozen, Opt, Short
from testbed.scenario.language.values import Whole
from testbed.scenario.link.link_values import PacketSize, Probability, Rate, Span


class Reorder(Short):
    """Some packets let others pass."""

    short = "probability"
    probability: Probability
    """How likely each packet is to be overtaken: 0.01 or 1%."""
    behind: Whole = Field(default=1, ge=1, le=1000)
    """How many later packets of the same host overtake it."""
    within: Span = 50_000_000
    """The longest wait, if no later packet comes."""


class Mtu(Short):
    """A path with a smaller MTU than the interfaces have."""

    short = "size"
    size: PacketSize
    """The largest IP packet that passes, in bytes, its header included."""
    icmp: StrictBool = True
    """Notify the sender by ICMP (fragmentation needed; packet too big). false: a black hole."""


class Down(Short):
    """The link takes nothing for a while. What it has taken before still leaves."""

    short = "for_"
    for_: Span = Field(alias="for")
    """How long."""
    after: Opt[Span] = None
    """When the link goes down, counted from the first packet that it received."""


class Impairments(Frozen):
    """What happens to all packets that a host sends."""

    delay: Opt[Span] = None
    """How long each packet is held."""
    jitter: Opt[Span] = None
    """The delay varies uniformly by up to this, in both directions. The order is kept."""
    loss: Opt[Probability] = None
    """How likely each packet is to be lost."""
    duplicate: Opt[Probability] = None
    """How likely each packet is to be sent twice."""
    reorder: Opt[Reorder] = None
    """How likely each packet is to be overtaken by the next one, or a mapping."""
    corrupt: Opt[Probability] = None
    """How likely one bit of a packet of TCP or UDP is to be flipped, the checksum left as it was."""
    rate: Opt[Rate] = None
    """The rate of the link in bits per second, IP headers included."""
    queue: Opt[Whole] = Field(default=None, ge=1, le=100_000)
    """How many packets may wait in the link; further ones are dropped (default 10000)."""
    mtu: Opt[Mtu] = None
    """The largest packet that passes, or a mapping."""
    down: Opt[Down] = None
    """How long the link is down, or a mapping."""

    @property
    def given(self) -> dict[str, Any]:
        """The impairments that are named, by key."""
        return {name: getattr(self, name) for name in Impairments.model_fields if getattr(self, name) is not None}


class BothWays(Impairments):
    """Impairments of both directions, or of one."""

    client: Opt[Impairments] = None
    """Impairments of the packets that the client sends; they override those for both hosts."""
    server: Opt[Impairments] = None
    """Impairments of the packets that the server sends; they override those for both hosts."""

    def of(self, host: Host) -> dict[str, Any]:
        """Return the impairments that are named for the packets of one host, by key."""
        own = getattr(self, host)
        return {**self.given, **(own.given if own else {})}

    @model_validator(mode="after")
    def _jitter_within_delay(self) -> Self:
        for host in HOSTS:
            named = self.of(host)
            if "jitter" in named and "delay" not in named:
                raise ValueError("`jitter` goes with `delay`", "it is by how much the delay varies")
            if named.get("jitter", 0) > named.get("delay", 0):
                raise ValueError(f"the jitter of the {host}'s packets is larger than their delay")
        return self


class ImpairmentChange(BothWays):
    """Impairments that change from now on; what is not named stays."""

    @model_validator(mode="after")
    def _now(self) -> Self:
        downs = [self.down, *(way.down for way in (self.client, self.server) if way)]
        if any(down is not None and down.after is not None for down in downs):
            raise ValueError("`down` has no `after` here: it begins at once", "for instance down: 2s")
        if not self.model_fields_set:
            raise ValueError("no impairment is named", "for instance {delay: 50ms}")
        return self
