"""Foreign text, numbers and times as plain words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.model import Endpoint, SocketInfo
from testbed.report.text.ladder import show_call
from testbed.report.text.terminal_text import clip, duration, escape, paragraph, quote, shortened
from tests.builders.runs import make_call


@given(st.text())
def test_escaped_text_is_one_printable_line(text: str) -> None:
    assert escape(text).isprintable()


@given(st.binary(max_size=200), st.integers(-5, 60))
def test_quoted_bytes_are_ascii_and_keep_to_their_room(data: bytes, room: int) -> None:
    """Only where there is no room for the count alone is the width exceeded, by the count."""
    shown = quote(data, room)
    assert shown.isascii()
    assert shown.isprintable()
    assert len(shown) <= max(room, len(f"{len(data)} bytes"))


@pytest.mark.parametrize(
    ("data", "room", "length", "shown"),
    [
        (b"c", 10, None, '"c"'),
        (b"", 10, None, '""'),
        (b'a"\\\n\x00', 20, None, '"a\\"\\\\\\n\\x00"'),
        (b"GET / HTTP/1.1\r\n", 20, 78, '"GET / "... 78 bytes'),
        (b"c", 30, 8, '"c"... 8 bytes'),
        (b"string", 4, None, "6 bytes"),
    ],
)
def test_payload_is_quoted_and_cut(data: bytes, room: int, length: int | None, shown: str) -> None:
    assert quote(data, room, length) == shown


@pytest.mark.parametrize(
    ("ns", "shown"),
    [
        (0, "0 ns"),
        (999, "999 ns"),
        (21_340, "21.3 us"),
        (5_021_300, "5.02 ms"),
        (999_700, "1,000 us"),
        (-1_500_000_000, "-1.50 s"),
        (3_600_000_000_000, "3,600 s"),
    ],
)
def test_durations_have_the_unit_that_suits_them(ns: int, shown: str) -> None:
    assert duration(ns) == shown


@given(st.lists(st.text(max_size=3), max_size=30), st.integers(2, 10))
def test_a_shortened_list_counts_what_it_left_out(lines: list[str], limit: int) -> None:
    cut = shortened(lines, limit, "line")
    assert len(cut) == min(len(lines), limit)
    if len(lines) > limit:
        assert f"... {len(lines) - limit + 1} more lines ..." in "".join(cut)


@given(st.text(max_size=400), st.integers(12, 100))
def test_a_paragraph_keeps_to_its_width_and_lines(text: str, width: int) -> None:
    lines = paragraph(text, width, lines=2)
    assert len(lines) <= 2
    assert all(len(line) <= width for line in lines)


@given(st.text(max_size=40), st.integers(3, 40))
def test_clipped_text_fits(text: str, width: int) -> None:
    assert len(clip(text, width)) <= width


@pytest.mark.parametrize(
    ("name", "more", "shown"),
    [
        ("send", {"data": b"c", "direction": "out"}, 'send("c") = 1'),
        ("send", {"data": b"c" * 99, "direction": "out", "result": 9}, f'send("{"c" * 36}"... 99 bytes) = 9'),
        ("send", {"data": b"c" * 99, "direction": "out"}, f'send("{"c" * 35}"... 99 bytes)'),
        ("recv", {"data": b"c", "direction": "in"}, 'recv() = 1 "c"'),
        ("recv", {"direction": "in"}, "recv() = 0"),
        ("recv", {"direction": "in", "result": -1, "errno": "EAGAIN"}, "recv() EAGAIN"),
        ("connect", {"args": {"address": "[fd00::2]:80"}, "errno": "EPERM"}, "connect([fd00::2]:80) EPERM"),
        ("connect", {"args": {"address": "[fd00::7]:80"}}, "connect(server:80)"),
        ("setsockopt", {"args": {"name": "TCP_NODELAY", "value": 1}}, "setsockopt(TCP_NODELAY, 1)"),
        ("shutdown", {"args": {"how": "SHUT_WR"}}, "shutdown(SHUT_WR)"),
        ("socket", {"result": 3, "socket": SocketInfo(0, "tcp", Endpoint("::", 0))}, "socket() = 3"),
        ("poll", {"end": None}, "poll() never returned"),
        ("exit", {"end": None}, "exit()"),
    ],
)  # fmt: skip
def test_calls_look_like_c(name: str, more: dict[str, object], shown: str) -> None:
    end = None if "end" in more else 1.0
    rest = {key: value for key, value in more.items() if key != "end"}
    assert show_call(make_call("client", 0, name, 0, end, **rest), 60, {"fd00::7": "server"}) == shown


def test_bytes_read_that_have_no_room_are_told_once() -> None:
    assert show_call(make_call("client", 0, "recv", 0, 1, data=b"c" * 35, direction="in"), 17, {}) == "recv() = 35"
