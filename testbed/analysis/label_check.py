"""Wireshark's labels beside causes: which of them agree, and what is said of a packet where they do not.

A label is what one capture alone suggests; a cause rests on both captures and the calls. The tables say which labels a
cause bears out; a label that says nothing about a cause stands in none of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from testbed.analysis.calls.endpoint_calls import names
from testbed.analysis.causes.endpoint import bytes_of
from testbed.model import HOSTS, Call, Cause, CauseKind, Crossing, Fate, Host, Labels

_REPEATS: dict[str, str] = {
    "syn-retransmission": "sent again because nothing answered",
    "path-mtu": "sent again in smaller segments because ICMP said it was too big",
    "fast-retransmission": "sent again because ACKs showed a loss",
    "recovery": "sent again after a loss was found",
    "tail-loss-probe": "sent again by a tail-loss probe",
    "timeout": "sent again by the retransmission timeout",
    "retransmission": "sent again by a timer",
}
_FIRST = frozenset({"connect", "syn-ack", "data", "cork-timeout", "more-timeout", "unlogged-data", "fin", "exit"})
AGREEING: Mapping[str, frozenset[str]] = {
    "keep_alive": frozenset({"keep-alive-probe"}),
    "keep_alive_ack": frozenset({"probe-answer"}),
    "zero_window_probe": frozenset({"window-probe"}),
    "zero_window_probe_ack": frozenset({"probe-answer"}),
    "window_update": frozenset({"window-update"}),
    "duplicate_ack": frozenset({"duplicate-ack", "d-sack", "not-taken", "challenge-ack", "probe-answer"}),
    "out_of_order": _FIRST,
    "fast_retransmission": frozenset({"fast-retransmission", "recovery"}),
    **dict.fromkeys(("retransmission", "spurious_retransmission"), frozenset(_REPEATS)),
}
"""Wireshark's label -> the causes that it agrees with. Other labels say nothing about the cause."""

SHOWN_BY_WIRESHARK = {
    "keep_alive": "TCP Keep-Alive",
    "keep_alive_ack": "TCP Keep-Alive ACK",
    "zero_window_probe": "TCP ZeroWindowProbe",
    "zero_window_probe_ack": "TCP ZeroWindowProbeAck",
    "window_update": "TCP Window Update",
    "duplicate_ack": "TCP Dup ACK",
    "out_of_order": "TCP Out-Of-Order",
    "fast_retransmission": "TCP Fast Retransmission",
    "retransmission": "TCP Retransmission",
    "spurious_retransmission": "TCP Spurious Retransmission",
}
"""A label as Wireshark's packet list writes it (epan/dissectors/packet-tcp.c)."""


def labels_of(crossing: Crossing, labels: Labels) -> dict[Host, tuple[str, ...]]:
    """Return the labels that each host's capture gives a crossing; hosts without any are left out."""
    places: dict[Host, int | None] = {"client": crossing.at_client, "server": crossing.at_server}
    found = {host: labels.get(host, {}).get(frame, ()) for host, frame in places.items() if frame is not None}
    return {host: given for host, given in found.items() if given}


def contradicted(labels: Mapping[Host, tuple[str, ...]], cause: Cause) -> dict[str, list[Host]]:
    """Return the labels that contradict the cause, each with the captures that show it.

    A packet without a known cause contradicts nothing, nor does one that the link itself made.
    """
    found: dict[str, list[Host]] = {}
    if cause.kind in (CauseKind.UNKNOWN, CauseKind.LINK):
        return found
    for host in HOSTS:
        for name in labels.get(host, ()):
            if name in AGREEING and cause.rule not in AGREEING[name]:
                found.setdefault(name, []).append(host)
    return found


def disagreements(
    crossings: Sequence[Crossing], causes: Sequence[Cause], labels: Labels, calls: Mapping[Host, Sequence[Call]]
) -> tuple[str, ...]:
    """Return a sentence for each kind of disagreement of label and cause: its first packet, and how many more."""
    first: dict[tuple[str, str], str] = {}
    more: dict[tuple[str, str], int] = {}
    by_number = {host: {call.n: call for call in calls.get(host, ())} for host in HOSTS}
    for crossing, cause, name, hosts in _contradicted(crossings, causes, labels):
        key = (name, cause.rule)
        if key in first:
            more[key] = more.get(key, 0) + 1
            continue
        where = "" if len(hosts) == 2 or crossing.fate is not Fate.CROSSED else f" in the {hosts[0]}'s capture"
        made = [by_number[crossing.sender][n] for n in cause.calls if n in by_number[crossing.sender]]
        truth = _truth(crossing, cause, made)
        first[key] = f"Wireshark calls #{crossing.n}{where} a {SHOWN_BY_WIRESHARK[name]}; {truth}"
    return tuple(f"{text}{f' ({more[key]} more like it)' if key in more else ''}" for key, text in first.items())


def _contradicted(
    crossings: Sequence[Crossing], causes: Sequence[Cause], labels: Labels
) -> Iterator[tuple[Crossing, Cause, str, list[Host]]]:
    for crossing, cause in zip(crossings, causes, strict=True):
        for name, hosts in contradicted(labels_of(crossing, labels), cause).items():
            yield crossing, cause, name, hosts


def _truth(crossing: Crossing, cause: Cause, made: list[Call]) -> str:
    by = f" of {names(made)}" if made else ""
    if cause.rule in _REPEATS:
        return f"it is {bytes_of(crossing)}{by} {_REPEATS[cause.rule]}"
    if cause.rule in _FIRST:
        return f"it is {bytes_of(crossing)}{by}, sent for the first time"
    return f"it {cause.evidence}" if cause.kind is CauseKind.ANSWER else f"it is a {cause.rule}: {cause.evidence}"
