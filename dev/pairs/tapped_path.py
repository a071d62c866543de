"""A path between two hosts with two taps on it: what each tap captures, and what happens in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random

from dev.pairs.made_packets import Packet, Seen
from dev.pairs.talkers import MS, START, US, Sent

Rewrite = Callable[[Packet, bool], Packet]


def as_it_was(packet: Packet, there: bool) -> Packet:
    """Rewrite nothing."""
    del there
    return packet


@dataclass(slots=True)
class Tap:
    """A tap's clock, and what it lacks: directions that it does not capture, a share of packets that it drops."""

    offset: int = 0
    ppm: float = 0.0
    lacks: tuple[bool, ...] = ()
    misses: float = 0.0

    def stamp(self, time: int) -> int:
        """Return what this tap's clock says at a true time (ns)."""
        return time + self.offset + round((time - START) * self.ppm / 1e6)


@dataclass(slots=True)
class Path:
    """Two taps, ``one`` nearer to the client, and what happens between them.

    ``delay`` (ns) and ``spread`` are of one way, ``hops`` by how much the TTL falls. ``outside`` rewrites a packet from
    how the client's side has it to how the server's side has it, whichever way it goes; ``remark`` changes it on its
    way. ``in_line``: packets of both directions pass the first tap first. ``loops``: a share of packets comes by the
    first tap again, two hops later.
    """

    chance: Random
    one: Tap = field(default_factory=Tap)
    two: Tap = field(default_factory=Tap)
    delay: int = 5 * MS
    spread: int = 200 * US
    hops: int = 3
    loss: float = 0.0
    late: float = 0.0
    copies: float = 0.0
    loops: float = 0.0
    outside: Rewrite = as_it_was
    remark: Rewrite = as_it_was
    in_line: bool = False

    def carry(self, sent: list[Sent]) -> tuple[list[Seen], list[Seen]]:
        """Return what each tap captures of some packets; nothing overtakes but what is late."""
        seen: tuple[list[Seen], list[Seen]] = ([], [])
        last = {True: 0, False: 0}
        for each in sorted(sent, key=lambda one: one.time):
            there, chance = each.there, self.chance
            inside, other = each.packet, self.outside(each.packet, there)
            from_one = there or self.in_line
            near, far = (inside, other) if there else (other, inside)
            if self.in_line and not there:
                near, far = inside, other
            far = replace(self.remark(far, there), ttl=max(near.ttl - self.hops, 1))
            self._capture(seen, near, each.time, at_one=from_one, there=there)
            if chance.random() < self.loops:
                self._capture(seen, replace(near, ttl=near.ttl - 2), each.time + 300 * US, at_one=from_one, there=there)
            if chance.random() < self.loss:
                continue
            arrives = each.time + self.delay + chance.randrange(self.spread)
            if chance.random() < self.late:
                arrives += 3 * self.spread + MS
            else:
                arrives = last[there] = max(arrives, last[there] + 2 * US)
            self._capture(seen, far, arrives, at_one=not from_one, there=there)
            if chance.random() < self.copies:
                self._capture(seen, far, arrives + 40 * US, at_one=not from_one, there=there)
        return seen

    def _capture(
        self, seen: tuple[list[Seen], list[Seen]], packet: Packet, time: int, *, at_one: bool, there: bool
    ) -> None:
        tap = self.one if at_one else self.two
        if there in tap.lacks or self.chance.random() < tap.misses:
            return
        seen[0 if at_one else 1].append(Seen(tap.stamp(time), packet))


def a_path(chance: Random, *, clean: bool = False) -> Path:
    """Return a path by chance: its length, its clocks and its faults (none if ``clean``)."""
    made = Path(
        chance,
        delay=chance.choice((100 * US, MS, 5 * MS, 40 * MS)),
        spread=chance.choice((10 * US, 100 * US, MS)),
        hops=chance.choice((0, 1, 3, 12)),
        two=Tap(chance.choice((0, 0, 421 * MS, -3600 * 1000 * MS)), chance.choice((0.0, 0.0, 13.0, -40.0))),
    )
    if not clean and chance.random() < 0.7:
        made.loss, made.late = chance.choice((0.0, 0.01, 0.05)), chance.choice((0.0, 0.02))
        made.copies = chance.choice((0.0, 0.0, 0.01))
        for tap in (made.one, made.two):
            tap.misses = chance.choice((0.0, 0.0, 0.0, 0.02))
    return made
