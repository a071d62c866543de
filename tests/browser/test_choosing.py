"""Choosing, filtering, searching: what the page shows of a packet and a call, and how to find them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from .conftest import BOTH_SIZES, Open
from .pages import OFFSET

File = Callable[[str], Path]


def shown(page: Page) -> set[int]:
    """Packets that have an arrow."""
    return {
        int(item) for item in page.locator(".arrow[data-item]").evaluate_all("all => all.map((e) => e.dataset.item)")
    }


def panel(page: Page) -> str:
    return page.locator(".panel").inner_text()


def fields(page: Page) -> dict[str, list[str]]:
    rows = page.locator(".fields tbody tr")
    return {row.locator("th").inner_text(): row.locator("td").all_inner_texts() for row in rows.all()}


@BOTH_SIZES
def test_a_chosen_packet_shows_cause_call_source_line_times_bytes_and_fields(
    open_page: Open, page_file: File, width: int, scheme: str
) -> None:
    page = open_page(page_file("eventful"), width=width, scheme=scheme)
    page.click(".packet.c0[data-item='3']")
    text = panel(page)
    assert "Packet 3" in text
    assert "byte 0 of send #1" in text
    assert 'client #1 send("c") = 1' in text
    assert "client.c:12" in text
    assert "Held by gdb at" in text
    assert page.locator(".panel .stop li").all_inner_texts() == ["talk client.c:12", "main client.c:30"]
    assert "one way" in text
    assert "5.00 ms" in text
    assert page.locator(".panel .bytes").inner_text().split() == ["0000", "63", "c"]
    assert fields(page)["seq (relative)"] == ["1 same"]


def test_fields_that_changed_on_the_way_are_marked_with_both_values(open_page: Open, page_file: File) -> None:
    page = open_page(page_file("eventful"))
    page.click(".packet.c1[data-item='10']")
    assert fields(page)["≠ ttl"] == ["61", "64"]  # at the client, at the server that sent it
    assert fields(page)["≠ window"] == ["1000", "64240"]
    assert page.locator(".fields tr.differs").count() == 2


def test_fields_of_both_captures_are_shown_for_a_real_run(open_page: Open, page_file: File) -> None:
    page = open_page(page_file("run"), fragment="#sel=p3")
    assert fields(page)["TTL"] == ["64 same"]
    assert fields(page)["flags"] == ["P. same"]
    assert fields(page)["payload"] == ["1 same"]
    assert page.locator(".fields tr.differs").count() == 0


def test_choosing_a_call_filters_to_its_packets_and_escape_shows_all_again(open_page: Open, page_file: File) -> None:
    page = open_page(page_file("eventful"))
    page.fill("#ctx", "0")
    page.click(".call.c0[data-item='17']")  # the send of "late?" and "soon."
    assert shown(page) == {6, 7}
    assert "packets of client #3 send" in page.locator("#clear-call").inner_text()
    assert "Packets that it caused" in panel(page)
    page.keyboard.press("Escape")
    assert len(shown(page)) == 14
    assert page.locator("#clear-call").count() == 0


def test_a_call_that_read_names_the_packets_that_carried_its_bytes(open_page: Open, page_file: File) -> None:
    page = open_page(page_file("run"), fragment="#sel=server:6")
    assert "Packets whose bytes it read" in panel(page)
    assert '#3 P. "c"' in panel(page)


def test_a_call_that_gdb_held_shows_where(open_page: Open, page_file: File) -> None:
    page = open_page(page_file("eventful"), fragment="#sel=client:1")
    assert page.locator(".panel .stop li").all_inner_texts() == ["talk client.c:12", "main client.c:30"]
    assert "backtrace" not in panel(page)


def test_a_call_without_packets_says_why(open_page: Open, page_file: File) -> None:
    page = open_page(page_file("run"), fragment="#sel=client:6")
    assert "No packet: RST #" in panel(page)
    page.click(".panel a:has-text('#9')")
    assert "Packet 9" in panel(page)


@BOTH_SIZES
def test_references_in_the_evidence_lead_to_the_packet_or_the_call(
    open_page: Open, page_file: File, width: int, scheme: str
) -> None:
    page = open_page(page_file("eventful"), fragment="#sel=p4", width=width, scheme=scheme)
    page.click(".panel .cause a:has-text('#3')")
    assert "Packet 3" in panel(page)
    page.click(".panel .cause a:has-text('send #1')")
    assert "client call 1" in panel(page)


def test_a_search_filters_with_rows_of_context(open_page: Open, page_file: File) -> None:
    page = open_page(page_file("eventful"))
    page.fill("#ctx", "0")
    page.fill("#search", "forged OR nothing")
    assert shown(page) == set()
    expect(page.locator(".nothing, .unfold").first).to_be_visible()
    page.fill("#search", "lost!")
    assert shown(page) == {5, 9}
    rows = page.locator(".row").count()
    page.fill("#ctx", "3")
    assert page.locator(".row").count() > rows
    page.locator(".unfold").first.click()
    assert page.locator(".row").count() > rows + 3


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("from:server flags:s.", {1}),
        ("rule:fast-retransmission", {9}),
        ("cause:timer", {4}),
        ("n:7", {7}),
        ("len:>5", {5, 6, 7, 9}),
        ("bytes:13-18", {7}),
        ('"as its capture shows"', {11}),
    ],
)
def test_search_terms(open_page: Open, page_file: File, query: str, wanted: set[int]) -> None:
    page = open_page(page_file("eventful"))
    page.fill("#ctx", "0")
    page.fill("#search", query)
    assert shown(page) == wanted


def test_find_keeps_all_rows_and_n_goes_from_one_to_the_next(open_page: Open, page_file: File) -> None:
    page = open_page(page_file("eventful"))
    page.select_option("#choose-mode", "find")
    page.keyboard.press("/")
    page.keyboard.type("rule:data")
    assert len(shown(page)) == 14
    assert page.locator(".hits").inner_text() == "4 matches"
    page.keyboard.press("Enter")
    assert "Packet 3" in panel(page)
    page.locator(".field").focus()
    page.keyboard.press("n")
    assert "Packet 5" in panel(page)
    page.keyboard.press("Shift+N")
    assert "Packet 3" in panel(page)


@pytest.mark.parametrize(
    ("preset", "wanted"),
    [
        ("lost", {5}),
        ("appeared", {11}),
        ("altered", {10}),
        ("retransmitted", {4, 9}),
        ("reordered", {6}),
        ("unknown", {11, 13}),
    ],
)
def test_presets_select_and_count(open_page: Open, page_file: File, preset: str, wanted: set[int]) -> None:
    page = open_page(page_file("eventful"))
    page.fill("#ctx", "0")
    chip = page.locator(f"[data-preset='{preset}']")
    assert chip.inner_text().split()[-1] == str(len(wanted))
    chip.click()
    assert shown(page) == wanted
    assert chip.get_attribute("aria-pressed") == "true"
    chip.click()
    assert len(shown(page)) == 14


def test_only_differences_hides_what_is_the_same_at_both_ends(open_page: Open, page_file: File) -> None:
    page = open_page(page_file("eventful"))
    page.fill("#ctx", "0")
    page.click("#only")
    assert shown(page) == {5, 6, 10, 11}


def test_label_differs_from_cause_is_offered_only_where_there_are_labels(open_page: Open, page_file: File) -> None:
    assert open_page(page_file("eventful")).locator("[data-preset='mislabelled']").count() == 0
    page = open_page(page_file("labelled"))
    page.fill("#ctx", "0")
    page.click("[data-preset='mislabelled']")
    assert shown(page) == {3, 4}
    page.click(".packet.c0[data-item='4']")
    assert "client: keep_alive" in panel(page)
    assert "the label differs from the cause" in panel(page)


def test_keys_walk_over_packets_and_calls_in_order(open_page: Open, page_file: File) -> None:
    page = open_page(page_file("eventful"))
    walked = []
    for _ in range(4):
        page.keyboard.press("j")
        walked.append(page.evaluate("new URLSearchParams(location.hash.slice(1)).get('sel')"))
    assert walked == ["client:0", "p0", "p1", "p2"]
    page.keyboard.press("k")
    assert "Packet 1" in panel(page)
    assert page.locator("[role=status]").inner_text().startswith("packet 1 from the server")


def test_enter_on_a_call_filters_to_its_packets(open_page: Open, page_file: File) -> None:
    page = open_page(page_file("eventful"), fragment="#sel=client:3&ctx=0")
    page.locator(".field").focus()
    page.keyboard.press("Enter")
    assert shown(page) == {6, 7}


def test_times_are_relative_delta_or_absolute(open_page: Open, page_file: File) -> None:
    page = open_page(page_file("eventful"))
    second = page.locator(".rows .time").nth(1)
    assert page.locator(".rows .time").nth(0).inner_text() == "0.000"
    assert second.inner_text() == "5.100"
    page.select_option("#choose-time", "absolute")
    assert second.inner_text() == "22:13:20.006000000"
    page.select_option("#choose-time", "delta")
    assert second.inner_text() == "+5.100"


def test_the_clocks_and_their_offset_with_its_error_are_shown(open_page: Open, page_file: File) -> None:
    page = open_page(page_file("clocks"))
    assert page.locator(".offset").inner_text() == "offset 421 ms ± 50.0 µs"
    page.select_option("#choose-time", "absolute")
    before = page.locator(".rows .time").nth(1).inner_text()
    page.select_option("#choose-clock", "server")
    after = page.locator(".rows .time").nth(1).inner_text()
    assert before == "22:13:20.006000000"
    assert after == f"22:13:20.{6_000_000 + OFFSET:09d}"
    assert open_page(page_file("run")).locator(".offset").inner_text() == "offset 0"


def test_hovering_tells_cause_and_labels(open_page: Open, page_file: File) -> None:
    page = open_page(page_file("labelled"))
    page.hover(".packet.c0[data-item='4']")
    tip = page.locator(".tip").inner_text()
    assert "cause tail-loss-probe: byte 0 again, 13 ms after #3" in tip
    assert "labels: keep_alive" in tip


def test_the_address_holds_what_is_shown_and_brings_it_back(open_page: Open, page_file: File) -> None:
    page = open_page(page_file("labelled"))
    page.fill("#search", "from:client")
    page.fill("#ctx", "0")
    page.click("[data-preset='lost']")
    page.select_option("#choose-time", "delta")
    page.click("#plot")
    page.click(".packet.c0[data-item='5']")
    fragment = page.evaluate("location.hash")
    again = open_page(page_file("labelled"), fragment=fragment)
    assert again.evaluate("location.hash") == fragment
    assert shown(again) == {5}
    assert "Packet 5" in panel(again)
    assert again.input_value("#search") == "from:client"
    assert again.input_value("#choose-time") == "delta"
    assert again.locator(".dock").is_visible()


def test_copy_link_copies_the_address(open_page: Open, page_file: File) -> None:
    page = open_page(page_file("eventful"), fragment="#sel=p3")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("#copy")
    expect(page.locator("#copy")).to_have_text("copied")
    assert page.evaluate("navigator.clipboard.readText()") == page.url
    assert page.url.endswith("#sel=p3")


def test_the_verdict_leads_to_its_evidence(open_page: Open, page_file: File) -> None:
    page = open_page(page_file("eventful"))
    first = page.locator("header .verdict").first
    assert first.inner_text() == (
        "All 19 bytes reached the server's socket; the server program read 7 and left 12 unread"
    )
    first.locator("a").click()
    assert page.evaluate("location.hash") == "#ledger"
    page.click(".evidence >> text=1 packet lost")
    assert page.locator("[data-preset='lost']").get_attribute("aria-pressed") == "true"
    page.click(".evidence >> text=1 expectation failed")
    assert page.locator("#expectations").get_attribute("open") is not None


@BOTH_SIZES
def test_the_plot_and_the_ladder_share_choice_and_cursor(
    open_page: Open, page_file: File, width: int, scheme: str
) -> None:
    page = open_page(page_file("eventful"), width=width, scheme=scheme)
    page.keyboard.press("p")
    for name in ("segment", "again", "gone", "acked", "window", "sack"):
        drawn = page.locator(f".plot path.{name}").get_attribute("d")
        assert drawn, f"{name} is not drawn"
        assert page.locator(f".key.{name}").is_visible()
    page.hover(".packet.c0[data-item='3']")
    assert page.locator(".plotcursor").get_attribute("visibility") == "visible"
    box = page.locator(".plot").bounding_box()
    assert box is not None
    before = page.locator(".plot path.segment").get_attribute("d")
    x, y = [float(part) for part in (before or "").partition("v")[0].removeprefix("M").split()]
    page.mouse.move(box["x"] + x, box["y"] + y)
    assert page.locator(".cursor").is_visible()
    page.mouse.down()
    page.mouse.up()
    assert "Packet 0" in panel(page)
    page.click("[aria-label='zoom in']")
    assert page.locator(".plot path.segment").get_attribute("d") != before
    page.click("[aria-label='whole connection']")
    assert page.locator(".plot path.segment").get_attribute("d") == before


def test_a_finding_shows_what_proves_it(open_page: Open, page_file: File) -> None:
    page = open_page(page_file("run"))
    card = page.locator("#findings")
    expect(card).to_contain_text("so its kernel sent a RST")
    card.locator("a.chip").first.click()
    expect(page.locator("#clear-of")).to_be_visible()
    assert "of=p" in page.url
    assert panel(page).startswith("Packet ")
    page.locator("#clear-of").click()
    expect(page.locator("#clear-of")).to_have_count(0)
    assert card.locator("svg rect").count() >= 2
