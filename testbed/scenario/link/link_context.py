"""What a line of the link's plan depends on besides the scenario."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from testbed.model import Host


@dataclass(frozen=True, slots=True)
class LinkContext:
    """The version of IP, the hosts' addresses, and the link's own ones on each host's side."""

    ip: Literal[4, 6]
    addresses: Mapping[Host, str]
    link: Mapping[Host, str]
