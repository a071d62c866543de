"""Wireshark's labels beside causes, and the sentence where they disagree."""

from __future__ import annotations

from testbed.model import CauseName, Labels
from testbed.model.label_conflicts import LabelConflict
from testbed.report.text.verdict_text import verdict_text
from tests.builders.exchange import Exchange

PROBING = {"client": {"net.ipv4.tcp_early_retrans": "3"}}


def look_alike(times: int = 1) -> Exchange:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"c")
    tcp("client P.", b"c", lost=True)
    run.pause(11)
    for _ in range(times):
        tcp("client P.", b"c", seq=1)
    return run


def test_the_keep_alive_that_is_none() -> None:
    labels: Labels = {"client": {5: ("keep_alive",)}, "server": {}}
    found = look_alike().analysis(labels=labels, sysctls=PROBING)
    assert verdict_text(found)[-1] == (
        "Wireshark calls #4 in the client's capture a TCP Keep-Alive; "
        "it is byte 0 of send #1 sent again by a tail-loss probe"
    )


def test_labels_that_agree_or_say_nothing_are_not_told() -> None:
    labels: Labels = {"client": {5: ("retransmission",)}, "server": {4: ("lost_segment",)}}
    assert not [text for text in verdict_text(look_alike().analysis(labels=labels)) if "Wireshark" in text]


def test_one_sentence_for_each_kind_of_disagreement() -> None:
    labels: Labels = {"client": dict.fromkeys((5, 6, 7), ("keep_alive",)), "server": {}}
    found = look_alike(3).analysis(labels=labels, sysctls=PROBING)
    told = [text for text in verdict_text(found) if "Wireshark" in text]
    assert len(told) == 2  # the probe, and two timeouts
    assert told[0].endswith("by a tail-loss probe")
    assert told[1].endswith("by the retransmission timeout (1 more like it)")


def test_bytes_of_a_syn_sent_again_as_usual_data_are_a_retransmission() -> None:
    """TCP Fast Open that the SYN+ACK does not take: cause and label agree."""
    run = Exchange()
    tcp = run.tcp()
    with tcp.client("sendto", b"hello", args={"flags": "MSG_FASTOPEN", "address": "198.18.0.3:10011"}):
        tcp("client S", b"hello", options={"fast_open": 8})
        tcp("server S.", ack=1)
        tcp("client P.", b"hello", seq=1)
    labels: Labels = {"client": {3: ("retransmission",)}, "server": {3: ("retransmission",)}}
    found = run.analysis(labels=labels)
    assert found.causes[2].rule == "fast-open-fallback"
    assert found.label_conflicts == ()


def test_a_conflict_names_the_captures_that_show_the_label() -> None:
    labels: Labels = {"client": {5: ("keep_alive",)}, "server": {4: ("keep_alive", "lost_segment")}}
    (found,) = look_alike().analysis(labels=labels, sysctls=PROBING).label_conflicts
    assert found == LabelConflict("keep_alive", 4, CauseName.TAIL_LOSS_PROBE, ("client", "server"))
