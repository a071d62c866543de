"""Parts of the pages that others only pass by: the flow picture, connections, the brush, the link, what went wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from .conftest import SIZES, Open
from .test_choosing import panel, shown

File = Callable[[str], Path]
EACH = pytest.mark.parametrize(("width", "scheme"), SIZES)
INTERSECTION = """all => all.map((one) => {
  const { left, right, top, bottom } = one.getBoundingClientRect();
  return { text: one.textContent, left, right, top, bottom };
})"""


@EACH
def test_the_flow_picture_tells_the_bytes_at_each_point_and_those_lost_between(
    shared: Open, width: int, scheme: str
) -> None:
    picture = shared("eventful", width, scheme).locator("#ledger .flowpicture figure")
    assert picture.locator(".what").all_text_contents() == ["written", "sent", "arrived", "acked", "read"]
    assert picture.locator(".count").all_text_contents() == ["19", "19", "19", "19", "7"]
    assert picture.locator(".loss").all_text_contents() == ["12 bytes", "never read"]
    assert picture.locator("svg").get_attribute("aria-label") == (
        "client to server: bytes written 19, sent 19, arrived 19, acked 19, read 7"
    )
    last, gap = picture.locator("path.band").last.bounding_box(), picture.locator("path.gap").bounding_box()
    assert last
    assert gap
    assert gap["y"] + gap["height"] > last["y"] + last["height"], "what is lost leaves the band downwards"
    texts = picture.locator("text").evaluate_all(INTERSECTION)
    for one, two in combinations(texts, 2):
        across = min(one["right"], two["right"]) - max(one["left"], two["left"])
        down = min(one["bottom"], two["bottom"]) - max(one["top"], two["top"])
        assert min(across, down) < 2, f"{one['text']} overlaps {two['text']}"


@EACH
def test_one_of_several_connections_can_be_chosen(shared: Open, width: int, scheme: str) -> None:
    page = shared("linked", width, scheme)
    page.fill("#ctx", "0")
    options = page.locator("#choose-flow option").all_inner_texts()
    assert options[0] == "all 2 connections"
    assert options[2].startswith("2: tcp 198.18.0.2:40001 - 198.18.0.3:10011")
    page.select_option("#choose-flow", "1")
    assert shown(page) == {12, 13}
    assert page.locator(".packet.c0[data-item='12']").inner_text() == "(2) F."
    assert page.evaluate("location.hash") == "#flow=1&ctx=0"
    page.select_option("#choose-flow", "")
    assert len(shown(page)) == 14


@EACH
def test_what_the_link_did_stands_with_the_packet(shared: Open, width: int, scheme: str) -> None:
    page = shared("linked", width, scheme)
    page.fill("#search", "n:5 dropped")
    page.click(".packet.c0[data-item='5']")
    assert page.locator(".panel .journal").inner_text() == "the link: dropped (drop: client data 2)"
    page.keyboard.press("Escape")
    page.click(".packet.c0[data-item='7']")
    assert page.locator(".panel .journal").inner_text() == "the link: delayed 1.000 ms; corrupted"


@EACH
def test_what_the_link_made_has_its_sign_as_in_the_legend(shared: Open, width: int, scheme: str) -> None:
    page = shared("linked", width, scheme)
    page.fill("#search", "cause:link")
    page.fill("#ctx", "0")
    assert shown(page) == {11}
    entry = page.locator(".legend li", has=page.locator(".sign.cause-link"))
    assert entry.text_content() == "the link itself"
    shape = "e => [e.tagName, e.getAttribute('width'), e.getAttribute('height'), e.classList.contains('hollow')]"
    made = page.locator(".arrow[data-item='11'] .sign").evaluate(shape)
    assert made == entry.locator(".sign").evaluate(shape)
    others = page.locator(".legend .sign:not(.cause-link)").evaluate_all(f"all => all.map({shape})")
    assert made not in others
    page.click(".packet.c0[data-item='11']")
    assert "link-forged link" in page.locator(".panel .cause h3").inner_text()
    assert panel(page).count("forged by the link behind #10 (forge: rst)") == 1
    page.click(".panel .cause a:has-text('#10')")
    assert "Packet 10" in panel(page)


@EACH
def test_dragging_in_the_plot_zooms_and_a_short_drag_leaves_nothing(shared: Open, width: int, scheme: str) -> None:
    page = shared("eventful", width, scheme)
    page.keyboard.press("p")
    page.locator(".plot").scroll_into_view_if_needed()
    box = page.locator(".plot").bounding_box()
    assert box
    whole = page.locator(".plot path.segment").get_attribute("d")
    brush = page.locator(".plot .brush")

    def drag(start: float, end: float) -> str:
        """From one share of the plot's width to another; return how wide the brush was on the way."""
        page.mouse.move(box["x"] + box["width"] * start, box["y"] + 205)  # where no segment is near to be chosen
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * end, box["y"] + 205)
        drawn = brush.get_attribute("width") or "0"
        page.mouse.up()
        return drawn

    assert float(drag(0.5, 0.5 + 4 / box["width"])) == pytest.approx(4, abs=0.1)
    assert float(brush.get_attribute("width") or "0") == 0
    assert page.locator(".plot path.segment").get_attribute("d") == whole
    for _ in range(2):  # the second begins on what the first could have selected as text
        before = ticks(page)
        assert float(drag(0.75, 0.5)) == pytest.approx(box["width"] / 4, abs=1), "also from right to left"
        assert float(brush.get_attribute("width") or "0") == 0
        assert ticks(page)[-1] - ticks(page)[0] < before[-1] - before[0]
    page.click("[aria-label='whole connection']")
    assert page.locator(".plot path.segment").get_attribute("d") == whole
    page.keyboard.press("p")


