"""The hosts of a lab, and their addresses. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Host = Literal["client", "server"]


HOSTS: tuple[Host, Host] = ("client", "server")


def peer_of(host: Host) -> Host:
    """Return the other host."""
    return "server" if host == "client" else "client"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address and a port; ``address`` is canonical text (IPv6 compressed, no brackets)."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"
