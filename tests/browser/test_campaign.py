"""The page of a campaign in Chromium: filters, keys, address, links, narrow and dark, on paper, hostile names."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from testbed.campaign.store import Store
from testbed.report.campaign_files import rebuild
from testbed.report.html.campaign_page import render
from tests.builders import campaigns as sample

from .conftest import BOTH_SIZES, SIZES, Open

PAGES = {"campaign": sample.summary, "hostile": sample.hostile, "many": sample.many}
LARGE = {"large": sample.large}
KEPT = next((Path(__file__).parents[1] / "data/campaign-v1").iterdir())
Written = Callable[[str], Path]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    place = tmp_path_factory.mktemp("campaigns")

    def write(name: str) -> Path:
        path = place / f"{name}.html"
        if not path.exists():
            summary = (PAGES | LARGE)[name]()
            path.write_text(render(summary, sample.about(summary)), encoding="utf-8")
        return path

    return write


def in_matrix(page: Page) -> list[str]:
    """Numbers of the variants whose cells can be seen."""
    cells = page.locator("td[data-variant]:not(.out):visible").all()
    return [cell.get_attribute("data-variant") or "" for cell in cells]


def told(page: Page) -> list[str]:
    """Numbers of the variants whose details can be seen."""
    return [one.get_attribute("data-variant") or "" for one in page.locator("article:visible").all()]


@pytest.mark.parametrize(("width", "scheme"), SIZES)
@pytest.mark.parametrize("name", sorted(PAGES))
def test_it_opens_quietly_fits_its_window_and_axe_finds_nothing(
    open_page: Open, written: Written, name: str, width: int, scheme: str
) -> None:
    page = open_page(written(name), width=width, scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    dark = page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(20, 22, 26)"
    assert dark == (scheme == "dark")
    if name != "campaign":
        return
    page.evaluate("document.querySelectorAll('details').forEach((one) => one.setAttribute('open', ''))")
    found = Axe().run(page).response["violations"]
    assert [(one["id"], one["impact"], [node["html"][:120] for node in one["nodes"][:3]]) for one in found] == []


@BOTH_SIZES
def test_the_matrix_has_a_row_for_each_scenario_and_a_bar_in_each_cell(
    open_page: Open, written: Written, width: int, scheme: str
) -> None:
    page = open_page(written("campaign"), width=width, scheme=scheme)
    assert page.locator(".matrix tbody th").all_inner_texts() == ["nagle", "nodelay", "echo"]
    assert page.locator(".matrix thead").first.inner_text().split() == [
        "scenario",
        *["link.delay", "1ms"],
        "link.delay",
        "5ms",
    ]
    bar = page.locator("td[data-variant='1'] .bar")
    whole = bar.bounding_box()
    pieces = [piece.bounding_box() for piece in bar.locator("rect").all()]
    assert whole is not None
    widths = [piece["width"] / whole["width"] for piece in pieces if piece]
    assert widths == [pytest.approx(0.8, abs=0.02), pytest.approx(0.2, abs=0.02)]
    assert bar.get_attribute("aria-label") == "A pass 80%; B pass 20%"
    assert page.locator("td[data-variant='3'] .bar .wrong").count() == 1, "what did not pass is hatched"


def test_filters_narrow_matrix_and_details_and_the_address_brings_them_back(open_page: Open, written: Written) -> None:
    page = open_page(written("campaign"))
    assert (in_matrix(page), told(page)) == (list("01234"), list("01234"))
    page.click("#only")
    assert (in_matrix(page), told(page)) == (list("13"), list("13"))
    assert page.locator(".matrix tbody tr:visible").count() == 2
    page.click("[data-outcome='fail'].toggle")
    assert in_matrix(page) == ["3"]
    assert page.locator(".hits").inner_text() == "1 of 5 variants"
    again = open_page(written("campaign"), fragment=page.evaluate("location.hash"))
    assert (in_matrix(again), told(again)) == (["3"], ["3"])
    assert again.locator("#only").get_attribute("aria-pressed") == "true"
    page.keyboard.press("Escape")
    assert in_matrix(page) == list("01234")
    assert page.evaluate("location.hash") == ""


def test_a_setting_shows_only_its_variants(open_page: Open, written: Written) -> None:
    page = open_page(written("campaign"))
    page.select_option("[data-setting='link.delay']", "5ms")
    assert in_matrix(page) == ["1", "3"]
    assert page.locator(".matrix thead th:visible").all_inner_texts() == ["scenario", "link.delay 5ms"]
    assert page.evaluate("decodeURIComponent(location.hash)") == "#set=link.delay=5ms"
    page.fill("#search", "nagle 3 data")
    assert told(page) == ["1"]
    page.fill("#search", "no such word")
    expect(page.locator("#nothing")).to_be_visible()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (400, "light")])
def test_choosing_a_cell_shows_its_kinds_and_how_they_differ(
    open_page: Open, written: Written, width: int, scheme: str
) -> None:
    page = open_page(written("campaign"), width=width, scheme=scheme)
    page.click("td[data-variant='1'] .pick")
    assert told(page) == ["1"]
    kinds = page.locator("article:visible .kind")
    assert kinds.count() == 2
    assert "segments" in kinds.nth(1).locator("dt.differs").all_inner_texts()
    assert "c, c, string" in kinds.nth(1).inner_text()
    assert "causes" not in kinds.nth(1).locator("dt").all_inner_texts(), "what is the same is told once"
    assert page.evaluate("location.hash") == "#sel=1"
    page.click("#all")
    assert told(page) == list("01234")


def test_keys_walk_over_variants_and_over_the_table(open_page: Open, written: Written) -> None:
    page = open_page(written("campaign"))

    def press(key: str) -> str:
        page.keyboard.press(key)
        return str(page.evaluate("new URLSearchParams(location.hash.slice(1)).get('sel')"))

    assert [press(key) for key in "jjk"] == ["0", "1", "0"]
    assert [press(f"Arrow{way}") for way in ("Right", "Down", "Left", "Left", "Down")] == ["1", "3", "2", "2", "4"]
    page.keyboard.press("/")
    page.keyboard.type("nodelay")
    assert in_matrix(page) == ["2", "3"]
    page.keyboard.press("Escape")
    assert press("k") == "4"


def test_the_headline_leads_to_what_failed(open_page: Open, written: Written) -> None:
    page = open_page(written("campaign"))
    assert page.locator(".verdict").inner_text() == "47 runs of 3 scenarios in 5 variants: 46 pass, 1 fail"
    page.click(".evidence >> text=1 variant fail")
    assert in_matrix(page) == ["3"]


def test_copy_link_copies_the_address(open_page: Open, written: Written) -> None:
    page = open_page(written("campaign"), fragment="#sel=3")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("#copy")
    expect(page.locator("#copy")).to_have_text("copied")
    assert page.evaluate("navigator.clipboard.readText()") == page.url
    assert page.url.endswith("#sel=3")


def test_cells_of_a_real_campaign_lead_to_the_reports_of_its_runs(browser: Browser, tmp_path: Path) -> None:
    shutil.copytree(KEPT, tmp_path / KEPT.name)
    page = browser.new_page()
    page.goto(rebuild(Store(tmp_path / KEPT.name)).pages[0].as_uri())
    page.wait_for_selector("html[data-ready]")
    page.locator("td .kinds a").first.click()
    page.wait_for_selector("#app .row")
    assert page.locator("h1").inner_text() == "gdb-three-segments"
    page.close()


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_of_2000_variants_only_those_in_view_are_drawn_and_all_are_found(
    open_page: Open, written: Written, width: int, scheme: str
) -> None:
    page = open_page(written("large"), width=width, scheme=scheme, height=900)
    assert page.evaluate("document.documentElement.dataset.ready") == "2000"
    assert page.locator(".matrix tbody tr").count() == 2000, "many variants are rows, not columns"
    expect(page.locator("td[data-variant='0'] .bar")).to_be_visible()
    assert page.locator(".bar").count() < 100
    last = page.locator("td[data-variant='1999']")
    assert last.locator(".bar").count() == 0
    last.scroll_into_view_if_needed()
    expect(last.locator(".bar")).to_be_visible()
    page.fill("#search", "last &")
    assert page.locator(".hits").inner_text() == "0 of 2,000 variants"
    page.fill("#search", "THE last")
    assert in_matrix(page) == ["1999"]
    page.keyboard.press("Escape")
    page.keyboard.press("k")
    expect(page.locator("article:visible .kind")).to_be_in_viewport()
    assert "the last" in page.locator("article:visible .kind").inner_text()
    expect(last).to_be_in_viewport()
    page.fill("#search", "delay 1ms")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    shown = page.locator("td[data-variant]:not(.out):visible")
    assert shown.locator(".bar").count() == shown.count() > 40, "on paper stands all that is shown"


def test_without_a_script_everything_is_there(browser: Browser, written: Written) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(written("campaign").as_uri())
    assert not page.locator(".toolbar").is_visible()
    assert page.locator("article:visible .kind").count() == 7
    assert page.locator("td .bar:visible").count() == 5
    context.close()


def test_on_paper_stands_what_is_shown_without_the_bar(open_page: Open, written: Written) -> None:
    page = open_page(written("campaign"), fragment="#only=1", scheme="dark")
    page.emulate_media(media="print")
    assert not page.locator(".toolbar").is_visible()
    assert told(page) == ["1", "3"]
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
    assert len(page.pdf()) > 10_000


@pytest.mark.parametrize("fragment", ["", "#sel=%3Cscript%3E&set=%3Cimg%3E=%22&outcome=%22%3E&q=%3Cscript", "#sel=1"])
def test_hostile_text_is_shown_and_never_becomes_markup(open_page: Open, written: Written, fragment: str) -> None:
    page = open_page(written("hostile"), fragment=fragment, width=400)
    assert page.locator("script").count() == 2
    assert page.locator("img").count() == 0
    text = page.locator("body").inner_text()
    assert "<script>alert(1)</script>\\x00\\x1b[31m\\u202eevil" in text
    for character in ("\x00", "\x1b", "\u202e"):
        assert character not in text
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_a_hostile_value_of_a_setting_can_be_chosen(open_page: Open, written: Written) -> None:
    page = open_page(written("hostile"))
    page.select_option("[data-setting='link.delay']", sample.SHOWN)
    assert in_matrix(page) == ["0"]
    again = open_page(written("hostile"), fragment=page.evaluate("location.hash"))
    assert in_matrix(again) == ["0"]
