"""The argument that names a host."""

from __future__ import annotations

from collections.abc import Iterable

from testbed.model import Host
from testbed.model.errors import UsageError


def host_named(name: str, hosts: Iterable[Host]) -> Host:
    """Return the host with this name. Raises UsageError where a lab has none."""
    known = tuple(hosts)
    for host in known:
        if host == name:
            return host
    raise UsageError(f"there is no host `{name}`", hint=" or ".join(known))
