"""The ladder: four lanes, slanted arrows, half arrows for what one end saw, rows drawn only where they are seen."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from .conftest import SIZES, Open
from .pages import SOURCES

File = Callable[[str], Path]


def line(page: Page, packet: int) -> dict[str, float]:
    shaft = page.locator(f".arrow[data-item='{packet}'] .shaft")
    return {name: float(shaft.get_attribute(name) or "nan") for name in ("x1", "y1", "x2", "y2")}


def cells(page: Page, lane: str) -> list[str]:
    return [text for text in page.locator(f".rows .{lane}").all_inner_texts() if text]


@pytest.mark.parametrize(("width", "scheme"), SIZES)
@pytest.mark.parametrize("name", sorted(SOURCES))
def test_every_page_opens_quietly_and_fits_its_window(
    open_page: Open, page_file: File, name: str, width: int, scheme: str
) -> None:
    page = open_page(page_file(name), width=width, scheme=scheme)
    assert page.locator(".rows .row").count() > 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    dark = page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(20, 22, 26)"
    assert dark == (scheme == "dark")


@pytest.mark.parametrize("width", [1280, 400])
def test_the_four_lanes_stand_in_order(open_page: Open, page_file: File, width: int) -> None:
    page = open_page(page_file("run"), width=width)
    lanes = [page.locator(f".lanes .lane{n}").bounding_box() for n in (1, 2, 4, 5)]
    lefts = [lane["x"] for lane in lanes if lane]
    assert lefts == sorted(lefts)
    assert len(set(lefts)) == 4
    assert "accept() = 4" in cells(page, "call.c1")
    assert any(text.startswith("send(") for text in cells(page, "call.c0"))
    assert any(text.startswith("P.") for text in cells(page, "packet.c0"))
    page.evaluate("scrollTo(0, document.body.scrollHeight)")  # only rows in view are drawn
    expect(page.locator(".packet.c1").filter(has_text=re.compile(r"^R\."))).not_to_have_count(0)


def test_an_arrow_goes_down_from_its_sender_to_its_receiver(open_page: Open, page_file: File) -> None:
    page = open_page(page_file("eventful"))
    from_client, from_server = line(page, 0), line(page, 1)
    assert from_client["x1"] < from_client["x2"]
    assert from_client["y1"] < from_client["y2"]
    assert from_server["x1"] > from_server["x2"]
    assert from_server["y1"] < from_server["y2"]
    assert page.locator(".arrow[data-item='0'] .head").count() == 1


def test_a_lost_packet_is_half_an_arrow_that_ends_in_a_cross(open_page: Open, page_file: File) -> None:
    page = open_page(page_file("eventful"))
    whole, lost = line(page, 0), line(page, 5)
    assert lost["x2"] == pytest.approx((whole["x1"] + whole["x2"]) / 2)
    assert page.locator(".arrow[data-item='5'] .cross").count() == 1
    assert page.locator(".arrow[data-item='5'] .head").count() == 0
    at_server = page.locator(".packet.c1[data-item='5']")
    assert at_server.count() == 0, "an end that nobody saw"


def test_a_forged_packet_begins_at_a_cross_and_has_no_sender(open_page: Open, page_file: File) -> None:
    page = open_page(page_file("eventful"))
    whole, forged = line(page, 1), line(page, 11)
    assert forged["x1"] == pytest.approx((whole["x1"] + whole["x2"]) / 2)
    assert forged["x2"] == whole["x2"]
    assert page.locator(".arrow[data-item='11'] .cross").count() == 1
    assert page.locator(".arrow[data-item='11'] .sign").count() == 0


def test_causes_and_fates_differ_in_shape_not_only_in_colour(open_page: Open, page_file: File) -> None:
    page = open_page(page_file("eventful"))

    def shape(packet: int) -> str:
        script = (
            "e => e.tagName + (e.getAttribute('d') ? e.getAttribute('d').length : '') + e.classList.contains('hollow')"
        )
        return str(page.locator(f".arrow[data-item='{packet}'] .sign").evaluate(script))

    assert len({shape(0), shape(1), shape(4), shape(13)}) == 4  # call, answer, timer, unknown
    dashes = "e => getComputedStyle(e).strokeDasharray"
    assert page.locator(".arrow[data-item='0'] .shaft").evaluate(dashes) == "none"
    assert page.locator(".arrow[data-item='4'] .shaft").evaluate(dashes) != "none"
    assert page.locator(".arrow[data-item='10'] .sort").text_content() == "≠"


def test_a_call_shares_its_row_with_the_packet_that_it_sent(open_page: Open, page_file: File) -> None:
    page = open_page(page_file("eventful"))
    row: Locator = page.locator(".row", has=page.locator(".call[data-item='17']"))
    assert row.locator(".packet.c0").inner_text() == 'P. "late?\\n"'


def test_rows_are_in_time_order_and_times_never_fall(open_page: Open, page_file: File) -> None:
    page = open_page(page_file("eventful"))
    times = [float(text) for text in cells(page, "time")]
    assert len(times) > 10
    assert times == sorted(times)


def test_of_a_long_run_only_rows_in_view_are_drawn_and_the_last_can_be_reached(
    open_page: Open, page_file: File
) -> None:
    page = open_page(page_file("long"))
    assert page.evaluate("document.documentElement.dataset.ready") == "9998"
    assert page.locator(".row").count() < 120
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    page.wait_for_selector(".arrow[data-item='9997']")
    assert page.locator(".row").count() < 120


def test_true_scale_makes_heights_proportional_to_time(open_page: Open, page_file: File) -> None:
    page = open_page(page_file("eventful"))
    page.click("#scale")
    tops = page.evaluate(
        """() => [...document.querySelectorAll('.row')]
             .map((row) => [parseFloat(row.style.top), row.querySelector('.time')?.textContent])
             .filter(([, time]) => time)"""
    )
    points = [(float(top), float(time)) for top, time in tops]
    # The times that the page shows are rounded: only distances of which that is a small part tell the scale.
    slopes = [(b[0] - a[0]) / (b[1] - a[1]) for a, b in pairwise(points) if b[1] - a[1] >= 0.2]
    assert len(slopes) > 5
    assert max(slopes) == pytest.approx(min(slopes), rel=0.02)
    arrow = line(page, 0)
    flight = arrow["y2"] - arrow["y1"]
    assert flight == pytest.approx(5 * slopes[0], rel=0.03)  # it crossed in 5 ms; tops are rounded
    page.click("#finer")
    longer = line(page, 0)
    assert longer["y2"] - longer["y1"] == pytest.approx(2 * flight, rel=0.02)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_paper_all_rows_stand_whatever_is_in_view(open_page: Open, page_file: File, scheme: str) -> None:
    page = open_page(page_file("eventful"), height=300, scheme=scheme)
    drawn = page.locator(".row").count()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator(".row").count() > drawn
    assert page.locator(".arrow[data-item]").count() == 14
    page.emulate_media(media="print")
    assert not page.locator(".toolbar").is_visible()
    assert page.locator(".verdict").first.is_visible()
    assert not page.locator(".papernote").is_visible(), "there are no more rows than are printed"
    assert len(page.pdf()) > 10_000
    page.evaluate("dispatchEvent(new Event('afterprint'))")
