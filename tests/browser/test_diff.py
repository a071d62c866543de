"""The page of where two runs differ: side by side, what is the same on demand, links to the runs' own pages."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from testbed.report.html.diff_page import render
from testbed.report.json.result_json import to_json
from testbed.report.run_difference import Told
from testbed.run.evaluate import evaluate
from testbed.rundir.layout import MANIFEST, RunDirectory
from testbed.rundir.manifest import meta

from .conftest import SIZES, Open
from .pages import OLD_RUN

HOSTILE = "<script>alert(1)</script>\x00\x1b[31m\u202eevil"


@pytest.fixture(scope="module")
def page_of_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real run, and the same with another setting, another call, another outcome and hostile names."""
    directory = RunDirectory(OLD_RUN)
    result = json.loads(json.dumps(to_json(evaluate(directory), meta(directory))))
    manifest = directory.read_json(MANIFEST)
    other, changed = deepcopy(result), deepcopy(manifest)
    other["outcome"] = "fail"
    other["hosts"]["client"]["calls"][1]["name"] = HOSTILE
    changed["hosts"]["client"]["sysctls"]["net.ipv4.ip_forward"] = "0"
    changed["engine"]["kernel"] = "7.0"
    changed["scenario"]["name"] = HOSTILE
    place = tmp_path_factory.mktemp("diff")
    (place / "one").mkdir()
    (place / "one/report.html").write_text("<!doctype html><title>its own page</title>", encoding="utf-8")
    target = place / "diff.html"
    told = Told("runs/a", result, manifest), Told(f"runs/{HOSTILE}", other, changed)
    target.write_text(render(*told, ("one/report.html", "")), encoding="utf-8")
    return target


def rows(page: Page) -> list[str]:
    return page.locator("tbody tr:visible").all_inner_texts()


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_the_page_is_quiet_fits_and_is_accessible(open_page: Open, page_of_two: Path, width: int, scheme: str) -> None:
    page = open_page(page_of_two, width=width, scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page).response["violations"]
    assert [(one["id"], one["impact"], [node["html"][:120] for node in one["nodes"][:3]]) for one in found] == []


def test_only_differences_are_shown_until_all_is_asked_for(open_page: Open, page_of_two: Path) -> None:
    page = open_page(page_of_two)
    few = rows(page)
    assert any("ip_forward = 1" in row and "ip_forward = 0" in row for row in few)
    assert any("engine kernel = 7.0" in row for row in few)
    assert page.locator("tr.same:visible").count() == 0
    page.click("#all")
    assert page.locator("#all").get_attribute("aria-pressed") == "false"
    assert len(rows(page)) > len(few) + 10
    assert page.evaluate("location.hash") == "#all=1"


def test_keys_walk_over_differences_and_search_finds(open_page: Open, page_of_two: Path) -> None:
    page = open_page(page_of_two)
    page.keyboard.press("j")
    first = page.locator("tr.selected").inner_text()
    assert "pass" in first
    assert page.locator("[role=status]").inner_text() == "A: pass. B: fail"
    page.keyboard.press("j")
    assert page.locator("tr.selected").inner_text() != first
    page.keyboard.press("k")
    assert page.locator("tr.selected").inner_text() == first
    page.keyboard.press("/")
    page.keyboard.type("ip_forward")
    assert len(rows(page)) == 1
    page.keyboard.press("Escape")
    assert len(rows(page)) > 20


def test_the_address_brings_back_what_is_shown_and_can_be_copied(open_page: Open, page_of_two: Path) -> None:
    page = open_page(page_of_two)
    page.fill("#search", "kernel")
    page.locator("tbody tr:visible").first.click()
    fragment = page.evaluate("location.hash")
    again = open_page(page_of_two, fragment=fragment)
    assert rows(again) == rows(page)
    assert again.locator("tr.selected").count() == 1
    again.context.grant_permissions(["clipboard-read", "clipboard-write"])
    again.click("#copy")
    expect(again.locator("#copy")).to_have_text("copied")
    assert again.evaluate("navigator.clipboard.readText()") == again.url


def test_a_run_with_a_report_links_to_it_and_sections_can_be_reached(open_page: Open, page_of_two: Path) -> None:
    page = open_page(page_of_two)
    assert page.locator("a:has-text('its report')").get_attribute("href") == "one/report.html"
    assert "no report.html" in page.locator(".runs").inner_text()
    page.click(".evidence >> text=sysctls")
    assert page.locator(":target h2").inner_text().startswith("sysctls")


def test_hostile_names_stay_text(open_page: Open, page_of_two: Path) -> None:
    page = open_page(page_of_two)
    assert page.locator("script").count() == 2
    text = page.locator("body").inner_text()
    assert "<script>alert(1)</script>\\x00\\x1b[31m\\u202eevil" in text
    assert "\u202e" not in text


def test_on_paper_there_is_no_toolbar_and_every_difference(open_page: Open, page_of_two: Path) -> None:
    page = open_page(page_of_two, width=400)
    page.emulate_media(media="print")
    assert not page.locator(".toolbar").is_visible()
    assert any("ip_forward" in row for row in rows(page))
    assert len(page.pdf()) > 5_000
