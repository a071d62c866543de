"""What observing changed on the wire: one scenario's runs under each observer, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from testbed.crossings.packet_order import without_new_bytes
from testbed.model import HOSTS, Analysis, Host
from testbed.report.text.terminal_text import counted, duration

BARE = "none"
"""The observer that changes nothing: what the others are held against."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One run's wire. ``segments`` are the lengths of the packets with data, in order, repeats left out.

    ``repeated`` counts data packets that carry nothing new, ``span`` is from the first packet to the last (ns).
    """

    packets: int
    segments: dict[Host, tuple[int, ...]]
    repeated: int
    span: int
    calls: int


def measure(analysis: Analysis) -> Effect:
    """Measure the wire of one run."""
    crossings = analysis.inputs.joined.crossings
    segments: dict[Host, list[int]] = {host: [] for host in HOSTS}
    repeats = set(without_new_bytes(crossings))
    for position, crossing in enumerate(crossings):
        if crossing.length and position not in repeats:
            segments[crossing.sender].append(crossing.length)
    times = [crossing.time for crossing in crossings]
    return Effect(
        packets=len(crossings),
        segments={host: tuple(lengths) for host, lengths in segments.items()},
        repeated=len(repeats),
        span=max(times) - min(times) if times else 0,
        calls=sum(len(calls) for calls in analysis.inputs.calls.values()),
    )


def table(effects: Mapping[str, Effect]) -> list[str]:
    """Return the table, a line for each observer, and then in words what each changed against none."""
    head = ("observer", "calls", "packets", *(f"segments of {host}" for host in HOSTS), "repeated", "first to last")
    rows = [head]
    rows += [
        (
            observer,
            str(effect.calls) if observer != BARE else "-",
            str(effect.packets),
            *(_lengths(effect.segments[host]) for host in HOSTS),
            str(effect.repeated),
            duration(effect.span),
        )
        for observer, effect in effects.items()
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    bare = effects.get(BARE)
    if bare is not None:
        lines += ["", *(_changes(name, effect, bare) for name, effect in effects.items() if name != BARE)]
    return lines


def _lengths(lengths: tuple[int, ...]) -> str:
    if len(lengths) <= 4:
        return f"{len(lengths)}: {'+'.join(map(str, lengths))}" if lengths else "0"
    return f"{len(lengths)}, {sum(lengths):,} bytes"


def _changes(observer: str, effect: Effect, bare: Effect) -> str:
    found = [
        f"{counted(len(effect.segments[host]), 'segment')} of the {host} instead of {len(bare.segments[host])}"
        for host in HOSTS
        if len(effect.segments[host]) != len(bare.segments[host])
    ]
    found += [
        f"the {host}'s segments: {_lengths(effect.segments[host])} instead of {_lengths(bare.segments[host])}"
        for host in HOSTS
        if len(effect.segments[host]) == len(bare.segments[host]) and effect.segments[host] != bare.segments[host]
    ]
    if effect.repeated != bare.repeated:
        found.append(f"{effect.repeated} repeated instead of {bare.repeated}")
    if effect.packets != bare.packets:
        found.append(f"{effect.packets} packets instead of {bare.packets}")
    slower = effect.span / bare.span if bare.span else 1.0
    found.append(
        f"{duration(effect.span)} instead of {duration(bare.span)} from first to last packet ({slower:.1f} times)"
    )
    return f"{observer}: {'; '.join(found)}"
