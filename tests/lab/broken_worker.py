"""A worker of a campaign with a bug, for test_cluster.py."""

from __future__ import annotations

from typing import NoReturn


def carry_out_order(order: bytes) -> NoReturn:
    raise KeyError(f"a bug of ours, after {len(order) > 0} order")
