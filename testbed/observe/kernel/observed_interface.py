"""By which events of the kernel the departures of a watched interface are known. Light: recorders are started by it."""

from __future__ import annotations

from dataclasses import dataclass

ETHERNET = 14
"""Bytes of the header that a received packet has lost when its event reports its length."""


@dataclass(frozen=True, slots=True)
class SeenInterface:
    """By which events the departures of an interface are known.

    ``name`` is that of the interface itself (``net_dev_start_xmit``), or with ``by_peer`` that of the other end of a
    veth, which is given each packet at once (``netif_rx``). No other interface of the machine has it.
    """

    name: str
    by_peer: bool
