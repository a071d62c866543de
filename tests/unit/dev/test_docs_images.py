"""The pictures of the documents: each is made by `invoke docs-images` or the origin's story, is there, and is small."""

from __future__ import annotations

import re
from pathlib import Path

from dev.docs_images import PICTURES, SUMMARIES
from dev.origin_story import PICTURE as OF_THE_ORIGIN

ROOT = Path(__file__).parents[3]
PLACE = ROOT / "docs/images"
MOST = 200_000
"""Bytes of one picture."""


def test_every_picture_is_made_from_runs_and_is_small() -> None:
    made = {f"{picture.name}.png" for picture in (*PICTURES, OF_THE_ORIGIN)} | {f"{name}.svg" for name in SUMMARIES}
    assert {path.name for path in PLACE.iterdir()} == made
    assert {path.name for path in PLACE.iterdir() if path.stat().st_size > MOST} == set()


def test_every_picture_that_a_document_shows_is_there_and_has_words_for_those_who_do_not_see_it() -> None:
    for document in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        text = document.read_text(encoding="utf-8")
        shown = re.findall(r'(?:src|srcset)="([^"]+)"', text) + re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text)
        assert all((document.parent / path).is_file() for path in shown), document
        assert "![](" not in text
        assert all('alt="' in image for image in re.findall(r"<img [^>]*>", text)), document
