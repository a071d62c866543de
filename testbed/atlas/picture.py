"""A small picture of an exchange: two lines for the hosts, an arrow for each packet. Geometry only. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from testbed.atlas.call_facts import PictureRow
from testbed.model import Fate
from testbed.report.text.terminal_text import clip, quote

WIDTH = 520
LEFT, RIGHT = 176, 344
_TOP, _STEP, _LEAN = 26, 26, 9
_LABEL, _CALL = 22, 24


@dataclass(frozen=True, slots=True)
class PictureText:
    """Words at a place; ``anchor`` as in SVG, ``style`` a class."""

    x: int
    y: int
    words: str
    anchor: str
    style: str


@dataclass(frozen=True, slots=True)
class Arrow:
    """A packet: a path with its head, its class, and a cross where it was lost (None: it arrived)."""

    path: str
    head: str
    style: str
    cross: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class AtlasPicture:
    """The whole: its height, arrows and texts, and all of it in words for who cannot see it."""

    height: int
    arrows: tuple[Arrow, ...]
    texts: tuple[PictureText, ...]
    words: str


def draw(rows: Sequence[PictureRow]) -> AtlasPicture:
    """Return the picture of rows."""
    arrows: list[Arrow] = []
    texts = [PictureText(LEFT, 12, "client", "middle", "host"), PictureText(RIGHT, 12, "server", "middle", "host")]
    words: list[str] = []
    y = _TOP
    for row in rows:
        if row.gap:
            texts.append(PictureText((LEFT + RIGHT) // 2, y + 4, f"... {row.gap} ...", "middle", "gap"))
            words.append(row.gap)
            y += 18
        if row.packet is None and not row.client and not row.server:
            continue
        for text, x, anchor in ((row.client, LEFT - 8, "end"), (row.server, RIGHT + 8, "start")):
            if text:
                texts.append(PictureText(x, y + 4, clip(text, _CALL), anchor, "call"))
                words.append(text)
        if row.packet is not None:
            arrows.append(_arrow(row, y))
            texts.append(PictureText((LEFT + RIGHT) // 2, y - 1, label(row), "middle", f"packet {row.kind}"))
            words.append(f"{row.packet.sender} {label(row)}")
        elif row.kind == "silent":
            x, anchor = (LEFT + 8, "start") if row.client else (RIGHT - 8, "end")
            texts.append(PictureText(x, y + 4, "nothing", anchor, "silent"))
        y += _STEP
    return AtlasPicture(y + 4, tuple(arrows), tuple(texts), "; ".join(words))


def label(row: PictureRow) -> str:
    """Return what stands on an arrow: flags, payload, what became of it."""
    packet = row.packet
    assert packet is not None  # noqa: S101 - the caller has one
    words = [packet.flags or ("" if packet.protocol == "udp" else packet.protocol.upper())]
    if packet.protocol == "udp" or (packet.length and packet.protocol == "tcp"):
        words.append(quote(packet.payload, _LABEL - len(words[0]) - 1, packet.length))
    return " ".join(filter(None, words))


def _arrow(row: PictureRow, y: int) -> Arrow:
    packet = row.packet
    assert packet is not None  # noqa: S101 - the caller has one
    start, end = (LEFT, RIGHT) if packet.sender == "client" else (RIGHT, LEFT)
    towards = 1 if end > start else -1
    first, last = y + 3, y + 3 + _LEAN
    if packet.fate is Fate.LOST:
        end = start + towards * (RIGHT - LEFT) * 6 // 10
        return Arrow(f"M{start} {first}L{end} {last - 3}", "", "lost", (end, last - 3))
    if packet.fate is Fate.APPEARED:
        start = end - towards * (RIGHT - LEFT) * 5 // 10
    head = f"M{end} {last}l{-towards * 7} -5l{towards * 1} 7z"
    return Arrow(f"M{start} {first}L{end} {last}", head, row.kind, None)
