"""The page lists every sentence as it is."""

from __future__ import annotations

from dev.finding_sentences import PAGE, plain, written
from testbed.report.text.finding_words import WORDS


def test_the_page_has_every_sentence() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == written(text)
    assert all(plain(each) in text for words in WORDS.values() for each in words.sentences.values())


def test_facts_stand_by_their_names() -> None:
    assert plain("{packets} of the {host} {packets|was|were} lost{how}") == "*packets* of the *host* were lost"