def ticks(page: Page) -> list[float]:
    """Times (ms) along the plot."""
    texts = page.locator(".plot .tick").all_text_contents()
    return [float(text.removesuffix(" ms")) for text in texts if text.endswith(" ms")]


@EACH
def test_what_a_link_or_a_key_chooses_is_in_view_and_nothing_lies_over_it(
    open_page: Open, page_file: File, width: int, scheme: str
) -> None:
    page = open_page(page_file("run"), fragment="#sel=p8", width=width, scheme=scheme, height=800)
    covering = """() => {
      const { x, y, width, height } = document.querySelector('.cell.selected').getBoundingClientRect();
      const top = document.elementFromPoint(x + width / 2, y + height / 2);
      return top?.closest('.cell.selected') ? '' : String(top?.className);
    }"""
    assert page.evaluate(covering) == ""
    for key in "jjjkkkkkkkkkkkk":
        page.keyboard.press(key)
        assert page.evaluate(covering) == ""


@EACH
def test_a_ladder_that_cannot_be_drawn_says_why_and_the_rest_of_the_page_stands(
    browser: Browser, page_file: File, tmp_path: Path, width: int, scheme: str
) -> None:
    whole = page_file("eventful").read_text(encoding="utf-8")
    broken = tmp_path / "broken.html"
    broken.write_text(re.sub(r'(id="data">.{40}).{40}', r"\1" + "A" * 40, whole), encoding="utf-8")
    for path, script, reason in (
        (broken, "", "TypeError"),
        (page_file("eventful"), "delete window.DecompressionStream", "this browser is too old"),
    ):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
        context.add_init_script(script)
        page = context.new_page()
        page.goto(path.as_uri())
        said = page.locator("#loading.cut")
        expect(said).to_contain_text(f"The ladder cannot be shown: {reason}")
        assert said.is_visible()
        assert page.locator("header .verdict").first.is_visible()
        assert page.locator("#ledger .flowpicture").is_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        context.close()


@EACH
def test_two_captures_presets_of_what_is_not_clear(shared: Open, width: int, scheme: str) -> None:
    page = shared("compared-unclear", width, scheme)
    page.fill("#ctx", "0")
    for preset, count, told in (
        ("appeared", 1, "appeared: not captured at the sender"),
        ("ambiguous", 11, "ambiguous: one of several identical packets of which some are missing; nothing tells which"),
        ("uncaptured", 3, "before start: the other capture had not begun"),
    ):
        chip = page.locator(f"[data-preset='{preset}']")
        assert chip.locator("b").inner_text() == str(count)
        chip.click()
        assert len(shown(page)) == count
        page.locator(".cell.packet[data-item]").first.click()
        assert told in panel(page)
        page.keyboard.press("Escape")
    page.click(".evidence >> text=3 packets not captured")
    assert page.locator("[data-preset='uncaptured']").get_attribute("aria-pressed") == "true"


@EACH
def test_two_captures_can_be_copied_as_a_link_and_printed(shared: Open, width: int, scheme: str) -> None:
    page = shared("compared-unclear", width, scheme)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("[data-preset='appeared']")
    page.click("#copy")
    expect(page.locator("#copy")).to_have_text("copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.url
    assert "#preset=appeared" in copied
    page.keyboard.press("Escape")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print", color_scheme=scheme)  # type: ignore[arg-type]
    assert not page.locator(".toolbar").is_visible()
    assert page.locator("#flows").is_visible()
    assert page.locator(".arrow[data-item]").count() == int(page.evaluate("document.documentElement.dataset.ready"))
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
    assert len(page.pdf()) > 10_000
    page.emulate_media(media="screen", color_scheme=scheme)  # type: ignore[arg-type]
    page.evaluate("dispatchEvent(new Event('afterprint'))")
