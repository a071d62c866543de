"""Events matched with packets: retransmissions, RSTs, drops, and the congestion control of each sender."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator

from testbed.analysis.kernel.kernel_endpoints import KernelEndpoint
from testbed.model import Crossing, Host, peer_of
from testbed.model.kernel_log import KernelEvent, KernelLog, Matched, SendState

RETRANSMISSIONS = ("tcp_retransmit_skb", "tcp_retransmit_synack")
_NO_THRESHOLD = 0x7FFFFFFF  # TCP_INFINITE_SSTHRESH
_WITH_DATA = frozenset({"TCP_OLD_DATA", "TCP_OVERWINDOW", "TCP_ZEROWINDOW", "TCP_OFOMERGE", "TCP_OFO_DROP"})
_OF_SYN = frozenset({"TCP_INVALID_SYN"})
_OF_RST = frozenset({"TCP_RESET"})


def retransmissions(endpoint: KernelEndpoint, slack: int) -> Iterator[Matched]:
    """Match each retransmission of the kernel with its packets.

    ``__tcp_retransmit_skb`` reports it after it was sent, once for a buffer that may have been cut into several
    segments.
    """
    repeats = endpoint.repeats()
    carrying = [packet for packet in endpoint.sent if packet.sequence_length]
    at = 0
    for event in endpoint.named(*RETRANSMISSIONS):
        if event.fields.get("err", 0) != 0:
            continue  # it could not be sent
        start = at
        while at < len(carrying) and (carrying[at].sent or 0) <= event.time + slack:
            at += 1
        found: list[int] = []
        for packet in reversed(carrying[start:at]):
            follows = not found or packet.seq + packet.sequence_length == _seq(carrying, found[-1])
            if packet.n not in repeats or not follows:
                break
            found.append(packet.n)
        yield Matched(event, endpoint.flow.index, tuple(reversed(found)))


def _seq(packets: list[Crossing], number: int) -> int:
    return next(packet.seq for packet in packets if packet.n == number)


def resets(endpoint: KernelEndpoint, slack: int) -> Iterator[Matched]:
    """Match each RST that the kernel reports with its packet.

    ``tcp_v4_send_reset`` reports it before, with the packet that it answers; ``tcp_send_active_reset`` after it was
    sent, with none, and what it sends has an ACK. RSTs that a listener sent for the connection have no event here.
    """
    left = [packet for packet in endpoint.sent if "R" in packet.flags]
    for event in endpoint.named("tcp_send_reset"):
        answers = event.skb != 0
        if answers:
            found = next((packet for packet in left if (packet.sent or 0) + slack >= event.time), None)
        else:
            before = (packet for packet in reversed(left) if (packet.sent or 0) <= event.time + slack)
            found = next((packet for packet in before if packet.ack is not None), None)
        if found is not None:
            left.remove(found)
        yield Matched(event, endpoint.flow.index, (found.n,) if found is not None else ())


def arrived_drops(crossings: Iterable[Crossing], log: KernelLog) -> Iterator[Matched]:
    """Match each drop whose packet the recording knows, by its time in the capture of where it came."""
    known = [event for event in log.events if event.name == "kfree_skb" and "arrived" in event.fields]
    came: dict[tuple[Host, int], list[Crossing]] = defaultdict(list)
    for packet in crossings if known else ():
        if packet.arrived is not None:
            came[peer_of(packet.sender), packet.arrived].append(packet)
    for event in known:
        found = came[event.host, int(event.fields["arrived"])] if event.host is not None else []
        if found:
            yield Matched(event, found[0].flow, tuple(packet.n for packet in found))


def drops(endpoint: KernelEndpoint, slack: int, taken: set[int]) -> Iterator[Matched]:
    """Match each other drop on arrival with the packet that had come last and can have been it.

    ``taken`` are the packets that are known to be dropped; those found are added.
    """
    for event in endpoint.named("kfree_skb"):
        if "arrived" in event.fields:
            continue
        candidates = (packet for packet in endpoint.arrived_until(event.time + slack) if packet.n not in taken)
        found = next((packet for packet in candidates if _can_be(packet, str(event.fields.get("reason", "")))), None)
        if found is not None:
            taken.add(found.n)
        yield Matched(event, endpoint.flow.index, (found.n,) if found is not None else ())


def _can_be(packet: Crossing, reason: str) -> bool:
    if reason in _WITH_DATA:
        return packet.sequence_length > 0
    if reason in _OF_SYN:
        return "S" in packet.flags
    return reason not in _OF_RST or "R" in packet.flags


def send_states(endpoint: KernelEndpoint) -> Iterator[tuple[int, SendState]]:
    """Yield the congestion control with which each packet left, by its number.

    ``tcp_probe`` shows it at each arrival, before that is looked at: the next one after a packet shows what held when
    it left, unless the congestion state changed between; then the last one before it does.
    """
    probes = endpoint.named("tcp_probe")
    turns = [event.time for event in endpoint.named("tcp_cong_state_set")]
    times = [probe.time for probe in probes]
    for packet in endpoint.sent:
        assert packet.sent is not None  # noqa: S101 - it is in what left
        at = bisect_right(times, packet.sent)
        if at < len(probes) and bisect_right(turns, packet.sent) == bisect_right(turns, times[at]):
            yield packet.n, _state(probes[at])
        elif at and bisect_right(turns, times[at - 1]) == bisect_right(turns, packet.sent):
            yield packet.n, _state(probes[at - 1])


def _state(probe: KernelEvent) -> SendState:
    values = {name: int(value) for name, value in probe.fields.items()}
    threshold = values["ssthresh"]
    return SendState(
        values["snd_cwnd"], None if threshold >= _NO_THRESHOLD else threshold, values["srtt"], values["snd_wnd"]
    )
