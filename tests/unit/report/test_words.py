"""References in sentences: a call by its name and number, a packet by its number, nothing that does not exist."""

from __future__ import annotations

import pytest

from testbed.report.html.references import pieces
from tests.builders.eventful_run import eventful

CALLS = eventful().inputs.calls["client"]


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        ("close #4 gave up the last descriptor", ["client:4"]),
        ("send #4 is no call of that number", ["p4"]),
        ("acknowledges #9, 0.1 ms after RST #11", ["p9", "p11"]),
        ("#99 is no packet", []),
        ("nothing", []),
    ],
)
def test_references_become_targets_and_no_word_is_lost(text: str, targets: list[str]) -> None:
    found = pieces(text, "client", CALLS, 14)
    assert [piece.target for piece in found if piece.target] == targets
    assert "".join(piece.text for piece in found) == text
