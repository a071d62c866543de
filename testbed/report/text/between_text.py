"""What lies between two taps, as the first sentence of a comparison, and what is told of it below."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.pairing.between_taps import BetweenTaps, FlowsChanged, SeenOnWay
from testbed.pairing.flow_summary import NAMES
from testbed.pairing.terminated import ByteStream, StreamRelation, TerminatedFlow

_SECOND = 10**9


def between_text(between: BetweenTaps) -> str:
    """Return what lies between and what it does to packets: one sentence."""
    if not between.flows:
        if not between.terminated:
            return "no packet is in both captures"
        return f"{_terminated(between)}: no packet is in both captures"
    what = [part for part in (_nature(between), _terminated(between)) if part]
    does = [*_rewrites(between), *map(changed_text, between.changed), _loses(between)]
    told = f"{', and '.join(what)}: {'; '.join(does)}"
    pause = between.pause
    if pause is not None:
        whose = "the packet was on its way" if pause.on_the_way else f"the {NAMES[pause.ended_by]} was silent"
        told += f"; the longest pause of {_long(pause.lasted)} is "
        told += "the network's" if pause.on_the_way else f"the {NAMES[pause.ended_by]}'s"
        told += f" (flow {pause.pair + 1}: {whose})"
    return told


def _nature(between: BetweenTaps) -> str:
    there, back = (way.hops for way in between.ways)
    if between.same_place:
        return "nothing lies between (both captures are of one place)"
    if between.in_line:
        return "one device lies between, both of whose taps are passed in the same order"
    kind = "a load balancer" if between.balanced else "a NAT" if between.rewritten and _hosts(between) else ""
    hops = {each for each in (there, back) if each is not None}
    if hops <= {0}:
        return kind or "no router lies between"
    if any(each < 0 for each in hops):
        return f"{kind or 'a device'} that sets the TTL"
    if len(hops) == 1:
        count = hops.pop()
        path = f"{count} router{'s' * (count > 1)}"
    else:
        path = f"{there} routers there and {back} back"
    return f"{kind} and {path} lie between" if kind else f"{path} {'lies' if path == '1 router' else 'lie'} between"


def _hosts(between: BetweenTaps) -> bool:
    return any(name in ("addresses", "ports") for name, _ in between.rewritten)


def _terminated(between: BetweenTaps) -> str:
    count = between.terminated
    if not count:
        return ""
    sure = "" if between.same_names == count else ", as their bytes show"
    return f"{count} connection{'s' * (count > 1)} {'are' if count > 1 else 'is'} terminated in between{sure}"


def _rewrites(between: BetweenTaps) -> Iterator[str]:
    if between.rewritten:
        yield f"rewrites {', '.join(f'{name} of {_flows(count)}' for name, count in between.rewritten)}"


def changed_text(change: FlowsChanged) -> str:
    """Return ``dscp 0 -> 46 in 3 flows``; ``time stamps removed in 1 flow``."""
    flows = f"in {_flows(change.flows)}"
    if change.after is None:
        return f"{change.field} removed {flows}"
    if change.before is None:
        return f"{change.field} added {flows}"
    return f"{change.field} {change.before} -> {change.after} {flows}"


def _flows(count: int) -> str:
    return f"{count:,} flow{'s' * (count > 1)}"


def _loses(between: BetweenTaps) -> str:
    ways = between.ways
    sent, lost = sum(way.sent for way in ways), sum(way.lost for way in ways)
    told = f"loses {lost:,} of {sent:,} packets ({100 * lost / sent:.2f} %)" if lost else "loses nothing"
    told += "".join(_also(ways, name) for name in ("altered", "reordered"))
    return told


def _also(ways: tuple[SeenOnWay, SeenOnWay], name: str) -> str:
    count = sum(getattr(way, name) for way in ways)
    return f", {count:,} {name}" if count else ""


def _long(ns: int) -> str:
    return f"{ns / _SECOND:.1f} s" if ns >= _SECOND else f"{ns / 1e6:.0f} ms"


def terminated_text(flow: TerminatedFlow, ends: tuple[str, str]) -> str:
    """Return one line about a connection that is terminated in between; ``ends`` as each capture names it."""
    name = ends[0] if ends[0] == ends[1] else f"{ends[0]} and {ends[1]}"
    ways = ", ".join(f"{way} {_stream(each)}" for way, each in zip(("request", "answer"), flow.streams, strict=True))
    return f"terminated: {name}: {ways}"


def _stream(stream: ByteStream) -> str:
    first, second = stream.sizes
    sizes = f"{first:,} bytes" if first == second else f"{first:,} and {second:,} bytes"
    if stream.relation is StreamRelation.EMPTY:
        return "nothing to compare"
    later = "" if stream.delay is None else f", {stream.delay / 1e6:+.3f} ms by the clocks as they are"
    return f"{stream.relation} ({sizes}{later})"
