"""Hostile text stays text, the page is accessible, and what is cut is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from .conftest import SIZES, Open

File = Callable[[str], Path]


@pytest.mark.parametrize(("width", "scheme"), SIZES)
@pytest.mark.parametrize("name", ["eventful", "run", "witnessed"])
def test_axe_finds_nothing(open_page: Open, page_file: File, name: str, width: int, scheme: str) -> None:
    page = open_page(page_file(name), fragment="#sel=p3&plot=1", width=width, scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((one) => one.setAttribute('open', ''))")
    found = Axe().run(page).response["violations"]
    assert [(one["id"], one["impact"], [node["html"][:120] for node in one["nodes"][:3]]) for one in found] == []


@pytest.mark.parametrize(
    "fragment", ["", "#sel=p3", "#sel=client:2", "#q=%3Cscript&plot=1", "#sel=%3Cscript%3E&flow=%27&q=%22%3E%3Cimg"]
)
def test_hostile_text_is_shown_and_never_becomes_markup(open_page: Open, page_file: File, fragment: str) -> None:
    page = open_page(page_file("hostile"), fragment=fragment)
    page.evaluate("document.querySelectorAll('details').forEach((one) => one.setAttribute('open', ''))")
    page.hover(".packet.c0[data-item='3']") if not fragment else None
    assert page.locator("script").count() == 2  # the data and the page's own
    assert page.locator("img").count() == 0
    text = page.locator("body").inner_text()
    assert "<script>alert(1)</script>" in text
    for character in ("\x00", "\x1b", "\u202e", "\u2028"):
        assert character not in text
    assert "\\x00\\x1b[31m\\u202eevil" in text


def test_a_line_of_a_megabyte_is_cut_and_the_cut_is_said(open_page: Open, page_file: File) -> None:
    page = open_page(page_file("hostile"), width=400)
    page.evaluate("document.querySelectorAll('details').forEach((one) => one.setAttribute('open', ''))")
    assert "936,000 more characters are in server.out" in page.locator("main").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_markup_would_have_no_effect_even_if_it_came_in(browser: Browser, page_file: File) -> None:
    page = browser.new_page()
    page.goto(page_file("eventful").as_uri())
    page.wait_for_selector("html[data-ready]")
    page.evaluate(
        """() => {
             window.violated = [];
             const note = (event) => window.violated.push(event.effectiveDirective);
             document.addEventListener('securitypolicyviolation', note);
             const script = document.createElement('script');
             script.textContent = 'window.ran = true';
             const image = document.createElement('img');
             image.setAttribute('onerror', 'window.ran = true');
             image.src = 'http://198.18.0.1/x.png';
             document.body.append(script, image);
           }"""
    )
    page.wait_for_function("window.violated.length >= 3")
    assert page.evaluate("window.ran") is None
    assert set(page.evaluate("window.violated")) == {"script-src-elem", "script-src-attr", "img-src"}
    page.close()


def test_packets_and_bytes_that_are_not_in_the_page_are_told_where_they_are_missing(
    open_page: Open, page_file: File
) -> None:
    page = open_page(page_file("cut"), fragment="#sel=p4")
    told = page.locator("#cut").inner_text()
    kept = int(page.evaluate("document.documentElement.dataset.ready"))
    assert f"This page holds {kept:,} of 9,998 packets" in told
    assert "Of each payload it holds the first" in told
    assert "more bytes are in the captures" in page.locator(".panel").inner_text()
    page.fill("#search", f"n:{kept // 3}")
    assert page.locator(".row").count() > 0
    page.keyboard.press("Escape")
    numbers = page.locator(".arrow[data-item]").count()
    assert numbers > 0
    page.fill("#search", "n:9997")
    page.fill("#ctx", "50")
    assert page.locator(".arrow[data-item]").count() > 10
