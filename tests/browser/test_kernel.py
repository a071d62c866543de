"""What a kernel that was a witness says: in the panel, in the card, in the search and in the plot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from .conftest import BOTH_SIZES, Open

File = Callable[[str], Path]


def panel(page: Page) -> str:
    return page.locator(".panel").inner_text()


def shown(page: Page) -> set[int]:
    """Packets that have an arrow."""
    return {
        int(item) for item in page.locator(".arrow[data-item]").evaluate_all("all => all.map((e) => e.dataset.item)")
    }


def numbers(page: Page) -> dict[str, str]:
    """Congestion control in the panel."""
    rows = page.locator(".panel .kernel .pairs")
    return dict(zip(rows.locator("dt").all_inner_texts(), rows.locator("dd").all_inner_texts(), strict=True))


@BOTH_SIZES
def test_a_packet_shows_whether_the_kernel_agrees_what_it_did_and_how_it_sent(
    open_page: Open, page_file: File, width: int, scheme: str
) -> None:
    page = open_page(page_file("witnessed-run"), fragment="#sel=p4", width=width, scheme=scheme)
    assert page.locator(".panel .kernel h3").inner_text().startswith("Kernel trace: consistent")
    assert page.locator(".panel .kernel li").all_inner_texts() == [
        "client sent it again (tcp_retransmit_skb)",
        "server dropped it: TCP_OLD_DATA in tcp_rcv_established",
    ]
    assert numbers(page) == {
        "cwnd": "10 packets",
        "ssthresh": "none yet",
        "srtt": "78.0 µs",
        "send window": "65,160 bytes",
    }


def test_what_the_kernel_says_nothing_of_is_told_without_numbers(open_page: Open, page_file: File) -> None:
    page = open_page(page_file("witnessed"), fragment="#sel=p13")
    assert "Kernel trace: not covered" in panel(page)
    assert numbers(page) == {}


def test_its_word_leads_to_the_call(open_page: Open, page_file: File) -> None:
    page = open_page(page_file("witnessed"), fragment="#sel=p12")
    assert numbers(page)["ssthresh"] == "5 packets"
    page.click(".panel .kernel a:has-text('close #4')")
    assert "client call 4" in panel(page)
    assert page.locator(".panel .kernel li").all_inner_texts() == ["client: ESTABLISHED to FIN_WAIT1"]


@BOTH_SIZES
def test_a_contradicted_cause_is_found_from_the_verdict_and_from_the_bar(
    open_page: Open, page_file: File, width: int, scheme: str
) -> None:
    page = open_page(page_file("witnessed"), width=width, scheme=scheme)
    page.click(".evidence a:has-text('the kernel contradicts 1 cause')")
    page.fill("#ctx", "0")
    assert shown(page) == {9}
    page.click("[data-preset=kernel]")
    assert len(shown(page)) == 14
    page.click("#kernel .reasons a:has-text('#9')")
    assert "Kernel trace: ✕ contradicted" in panel(page)
    assert "tcp_retransmit_skb in the Recovery state" in panel(page)


@BOTH_SIZES
def test_a_row_of_a_table_selects_the_packet_or_the_call_of_it(
    open_page: Open, page_file: File, width: int, scheme: str
) -> None:
    page = open_page(page_file("witnessed"), width=width, scheme=scheme)
    page.click("#kernel summary:has-text('5 state changes')")
    page.click("#kernel tr:has-text('SYN_SENT → ESTABLISHED') td:first-child")
    assert "Packet 1" in panel(page)
    assert "client: SYN_SENT to ESTABLISHED" in panel(page)
    assert "sel=p1" in page.url
    if width == 400:
        page.click(".panel .close")
    page.click("#kernel tr:has-text('ESTABLISHED → FIN_WAIT1') td:first-child")
    assert "client call 4" in panel(page)
    if width == 400:
        page.click(".panel .close")
    page.click("#kernel tr:has-text('TCP_KEEPALIVE_TIMEOUT') td:first-child")
    assert "client call 4" in panel(page) or width == 400, "a timer is no packet and no call: nothing is chosen"
    page.click("#kernel summary:has-text('retransmitted, reset or dropped')")
    page.click("#kernel tr:has-text('TCP_OLD_DATA') td:first-child")
    assert "Packet 4" in panel(page)


@BOTH_SIZES
def test_the_line_of_states_leads_to_what_changed_them(
    open_page: Open, page_file: File, width: int, scheme: str
) -> None:
    page = open_page(page_file("witnessed-run"), width=width, scheme=scheme)
    lines = page.locator("#kernel .states dd").all_inner_texts()
    assert lines == [
        "CLOSE → SYN_SENT → ESTABLISHED → FIN_WAIT1 → FIN_WAIT2 → CLOSE",
        "LISTEN → SYN_RECV → ESTABLISHED → CLOSE_WAIT → LAST_ACK → CLOSE",
    ]
    page.click("#kernel .states a:has-text('CLOSE_WAIT')")
    assert "Packet 10" in panel(page)
    expect(page.locator(".arrow[data-item='10']")).to_be_in_viewport()


def test_the_rows_of_a_table_can_be_followed_by_keyboard(open_page: Open, page_file: File) -> None:
    page = open_page(page_file("witnessed"))
    page.focus("#kernel summary:has-text('5 state changes')")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")  # the box that scrolls
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert "client call 0" in panel(page)


def test_words_of_the_kernel_are_searched(open_page: Open, page_file: File) -> None:
    page = open_page(page_file("witnessed"))
    page.fill("#ctx", "0")
    page.fill("#search", "kernel:confirmed")
    assert shown(page) == {0, 4, 12}
    page.fill("#search", "TCP_OLD_DATA")
    assert shown(page) == {4}


@BOTH_SIZES
def test_the_plot_shows_how_far_the_congestion_window_let_the_sender_go(
    open_page: Open, page_file: File, width: int, scheme: str
) -> None:
    page = open_page(page_file("witnessed-run"), fragment="#plot=1", width=width, scheme=scheme)
    assert page.locator(".keys .key.cwnd").inner_text() == "congestion window"
    points = page.locator(".plot path.cwnd").get_attribute("d") or ""
    assert points.count("H") >= 5
    other = open_page(page_file("run"), fragment="#plot=1", width=width, scheme=scheme)
    assert other.locator(".keys .key.cwnd").count() == 0
    assert not other.locator(".plot path.cwnd").get_attribute("d")


@pytest.mark.parametrize("name", ["eventful", "compared"])
def test_a_page_without_a_witness_shows_nothing_of_it(open_page: Open, page_file: File, name: str) -> None:
    page = open_page(page_file(name), fragment="#sel=p4")
    assert page.locator("#kernel, .kernel, [data-preset=kernel]").count() == 0


@pytest.mark.parametrize("name", ["witnessed-run", "hostile"])
def test_open_tables_keep_to_a_narrow_window(open_page: Open, page_file: File, name: str) -> None:
    page = open_page(page_file(name), width=400, scheme="dark")
    page.evaluate("document.querySelectorAll('#kernel details').forEach((one) => one.setAttribute('open', ''))")
    assert page.locator("#kernel tbody tr").first.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
