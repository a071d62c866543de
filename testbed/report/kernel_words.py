"""Kernel events of single packets and calls, in words that the page and ``annotated.pcapng`` share.

Texts of the kernel's own (reasons, places, states) are as they came; whoever shows them escapes them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from testbed.model import Host
from testbed.model.kernel_log import KernelEvidence, Matched, SendState, StateChange


def of_packets(kernel: KernelEvidence) -> Mapping[int, Sequence[str]]:
    """Return the kernel's own events about each packet, by its number: sent again, a RST, dropped, a state changed."""
    found: dict[int, list[str]] = defaultdict(list)
    for matched, words in ((kernel.retransmissions, again), (kernel.resets, reset), (kernel.drops, dropped)):
        for each in matched:
            for number in each.packets:
                found[number].append(f"{each.event.host} {words(each)}")
    for change in kernel.state_changes:
        for number in change.packets:
            found[number].append(moved(change))
    return dict(found)


def of_calls(kernel: KernelEvidence) -> Mapping[tuple[Host, int], Sequence[str]]:
    """Return the state changes that each call made, by its host and number."""
    found: dict[tuple[Host, int], list[str]] = defaultdict(list)
    for change in kernel.state_changes:
        for number in change.calls:
            if change.event.host is not None:
                found[change.event.host, number].append(moved(change))
    return dict(found)


def again(each: Matched) -> str:
    """Return ``sent it again (tcp_retransmit_skb)``."""
    return f"sent it again ({each.event.name})"


def reset(each: Matched) -> str:
    """Return ``sent a RST: TCP_ABORT_ON_CLOSE``."""
    return f"sent a RST: {each.event.fields.get('reason', 'no reason')}"


def dropped(each: Matched) -> str:
    """Return ``dropped it: TCP_OLD_DATA in tcp_rcv_established``."""
    place = each.event.fields.get("place")
    return f"dropped it: {each.event.fields.get('reason', 'no reason')}" + (f" in {place}" if place else "")


def moved(change: StateChange) -> str:
    """Return ``client: SYN_SENT to ESTABLISHED``."""
    return f"{change.event.host}: {change.old} to {change.new}"


def sent_with(state: SendState) -> str:
    """Return ``cwnd 10, ssthresh none, srtt 78 us, send window 65,160``."""
    threshold = "none" if state.ssthresh is None else f"{state.ssthresh:,}"
    return f"cwnd {state.cwnd:,}, ssthresh {threshold}, srtt {state.srtt:,} us, send window {state.wnd:,}"
