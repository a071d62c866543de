"""Put the data calls that share one socket into the order of their bytes in the stream.

One thread's calls follow each other. Calls of several threads (or processes) that overlap in time may have reached the
kernel in any order: then the bytes on the wire decide, by the calls' prefixes and digests.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from testbed.model import Call

Fit = Callable[[Call, int], bool]
"""Says whether a call's bytes can be at a stream offset."""

Seek = Callable[[Call, int], Sequence[int]]
"""Returns the first stream offsets after a given one, two at most, at which a call's bytes can be."""

Placed = tuple[Call, int, bool]
"""A call, the stream offset of its first byte, and whether another order fits as well."""

_FOREVER = 1 << 63
_TRIES = 20_000  # a bound on backtracking; beyond it the order counts as undecidable


def in_stream_order(
    calls: Sequence[Call], fits: Fit, holes: Sequence[int] = (), seek: Seek | None = None
) -> Iterator[Placed]:
    """Yield ``calls`` (sorted by start, each moved bytes) in stream order from offset 0.

    ``holes`` are sorted offsets that no call here covers (a byte that was read out of band). ``seek`` is given where
    the stream holds bytes that no call here moved: a call that does not fit after the last one comes after them.
    """
    offset = 0
    for group in _overlapping(calls):
        if len({(call.pid, call.tid) for call in group}) == 1:
            placed = _in_sequence(group, offset, holes, ambiguous=False)
            if seek is not None:
                placed = _after_unlogged(group, offset, fits, holes, seek)
        else:
            placed = _by_content(group, offset, fits, holes) or _in_sequence(group, offset, holes, ambiguous=True)
        yield from placed
        last, start, _ = placed[-1]
        offset = start + last.length


def _overlapping(calls: Sequence[Call]) -> Iterator[list[Call]]:
    """Split into groups; calls of different groups do not overlap in time."""
    group: list[Call] = []
    until = -1
    for call in calls:
        if group and call.start >= until:
            yield group
            group = []
            until = -1
        group.append(call)
        until = max(until, call.end if call.end is not None else _FOREVER)
    if group:
        yield group


def _past(offset: int, holes: Sequence[int]) -> int:
    at = bisect_left(holes, offset)
    while at < len(holes) and holes[at] == offset:
        offset, at = offset + 1, at + 1
    return offset


def _in_sequence(group: list[Call], offset: int, holes: Sequence[int], *, ambiguous: bool) -> list[Placed]:
    placed = []
    for call in group:
        offset = _past(offset, holes)
        placed.append((call, offset, ambiguous))
        offset += call.length
    return placed


def _after_unlogged(group: list[Call], offset: int, fits: Fit, holes: Sequence[int], seek: Seek) -> list[Placed]:
    """Place one thread's calls; those that the wire contradicts at the next offset where their bytes are."""
    placed = []
    for call in group:
        offset = _past(offset, holes)
        later = () if fits(call, offset) else seek(call, offset)
        offset = later[0] if later else offset
        placed.append((call, offset, len(later) > 1))
        offset += call.length
    return placed


def _by_content(group: list[Call], offset: int, fits: Fit, holes: Sequence[int]) -> list[Placed] | None:
    """Search for an order that fits the wire, each thread's own calls in sequence; None if there is none."""
    threads: dict[tuple[int, int], list[Call]] = defaultdict(list)
    for call in group:
        threads[call.pid, call.tid].append(call)
    queues = list(threads.values())
    heads = [0] * len(queues)
    path: list[tuple[int, int, list[int], bool]] = []  # thread taken, its offset, threads left to try, ambiguous
    for _ in range(_TRIES):
        if len(path) == len(group):
            return _placed(queues, path)
        offset = _past(offset, holes)
        options = [thread for thread in _ready(queues, heads) if fits(queues[thread][heads[thread]], offset)]
        ambiguous = len(options) > 1
        while not options:
            if not path:
                return None
            thread, offset, options, ambiguous = path.pop()
            heads[thread] -= 1
        thread = options.pop(0)
        path.append((thread, offset, options, ambiguous))
        offset += queues[thread][heads[thread]].length
        heads[thread] += 1
    return None


def _ready(queues: list[list[Call]], heads: list[int]) -> list[int]:
    """Return the threads whose next call can be next: no other waiting call ended before it began."""
    waiting = [(thread, queue[heads[thread]]) for thread, queue in enumerate(queues) if heads[thread] < len(queue)]
    first_end = min((_FOREVER if call.end is None else call.end for _, call in waiting), default=_FOREVER)
    return [thread for thread, call in waiting if call.start <= first_end]


def _placed(queues: list[list[Call]], path: list[tuple[int, int, list[int], bool]]) -> list[Placed]:
    """Turn the search's path into placements.

    A step with several fitting calls is ambiguous only if the order of different threads' bytes could be swapped
    without a trace, so it is marked on the step itself.
    """
    taken = [0] * len(queues)
    result: list[Placed] = []
    for thread, offset, _, ambiguous in path:
        result.append((queues[thread][taken[thread]], offset, ambiguous))
        taken[thread] += 1
    return result
