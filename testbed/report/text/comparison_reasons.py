"""What a comparison of two captures explains, in words: nothing in common, negative delays, who sent what appeared."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.model.ip import AH, ESP, GRE, UDP
from testbed.pairing import nothing_in_common as nothing
from testbed.pairing.clock import ClockPiece
from testbed.pairing.negative_delay import NegativeDelays, NegativeReason
from testbed.pairing.sender_guess import BytesAdded, FitsFlow, NothingCrossed, Origin, UnlikeFlow

_CAPTURES = ("first", "second")
_TUNNELS = {ESP: "ESP", AH: "AH", GRE: "GRE"}
_MINUTE = 60 * 10**9


def nothing_text(reason: nothing.NothingInCommon) -> str:
    """Return why two captures have nothing in common, a clause."""
    match reason:
        case nothing.EmptyCapture(capture):
            return f"the {_CAPTURES[capture]} capture has no IP packet"
        case nothing.AmbiguousFlows(flows):
            return f"{flows} flows of the first capture fit several of the second equally well"
        case nothing.CapturedApart(apart):
            return f"other time: the captures are {_long(apart)} apart (unless a clock is wrong by that much)"
        case nothing.EncryptedInOne(capture, tunnel):
            return f"encrypted: the {_CAPTURES[capture]} capture holds a tunnel ({_tunnel(tunnel)})"
        case nothing.OtherConnections(flows, example, payloads):
            of = f"of {flows} flow{'s' * (flows > 1)}, as {example}"
            but = (
                f"and so are {_payloads(payloads)}, but not the initial sequence numbers: another connection that"
                " carries the same"
                if payloads
                else "but neither initial sequence numbers nor payloads: another connection"
            )
            return f"addresses and ports are in both ({of}), {but}, or terminated by a proxy"
        case nothing.OtherFlows(addresses, payloads):
            about = f"addresses in both: {', '.join(addresses)}" if addresses else "not one address is in both"
            if payloads:
                return (
                    f"other flows that carry the same, or terminated by a proxy: {about}; {_payloads(payloads)} are in"
                    " both, but nothing says that the packets are the same"
                )
            return (
                f"other flows, or terminated by a proxy or encrypted in between: {about}; no initial sequence number, "
                "payload or time stamp is in both"
            )
        case nothing.NothingFitsFilter((capture,)):
            return f"no flow of the {_CAPTURES[capture]} capture fits the filter"
        case nothing.NothingFitsFilter():
            return "no flow of either capture fits the filter"
        case nothing.FitsInOneCapture(common):
            return f"what fits the filter is in one capture only; other flows are in both: {common}"


def _payloads(count: int) -> str:
    return f"{count:,} payload{'s' * (count > 1)}"


def _tunnel(tunnel: nothing.Tunnel) -> str:
    return f"UDP port {tunnel.port}" if tunnel.protocol == UDP else _TUNNELS[tunnel.protocol]


def _long(ns: int) -> str:
    return f"{ns / 10**9:.1f} s" if ns < 10 * _MINUTE else f"{ns / _MINUTE / 60:.1f} h"


def negative_text(negative: NegativeDelays) -> str:
    """Return why delays are negative, a sentence without full stop."""
    match negative.reason:
        case NegativeReason.ROUNDED_STAMPS:
            return "they lie within the microsecond that the time stamps are rounded to"
        case NegativeReason.WITHIN_ERROR:
            return "they lie within the error of the offset between the clocks"
        case NegativeReason.NO_CLOCK_FITS:
            return (
                "no offset and drift fits all packets: a clock was set too often to be measured, or a tap stamps late"
            )
    off = "" if negative.server_clock is None else _offset(negative.server_clock)
    if negative.reason is NegativeReason.LATE_STAMPS:
        return f"on the whole the captures agree on one clock: a tap stamps single packets late, or {off}"
    return f"the captures were not made with one clock: {off}; compare without --one-clock"


def _offset(piece: ClockPiece) -> str:
    within = "" if piece.error is None else f" ± {piece.error / 1e6:.6f} ms"
    ahead = "ahead of" if piece.offset >= 0 else "behind"
    return f"the server's is {abs(piece.offset) / 1e6:.6f} ms{within} {ahead} the client's"


def origin_text(origin: Origin) -> str:
    """Return ``another sender (TTL 200, the flow's packets arrive with 61)``."""
    return f"{origin.who} ({origin_evidence(origin)})"


def origin_evidence(origin: Origin) -> str:
    """Return on what the guess of a packet's sender rests, a clause."""
    match origin.evidence:
        case BytesAdded():
            return "the rest of the segment was sent: these bytes were added to it"
        case NothingCrossed():
            return "no other packet of the flow crossed in this direction"
        case FitsFlow(ttl, ip_id):
            return f"TTL {ttl}{f' and IP identification {ip_id}' if ip_id else ''} fit the flow"
        case UnlikeFlow() as unlike:
            told = ", ".join(_unlike(unlike))
            if unlike.hops is None:
                return told
            return f"{told}: {unlike.hops} of {unlike.all_hops} hops away, if sent with {unlike.ttl + unlike.hops}"


def _unlike(unlike: UnlikeFlow) -> Iterator[str]:
    if unlike.odd_ttl:
        yield f"TTL {unlike.ttl}, the flow's packets arrive with {unlike.usual_ttl}"
    if unlike.ip_id is not None:
        usual = "packets have none" if unlike.usual_id is None else f"are at {unlike.usual_id}"
        yield f"IP identification {unlike.ip_id}, the flow's {usual}"
