"""Pages in Debian's Chromium: every page is watched for console messages and requests, and must make none."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Dialog, Page, expect, sync_playwright

from .pages import write

SIZES = [
    pytest.param(width, scheme, marks=[] if usual else pytest.mark.slow)
    for width, scheme, usual in ((1280, "light", 1), (1280, "dark", 0), (400, "light", 0), (400, "dark", 1))
]
"""Widths in pixels and colour schemes in which a page is looked at; two of the four with `--slow` only."""

BOTH_SIZES = pytest.mark.parametrize(
    ("width", "scheme"), [(1280, "light"), pytest.param(400, "dark", marks=pytest.mark.slow)]
)
"""For what a page does, which hardly depends on them: with `--slow` in a small dark window too."""
CHROMIUM = Path("/usr/bin/chromium")
PATIENCE = 20_000
"""Milliseconds that a page has, on a machine that does much else; nothing here is measured."""
expect.set_options(timeout=PATIENCE)
Open = Callable[..., Page]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without Chromium these tests are skipped, but CI must have it."""
    missing = not CHROMIUM.exists() and not os.environ.get("CI")
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if missing:
                item.add_marker(pytest.mark.skip("there is no Chromium (apt-get install chromium)"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def watched(browser: Browser) -> Iterator[Open]:
    """Give a function that opens a file; at the end no page may have complained or asked the network for anything."""
    pages: list[Page] = []
    complaints: list[str] = []
    asked: list[str] = []

    def open_page(
        path: Path, *, fragment: str = "", scheme: str = "light", width: int = 1280, height: int = 1500
    ) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url.partition("#")[0]))
        page.on("dialog", refuse)
        page.goto(path.as_uri() + fragment)
        page.wait_for_selector("html[data-ready]", timeout=PATIENCE)
        pages.append(page)
        own.add(path.as_uri())
        return page

    def refuse(dialog: Dialog) -> None:
        complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    own: set[str] = set()
    yield open_page
    for page in pages:
        page.context.close()
    assert complaints == []
    assert set(asked) <= own


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Open a file in a page of its own, watched until the test's end."""
    with watched(browser) as opened:
        yield opened


@pytest.fixture(scope="module")
def shared(browser: Browser, page_file: Callable[[str], Path]) -> Iterator[Open]:
    """Give one page of `pages.SOURCES` or `COMPARED` to all tests of a module, each time with everything shown."""
    pages: dict[tuple[str, int, str], Page] = {}

    def get(name: str, width: int, scheme: str) -> Page:
        key = name, width, scheme
        if key not in pages:
            pages[key] = opened(page_file(name), width=width, scheme=scheme, height=2200)
        pages[key].keyboard.press("Escape")
        pages[key].evaluate("scrollTo(0, 0)")
        return pages[key]

    with watched(browser) as opened:
        yield get


@pytest.fixture(scope="session")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that gives the file of a page of `pages.SOURCES`."""
    place = tmp_path_factory.mktemp("pages")
    return lambda name: write(name, place)
