"""Evidence as sentences: every kind of part, long lists cut, links only to what a page holds."""

from __future__ import annotations

import pytest

from testbed.model import CallRef, Endpoint, Evidence, PacketRef, packet_refs
from testbed.model.absences import NoPacket, NoPacketReason, Reset
from testbed.model.evidence import ByteRange, Duration, Quantity, concatenated
from testbed.model.references import References
from testbed.report.evidence_text import pieces, sentence, without_numbers
from testbed.report.html.links import Links, put_sentences
from testbed.report.html.pack import Packer
from testbed.report.no_packet_text import SENTENCES

SEND = CallRef("client", 4, "send")


@pytest.mark.parametrize(
    ("evidence", "shown", "shared"),
    [
        (
            ("acknowledges ", PacketRef(9), ", ", Duration(400_000), " after it came"),
            "acknowledges #9, 0.4 ms after it came",
            "acknowledges #N, N after it came",
        ),
        ((ByteRange(3, 4), " of ", SEND), "byte 3 of send #4", "N of send #N"),
        ((ByteRange(3, 9),), "bytes 3-8", "N"),
        ((Quantity(1, "unread byte"), " ", Quantity(1200)), "1 unread byte 1,200", "N unread bytes N"),
        ((packet_refs(range(4)),), "#0, #1, #2, #3", "#N"),
        ((packet_refs(range(9)),), "#0, #1, ..., #8", "#N"),
        (("on ", Endpoint("fd00::1", 80)), "on [fd00::1]:80", "on N"),
        ((NoPacket(NoPacketReason.FIN_SENT_BEFORE, SEND),), "send #4 had sent the FIN", "send #N had sent the FIN"),
        ((Duration(12_400_000), " ", Duration(1_020_000_000)), "12 ms 1.02 s", "N N"),
    ],
)
def test_every_kind_of_part_has_its_text(evidence: Evidence, shown: str, shared: str) -> None:
    assert (sentence(evidence), without_numbers(evidence)) == (shown, shared)


def test_a_sentence_is_cut_at_its_references_and_no_word_is_lost() -> None:
    evidence: Evidence = ("sent by ", SEND, "; ", References((PacketRef(1), PacketRef(2))), " came")
    found = pieces(evidence)
    assert [piece.reference for piece in found] == [None, SEND, None, PacketRef(1), None, PacketRef(2), None]
    assert "".join(piece.text for piece in found) == sentence(evidence) == "sent by send #4; #1, #2 came"


def test_links_lead_to_calls_and_to_the_packets_that_the_page_holds() -> None:
    found = Links([1]).linked((SEND, " ", PacketRef(1), " ", PacketRef(2)))
    assert [piece.target for piece in found] == ["client:4", "", "p1", "", ""]


def test_links_of_a_column_count_as_javascript_does() -> None:
    """A character outside the first plane is two units there, a lone surrogate one."""
    packer = Packer()
    put_sentences(packer, "x", [("\U0001f600\udc80 ", PacketRef(7), ", ", CallRef("server", 3, "recv"))])
    packed = packer.pack({})
    assert unpacked(packed, "x.links.value") == [4, 2, 7, 8, 7, -1 - (2 * 3 + 1)]


def unpacked(packed: str, name: str) -> list[int]:
    """Return a column of integers as the page reads it."""
    import base64
    import json
    import zlib

    data = zlib.decompress(base64.b64decode(packed))
    size = int.from_bytes(data[:4], "little")
    column = json.loads(data[4 : 4 + size])["columns"][name]
    at, count, width = 4 + size + column["at"], column["count"], column["width"]
    found, before = [], 0
    for k in range(count):
        zigzag = sum(data[at + plane * count + k] << 8 * plane for plane in range(width))
        value = (zigzag >> 1) ^ -(zigzag & 1)
        before = value + before if column["delta"] else value
        found.append(before)
    return found


@pytest.mark.parametrize("reason", NoPacketReason)
def test_every_reason_for_no_packet_has_a_sentence(reason: NoPacketReason) -> None:
    reset = Reset(PacketRef(9), "server")
    text = sentence((NoPacket(reason, SEND, PacketRef(3), "EPIPE", reset),))
    assert "RST #9 of the server" in text
    assert ("send #4" in text, "#3" in text) == (
        any(name in SENTENCES[reason] for name in ("{call}", "{by}")),
        "{packet}" in SENTENCES[reason],
    )
    assert "EPIPE" in text


def test_how_many_bytes_never_left_comes_before_the_reason() -> None:
    some = NoPacket(NoPacketReason.STILL_QUEUED, unsent=1, written=3000)
    assert sentence((some,)) == "1 of its 3,000 bytes never left the host: still queued at the end"
    every = NoPacket(NoPacketReason.HELD_BY_NAGLE, packet=PacketRef(3), unsent=1, written=1)
    expected = "its 1 byte never left the host: held by Nagle's algorithm, as #3 was not acknowledged"
    assert sentence((every,)) == expected


def test_pieces_of_evidence_are_put_together() -> None:
    assert concatenated([("a",), (SEND, "b")], "; ") == ("a", "; ", SEND, "b")
