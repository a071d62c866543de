"""The link between the hosts, as written. What the link program gets is compiled by ``link_plan.py``."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from testbed.scenario.language.base import Opt, Short
from testbed.scenario.link.faults import AnyFault, Fault
from testbed.scenario.link.impairments import BothWays


class LinkSpec(Short, BothWays):
    """What joins the hosts: one bridge (direct), or a link host between two subnets that can impair (routed)."""

    short = "topology"
    topology: Opt[Literal["direct", "routed"]] = None
    """direct or routed. Default: routed if any other key is given, else direct."""
    faults: tuple[AnyFault, ...] = Field(default=(), max_length=256)
    """Faults for exact packets."""

    @property
    def routed(self) -> bool:
        """Whether there is a link host."""
        impaired = self.given or self.client or self.server or self.faults
        return self.topology == "routed" or bool(impaired)

    @property
    def exact(self) -> tuple[Fault, ...]:
        """The exact faults in order."""
        return tuple(item.fault for item in self.faults)

    @model_validator(mode="after")
    def _direct_is_plain(self) -> Self:
        if self.topology == "direct" and self.routed:
            raise ValueError("a direct link does nothing to packets", "leave `topology` out, or: topology: routed")
        return self
