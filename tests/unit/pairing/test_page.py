"""Packets of a comparison as values, and the page that is made of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from testbed.cli.compare_command import compare
from testbed.crossings.comparison_view import ComparisonView
from testbed.model import FieldChange, HeaderField
from testbed.report.evidence_text import sentence
from testbed.report.html import assemble, comparison_page
from testbed.report.html.comparison_page import of_comparison, render
from testbed.report.html.marks import PacketMark
from tests.builders.frames import ethernet, pcap, udp
from tests.builders.transfers import DELAY, MS, START, Transfer, compare_bytes, file_of, moved, rewritten, transfer

FAULTS = {3: "lost", 5: "duplicated", 7: "late", 8: "window", 10: "split", 12: "payload"}
HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e.pcap"


def test_crossings_say_what_was_done_to_each_packet_in_time_order() -> None:
    compared = ComparisonView(transfer(FAULTS).compare(one_clock=True))
    found = compared.crossings(np.arange(len(compared)))
    assert [one.n for one in found] == list(range(len(found)))
    assert [one.time for one in found] == sorted(one.time for one in found)
    assert [one.start for one in found if one.fate == "lost"] == [300]
    (copy,) = [one for one in found if sentence(one.note).startswith("copy of")]
    assert found[int(sentence(copy.note).removeprefix("copy of #"))].start == copy.start == 500
    assert [(one.start, one.length) for one in found if sentence(one.note).startswith("part")] == [
        (1000, 50),
        (1050, 50),
    ]
    assert next(one.changes for one in found if one.changes) == (FieldChange(HeaderField.WINDOW, 502, 77),)
    assert all((one.arrived or 0) - (one.sent or 0) >= DELAY for one in found if one.fate == "crossed")


def test_a_part_of_the_crossings_is_the_same_as_that_part_of_all() -> None:
    compared = ComparisonView(transfer(FAULTS).compare())
    some = np.array([0, 3, 4, 9, 10, 18, 19, 20])
    every = compared.crossings(np.arange(len(compared)))
    assert compared.crossings(some) == tuple(every[n] for n in some.tolist())


def test_a_page_needs_no_template_but_those_that_are_compiled_before(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Callable[[], object]] = []
    with monkeypatch.context() as patched:
        patched.setattr(comparison_page, "at_once", begun.append)
        comparison_page.prepare()
    (compiling,) = begun
    cache = assemble._environment().cache
    assert cache is not None
    cache.clear()
    compiling()
    before = {name for _, name in cache}
    assert "compare.html.j2" in before
    render(transfer(FAULTS).compare(), ("a", "b"), ())
    assert {name for _, name in cache} == before


def test_a_clock_that_is_decades_away_changes_no_time_on_the_first_ones_line() -> None:
    made = transfer(FAULTS)
    apart = Transfer(made.client, moved(made.server, offset=-START))
    plain, moved_ = (ComparisonView(each.compare()).crossings(np.arange(30)) for each in (made, apart))
    assert [one.sent for one in plain] == [one.sent for one in moved_]
    assert "differs" in render(apart.compare(), ("a", "b"), ("lost",))


def test_a_page_of_captures_that_span_months_has_both_their_transfers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """52 days are 2**32 milliseconds and a bit: the second transfer is 80 days later."""
    first, second = transfer(segments=10), transfer(segments=10, seed=1, isns=(10**6, 5 * 10**6))
    port = {True: {"sport": 5000}, False: {"dport": 5000}}
    paths = []
    for name, mine, later in (("client", first.client, second.client), ("server", first.server, second.server)):
        moved_ = [replace(each, time=each.time + 80 * 86400 * 10**9, fields={**each.fields, **port[each.from_client]})
                  for each in later]  # fmt: skip
        paths.append(tmp_path / f"{name}.pcap")
        paths[-1].write_bytes(file_of([*mine, *moved_]))
    assert compare([*map(str, paths)], html=str(tmp_path / "page.html"), as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["same"] is True
    assert (tmp_path / "page.html").read_text().count("</html>") == 1
    shown = of_comparison(compare_bytes(*(path.read_bytes() for path in paths)))(1000)
    sent = [each.sent for each in shown.crossings if each.sent is not None]
    assert max(sent) - min(sent) > 80 * 86400 * 10**9


def test_relative_numbers_are_one_line_although_the_other_end_has_rewritten_ones() -> None:
    made = transfer()
    there = rewritten(
        made.server,
        seq=lambda each: (each.fields["seq"] + (4000 if each.from_client else 0)) % 2**32,
        ack=lambda each: (each.fields["ack"] + (0 if each.from_client else 4000)) % 2**32,
    )
    compared = ComparisonView(Transfer(made.client, there).compare())
    data = [one for one in compared.crossings(np.arange(len(compared))) if one.length]
    assert [one.seq for one in data] == [1 + 100 * k for k in range(20)]


def test_marks_count_what_the_verdict_counts() -> None:
    wire = of_comparison(transfer(FAULTS).compare())(1000)
    counts = {
        mark: wire.counts[int(mark)]
        for mark in (PacketMark.LOST, PacketMark.DUPLICATED, PacketMark.ALTERED, PacketMark.REORDERED)
    }
    assert counts == {PacketMark.LOST: 1, PacketMark.DUPLICATED: 1, PacketMark.ALTERED: 2, PacketMark.REORDERED: 1}
    assert wire.counts[int(PacketMark.RETRANSMITTED)] == 1
    assert PacketMark.UNKNOWN not in wire.counts
    assert not wire.causes


def test_what_a_tap_missed_is_not_marked_lost() -> None:
    made = transfer()
    late = Transfer(made.client, [each for each in made.server if each.time > START + 30 * MS])
    wire = of_comparison(late.compare())(1000)
    assert wire.counts[int(PacketMark.LOST)] == 0
    assert "before start" in wire.fates


def test_the_command_writes_the_page_and_names_are_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = transfer({3: "lost"})
    paths = tmp_path / HOSTILE.replace("/", "_"), tmp_path / "b.pcap"
    for path, packets in zip(paths, (made.client, made.server), strict=True):
        path.write_bytes(file_of(packets))
    target = tmp_path / "page.html"
    options = {"csv": "", "merged": "", "fail_on": "", "choose": "", "one_clock": False}
    assert compare([str(paths[0]), str(paths[1])], as_json=True, html=str(target), **options) == 1  # type: ignore[arg-type]
    assert json.loads(capsys.readouterr().out)["counts"]["lost"] == 1
    page = target.read_text(encoding="utf-8")
    assert page.count("<script") == 2
    assert "&lt;script&gt;" in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    bad = str(tmp_path / "none" / "x.html")
    assert compare([str(paths[0]), str(paths[1])], as_json=True, html=bad, **options) == 2  # type: ignore[arg-type]
    assert "x.html: No such file" in capsys.readouterr().err


def test_datagrams_have_no_handshake_and_no_end() -> None:
    made = transfer(segments=2)
    client, server = ([(one.time, one.frame()) for one in end] for end in (made.client, made.server))
    for n in range(3):
        frame = ethernet(udp(b"datagram %d" % n, sport=5353, dport=9, ident=70 + n))
        client.append((START + (200 + n) * MS, frame))
        server.append((START + (205 + n) * MS, frame))
    page = render(compare_bytes(pcap(client), pcap(server)), ("a", "b"), ())
    assert "2 flows at both ends, and no difference that counts" in page
    assert '<a href="#flow=1">udp 1</a>' in page


def test_a_small_limit_is_kept_and_the_cut_is_said() -> None:
    compared = transfer(dict.fromkeys(range(50, 60), "lost"), segments=600).compare()
    page = render(compared, ("a", "b"), ("lost",), limit=130_000)
    assert len(page.encode()) <= 130_000
    assert "This page holds" in page


def test_a_page_of_large_captures_has_chosen_packets_and_leads_to_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison_page, "MOST_PACKETS", 400)
    monkeypatch.setattr(comparison_page, "CHOSEN", 200)
    compared = transfer(dict.fromkeys(range(50, 60), "lost"), segments=300).compare()
    pages = {thorough: render(compared, ("a", "b"), ("lost",), thorough=thorough) for thorough in (False, True)}
    held = {thorough: int(re.findall("This page holds ([0-9]+) of 6", page)[0]) for thorough, page in pages.items()}
    assert held[False] <= 200 < held[True] <= 400
    assert "With <code>--thorough</code> it holds up to 400" in pages[False]


def test_a_negative_delay_stands_with_its_explanation() -> None:
    made = transfer(segments=30)
    made.server = moved(made.server, offset=-421 * MS)
    page = render(made.compare(one_clock=True), ("a", "b"), ())
    assert "the captures were not made with one clock: the server&#39;s is 421.0" in page
    assert "negative delays" not in render(made.compare(), ("a", "b"), ())


def test_captures_without_a_common_flow_have_a_page_that_says_why() -> None:
    there = moved(transfer(segments=5, seed=9, isns=(77, 88)).server, offset=10**13)
    other = Transfer(transfer(segments=5).client, there)
    page = render(other.compare(), ("a", "b"), ("alone",))
    assert "the captures have no flow in common" in page
