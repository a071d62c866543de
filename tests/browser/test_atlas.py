"""The Atlas in a browser: nothing is fetched, it fits 400 px, both schemes are readable, the search hides."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

from testbed.atlas.atlas_page import render
from tests.builders.atlases import atlas

from .conftest import SIZES, Open


@pytest.fixture(scope="module")
def page_of_atlas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("atlas") / "atlas.html"
    path.write_text(render(atlas()), encoding="utf-8")
    return path


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_atlas_is_accessible_and_fits(open_page: Open, page_of_atlas: Path, width: int, scheme: str) -> None:
    page = open_page(page_of_atlas, width=width, scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page).response["violations"]
    assert [(one["id"], [node["html"][:120] for node in one["nodes"][:3]]) for one in found] == []


def test_hostile_text_in_the_atlas_is_text(open_page: Open, page_of_atlas: Path) -> None:
    page = open_page(page_of_atlas)
    assert page.locator("script").count() == 2  # the data and the page's own
    text = page.locator("body").inner_text()
    assert "<script>alert(1)</script>" in text
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_search_keeps_what_holds_the_words(open_page: Open, page_of_atlas: Path) -> None:
    page = open_page(page_of_atlas)
    assert page.locator(".card:visible").count() == 2
    page.fill("#find", "three cstring")
    assert page.locator(".card:visible").count() == 1
    assert page.locator("#found").inner_text() == "1 of 2"
    page.fill("#find", "")
    assert page.locator(".card:visible").count() == 2
