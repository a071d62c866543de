"""What a line of the link's plan depends on besides the scenario."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from testbed.model import Host
from testbed.model.hosts import HostAddresses, IpVersion


@dataclass(frozen=True, slots=True)
class LinkContext:
    """The addresses of the hosts, and the link's own ones on each host's side; all of the same versions of IP."""

    addresses: Mapping[Host, HostAddresses]
    link: Mapping[Host, HostAddresses]

    @property
    def versions(self) -> tuple[IpVersion, ...]:
        """The versions of IP."""
        return tuple(next(iter(self.addresses.values())).of)
