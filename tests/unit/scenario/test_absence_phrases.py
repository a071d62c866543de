"""Reasons for no packet in a scenario: by name, or by a part of the sentence that old runs showed."""

from __future__ import annotations

import pytest

from testbed.model.absences import NoPacketReason
from testbed.scenario.language.absence_phrases import reasons_named

R = NoPacketReason


@pytest.mark.parametrize("reason", NoPacketReason)
def test_a_reason_is_named_by_its_name(reason: NoPacketReason) -> None:
    assert reasons_named(reason.value) == (reason,)


@pytest.mark.parametrize(
    ("phrase", "reasons"),
    [
        ("had sent the FIN", {R.FIN_SENT_BEFORE}),
        ("shutdown #3 had sent the FIN", {R.FIN_SENT_BEFORE}),
        ("the kernel had opened already", {R.TAKES_OPEN_CONNECTION}),
        ("had opened the connection", {R.OPENED_BEFORE}),
        ("held by Nagle's algorithm", {R.HELD_BY_NAGLE}),
        ("Nagle", {R.HELD_BY_NAGLE}),
        ("its 6 bytes never left the host: held by Nagle's algorithm, as #3 was not", {R.HELD_BY_NAGLE}),
        ("its 1 byte never left the host: still queued", {R.STILL_QUEUED}),
        ("3 of its 1,448 bytes never left the host: held by TCP_CORK (setsockopt #2)", {R.HELD_BY_CORK}),
        ("both of its ends are on this host", {R.SAME_HOST}),
        ("the connection was not open yet (SYN_SENT)", {R.NOT_OPEN_YET}),
        ("TCP has no way to tell the peer", {R.ENDS_READING_ONLY}),
        ("the connection was gone", {R.CONNECTION_GONE}),
        ("had ended the sending direction (EPIPE)", {R.SENDING_ENDED_BEFORE}),
        ("RST #9 of the server had broken the connection off", {R.RESET_BEFORE, R.CONNECTION_ENDED, R.FAILED}),
        ("failed: EINVAL", {R.FAILED}),
        ("was captured", {R.SAME_HOST, R.SYN_NOT_CAPTURED, R.FIN_NOT_CAPTURED, R.NOT_CAPTURED}),
    ],
)
def test_a_phrase_means_every_reason_whose_sentence_had_it(phrase: str, reasons: set[NoPacketReason]) -> None:
    assert set(reasons_named(phrase)) == reasons


def test_what_no_sentence_had_is_no_reason() -> None:
    with pytest.raises(ValueError, match=r"`fin-sent` is no reason .*; did you mean `fin-sent-before`") as caught:
        reasons_named("fin-sent")
    assert "held-by-nagle" in caught.value.args[1]
