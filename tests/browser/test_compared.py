"""The page of two captures: what both ends saw, without calls or causes, on clocks of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

from .conftest import SIZES, Open
from .test_choosing import fields, panel, shown

File = Callable[[str], Path]


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_the_page_is_quiet_fits_and_is_accessible(open_page: Open, page_file: File, width: int, scheme: str) -> None:
    page = open_page(page_file("compared"), fragment="#sel=p14&plot=1", width=width, scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".rows .row").count() > 10
    found = Axe().run(page).response["violations"]
    assert [(one["id"], one["impact"], [node["html"][:120] for node in one["nodes"][:3]]) for one in found] == []


@pytest.mark.parametrize("width", [1280, 400])
def test_there_are_two_lanes_and_it_is_said_that_calls_are_not_known(
    open_page: Open, page_file: File, width: int
) -> None:
    page = open_page(page_file("compared"), width=width)
    boxes = [page.locator(f".lanes .lane{lane}").bounding_box() for lane in (2, 4)]
    assert boxes[0]
    assert boxes[1]
    assert boxes[0]["x"] + boxes[0]["width"] < boxes[1]["x"]
    assert not page.locator(".lanes .lane1").is_visible()
    assert page.locator(".arrow .sign").count() == 0
    assert "two captures without call logs" in page.locator(".panel").text_content().replace("\n", " ")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("preset", "count"),
    [
        ("lost", 1),
        ("duplicated", 1),
        ("altered", 2),
        ("reordered", 1),
        ("retransmitted", 1),
        ("labels", 3),
        ("resized", 2),
    ],
)
def test_presets_select_what_the_comparison_found(open_page: Open, page_file: File, preset: str, count: int) -> None:
    page = open_page(page_file("compared"))
    page.fill("#ctx", "0")
    chip = page.locator(f"[data-preset='{preset}']")
    assert chip.inner_text().split()[-1] == str(count)
    chip.click()
    assert len(shown(page)) == count


def test_presets_about_causes_are_not_offered(open_page: Open, page_file: File) -> None:
    page = open_page(page_file("compared"))
    assert page.locator("[data-preset='unknown']").count() == 0
    assert page.locator("[data-preset='mislabelled']").count() == 0


def test_header_fields_of_both_ends_tell_what_changed_and_what_is_the_same(open_page: Open, page_file: File) -> None:
    page = open_page(page_file("compared"), fragment="#sel=p14")
    assert fields(page)["≠ window"] == ["502", "77"]
    assert fields(page)["TTL"] == ["64", "61"]  # of the whole flow: no change of this packet
    assert fields(page)["IP id"] == ["111 same"]
    assert "hold for the whole flow" in panel(page)
    assert page.locator(".fields tr.differs").count() == 1


def test_the_clocks_are_shown_with_offset_and_error_and_delays_as_intervals(open_page: Open, page_file: File) -> None:
    page = open_page(page_file("compared"), fragment="#sel=p14")
    assert page.locator(".offset").inner_text() == "offset 421 ms ± 5.00 ms"
    assert "server's clock minus client's: +420.999500 ms ± 5.00 ms" in page.locator("#clocks").inner_text()
    assert "5.04 ms ± 5.00 ms (39.0 µs to 10.0 ms)" in panel(page)
    page.select_option("#choose-clock", "server")
    assert "22:13:20.448999500" in panel(page)  # sent at .028 by the client's clock


def test_labels_of_both_ends_are_shown_where_they_disagree(open_page: Open, page_file: File) -> None:
    page = open_page(page_file("compared"))
    page.click(".evidence >> text=labels of 3 packets differ")
    assert page.locator("[data-preset='labels']").get_attribute("aria-pressed") == "true"
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.fill("#search", "out_of_order")
    page.fill("#ctx", "0")
    (late,) = shown(page)
    page.click(f".packet.c0[data-item='{late}']")
    assert "server: out_of_order" in panel(page)
    assert "the captures' labels differ" in panel(page)


def test_a_lost_packet_is_half_an_arrow_and_found_by_its_fate(open_page: Open, page_file: File) -> None:
    page = open_page(page_file("compared"), fragment="#q=fate:lost&ctx=0")
    (lost,) = shown(page)
    assert page.locator(f".arrow[data-item='{lost}'] .cross").count() == 1
    page.click(f".packet.c0[data-item='{lost}']")
    assert "lost: not captured at the receiver" in panel(page)


def test_what_a_capture_cannot_have_seen_is_not_called_lost(open_page: Open, page_file: File) -> None:
    page = open_page(page_file("compared-late"), fragment="#sel=p0")
    assert "before start: the other capture had not begun" in panel(page)
    assert page.locator("[data-preset='lost'] b").inner_text() == "0"


def test_a_window_without_its_scale_is_not_drawn(open_page: Open, page_file: File) -> None:
    page = open_page(page_file("compared"), fragment="#plot=1")
    assert page.locator(".plot path.window").get_attribute("d")
    assert not page.locator("text=no window").is_visible()
    page = open_page(page_file("compared-late"), fragment="#plot=1")
    assert not page.locator(".plot path.window").get_attribute("d")
    assert page.locator("text=no window: its scale").is_visible()


def test_a_flow_is_chosen_from_the_table_with_its_mapping(open_page: Open, page_file: File) -> None:
    page = open_page(page_file("compared"))
    row = page.locator("#flows tbody tr")
    assert "TTL -3, sequence +0" in row.inner_text()
    assert "client FIN, then server FIN" in row.inner_text()
    row.locator("a").click()
    assert page.evaluate("location.hash") == "#flow=0"


@pytest.mark.parametrize("fragment", ["", "#sel=p3", "#sel=p4&plot=1"])
def test_hostile_names_and_payloads_stay_text(open_page: Open, page_file: File, fragment: str) -> None:
    page = open_page(page_file("compared-hostile"), fragment=fragment)
    assert page.locator("script").count() == 2
    text = page.locator("body").inner_text()
    assert "<script>alert(1)</script>\\x00\\x1b[31m\\u202eevil.pcap" in text
    for character in ("\x00", "\x1b", "\u202e"):
        assert character not in text
