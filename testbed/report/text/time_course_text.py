"""Delays over time and losses in bursts, a line each where there is more to tell than a total."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from testbed.pairing.delay_steps import DelayLevel, LossBursts


def delay_text(levels: tuple[DelayLevel, ...]) -> str:
    """Return ``50.000 ms until 14:02:11.000, then 0.040 ms``."""
    parts = [f"{levels[0].median / 1e6:.3f} ms"]
    for each in levels[1:]:
        parts[-1] += f" until {clock_time(each.start)}"
        parts.append(f"then {each.median / 1e6:.3f} ms")
    return ", ".join(parts)


def loss_text(bursts: LossBursts) -> str:
    """Return ``12 packets in 3 bursts, the longest of 8 at 14:02:11.000 within 30.0 ms``."""
    told = f"{bursts.lost:,} packets in {bursts.bursts:,} bursts"
    where = f"of {bursts.packets:,} at {clock_time(bursts.start)} within {bursts.lasted / 1e6:.1f} ms"
    return f"{told}, the longest {where}"


def clock_time(ns: int) -> str:
    """Return a time of day (UTC) with milliseconds."""
    return f"{datetime.fromtimestamp(ns // 10**9, UTC):%H:%M:%S}.{ns % 10**9 // 10**6:03d}"


def course_lines(
    levels: tuple[tuple[DelayLevel, ...], ...], losses: tuple[LossBursts | None, ...], names: tuple[str, ...]
) -> Iterator[str]:
    """Yield lines about steps of the delay and bursts of loss of each direction."""
    for name, each in zip(names, levels, strict=True):
        if len(each) > 1:
            yield f"[bold]delay[/] {name}: {delay_text(each)}"
    for name, burst in zip(names, losses, strict=True):
        if burst is not None and burst.packets > 1:
            yield f"[bold]loss[/] {name}: {loss_text(burst)}"
