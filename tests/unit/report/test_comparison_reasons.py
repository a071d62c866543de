"""What a comparison explains, in words."""

from __future__ import annotations

import pytest

from testbed.model.ip import GRE, TCP, UDP
from testbed.pairing import nothing_in_common as nothing
from testbed.pairing.clock import ClockPiece
from testbed.pairing.negative_delay import NegativeDelays, NegativeReason
from testbed.pairing.packet_table import ConversationEnds
from testbed.pairing.sender_guess import BytesAdded, FitsFlow, NothingCrossed, Origin, Sender, UnlikeFlow
from testbed.report.text.comparison_reasons import negative_text, nothing_text, origin_text

ENDS = ConversationEnds(TCP, 4, ("10.0.0.5", "10.0.0.9"), (4711, 80))
PIECE = ClockPiece(0, 9, 0, -2_500_000, 0.0, 1_000, None)


OTHER_CONNECTIONS = """addresses and ports are in both (of 2 flows, as 10.0.0.5:4711 - 10.0.0.9:80), but neither
initial sequence numbers nor payloads: another connection, or terminated by a proxy"""
OTHER_SAME = """addresses and ports are in both (of 1 flow, as 10.0.0.5:4711 - 10.0.0.9:80), and so are 1,200 payloads,
but not the initial sequence numbers: another connection that carries the same, or terminated by a proxy"""
FLOWS_SAME = """other flows that carry the same, or terminated by a proxy: not one address is in both; 2 payloads are
in both, but nothing says that the packets are the same"""
OTHER_FLOWS = """other flows, or terminated by a proxy or encrypted in between: {};
no initial sequence number, payload or time stamp is in both"""


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (nothing.EmptyCapture(1), "the second capture has no IP packet"),
        (nothing.AmbiguousFlows(2), "2 flows of the first capture fit several of the second equally well"),
        (
            nothing.CapturedApart(90 * 10**9),
            "other time: the captures are 90.0 s apart (unless a clock is wrong by that much)",
        ),
        (
            nothing.CapturedApart(7200 * 10**9),
            "other time: the captures are 2.0 h apart (unless a clock is wrong by that much)",
        ),
        (nothing.EncryptedInOne(0, nothing.Tunnel(GRE)), "encrypted: the first capture holds a tunnel (GRE)"),
        (
            nothing.EncryptedInOne(1, nothing.Tunnel(UDP, 500)),
            "encrypted: the second capture holds a tunnel (UDP port 500)",
        ),
        (nothing.OtherConnections(2, ENDS), OTHER_CONNECTIONS),
        (
            nothing.OtherConnections(1, ENDS, 1200),
            OTHER_SAME,
        ),
        (
            nothing.OtherFlows((), 2),
            FLOWS_SAME,
        ),
        (nothing.OtherFlows(()), OTHER_FLOWS.format("not one address is in both")),
        (
            nothing.OtherFlows(("10.0.0.5", "10.0.0.9")),
            OTHER_FLOWS.format("addresses in both: 10.0.0.5, 10.0.0.9"),
        ),
        (nothing.NothingFitsFilter((0, 1)), "no flow of either capture fits the filter"),
        (nothing.NothingFitsFilter((1,)), "no flow of the second capture fits the filter"),
        (
            nothing.FitsInOneCapture(3),
            "what fits the filter is in one capture only; other flows are in both: 3",
        ),
    ],
)
def test_why_nothing_is_common(reason: nothing.NothingInCommon, text: str) -> None:
    assert nothing_text(reason) == text.replace("\n", " ")


OFF = "the server's is 2.500000 ms ± 0.001000 ms behind the client's"


@pytest.mark.parametrize(
    ("reason", "piece", "text"),
    [
        (NegativeReason.ROUNDED_STAMPS, None, "they lie within the microsecond that the time stamps are rounded to"),
        (NegativeReason.WITHIN_ERROR, None, "they lie within the error of the offset between the clocks"),
        (
            NegativeReason.NO_CLOCK_FITS,
            None,
            "no offset and drift fits all packets: a clock was set too often to be measured, or a tap stamps late",
        ),
        (
            NegativeReason.LATE_STAMPS,
            PIECE,
            f"on the whole the captures agree on one clock: a tap stamps single packets late, or {OFF}",
        ),
        (
            NegativeReason.OTHER_CLOCKS,
            PIECE,
            f"the captures were not made with one clock: {OFF}; compare without --one-clock",
        ),
    ],
)
def test_why_delays_are_negative(reason: NegativeReason, piece: ClockPiece | None, text: str) -> None:
    assert negative_text(NegativeDelays(1, -5, reason, piece)) == text


@pytest.mark.parametrize(
    ("origin", "text"),
    [
        (
            Origin(Sender.DEVICE, BytesAdded()),
            "a device on the way (the rest of the segment was sent: these bytes were added to it)",
        ),
        (
            Origin(Sender.UNKNOWN, NothingCrossed()),
            "unknown (no other packet of the flow crossed in this direction)",
        ),
        (Origin(Sender.UNKNOWN, FitsFlow(61, 0)), "unknown (TTL 61 fit the flow)"),
        (Origin(Sender.UNKNOWN, FitsFlow(61, 9)), "unknown (TTL 61 and IP identification 9 fit the flow)"),
        (
            Origin(Sender.OTHER, UnlikeFlow(200, 61, odd_ttl=True, ip_id=7, usual_id=123)),
            "another sender (TTL 200, the flow's packets arrive with 61, IP identification 7, the flow's are at 123)",
        ),
        (
            Origin(Sender.OTHER, UnlikeFlow(61, 61, odd_ttl=False, ip_id=7)),
            "another sender (IP identification 7, the flow's packets have none)",
        ),
        (
            Origin(Sender.DEVICE, UnlikeFlow(63, 61, odd_ttl=True, hops=1, all_hops=3)),
            "a device on the way (TTL 63, the flow's packets arrive with 61: 1 of 3 hops away, if sent with 64)",
        ),
    ],
)
def test_who_sent_what_appeared(origin: Origin, text: str) -> None:
    assert origin_text(origin) == text
