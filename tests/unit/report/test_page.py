"""The page as text: hostile text is escaped, nothing is fetched, and it keeps within its size."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from dev.bench.long_run import long_run
from testbed.model import Outcome
from testbed.model.verdicts import NoPackets
from testbed.report.html.page_source import PageSource
from testbed.report.html.run_page import render
from tests.builders.eventful_run import eventful, eventful_source, hostile_source, witnessed_source
from tests.builders.runs import META, origin, with_joined


class Elements(HTMLParser):
    """Collects elements, their attributes and their text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self.tags[-1] if self.tags else "", []).append(data)


def test_hostile_text_makes_no_element_and_no_attribute() -> None:
    calm, hostile = Elements(render(witnessed_source())), Elements(render(hostile_source()))
    assert set(hostile.tags) <= set(calm.tags) | {"pre", "h3"}
    assert hostile.tags.count("script") == 2
    assert not [name for name, _ in hostile.attributes if name.startswith("on")]


def test_no_control_character_reaches_the_page() -> None:
    page = render(hostile_source())
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2028\u2029\ud800-\udfff]", page)


def test_the_page_names_nothing_that_could_be_fetched() -> None:
    page = render(eventful_source())
    links = [value for name, value in Elements(page).attributes if name in ("src", "href", "data", "action", "srcset")]
    assert all(value and value.startswith("#") for value in links)
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page
    assert "@import" not in page
    assert "url(" not in page.replace("url(#plotarea)", "")


def test_the_policy_names_exactly_the_script_and_the_style_that_are_there() -> None:
    page = render(eventful_source())
    policy = dict(Elements(page).attributes)
    del policy
    for tag, kind in (("style", "style-src"), ("script", "script-src")):
        body = re.search(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert body is not None
        digest = base64.b64encode(hashlib.sha256(body[1].encode()).digest()).decode()
        assert f"{kind} &#39;sha256-{digest}&#39;" in page


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_is_said_in_words_with_a_sign_of_its_own(outcome: Outcome) -> None:
    page = render(PageSource(replace(eventful(), outcome=outcome), META))
    assert f'<use href="#sign-{outcome.value}">' in page
    assert f'id="sign-{outcome.value}"' in page
    assert f"</svg>{outcome.value}</span>" in page


def test_the_verdict_comes_before_everything_else_that_is_known() -> None:
    page = render(eventful_source())
    body = page[page.index("<body>") :]
    places = [
        body.index(text)
        for text in ("the server program read 7", "1 packet lost", "how far each byte got", "Conditions", 'id="data"')
        if text in body
    ]
    assert len(places) >= 4
    assert places == sorted(places)


def test_a_run_without_packets_and_calls_has_a_page_too() -> None:
    empty = with_joined(replace(origin(), ledger=(), checks=(), verdict=(NoPackets(),)), (), ())
    page = render(PageSource(replace(empty, inputs=replace(empty.inputs, calls={})), META))
    assert "no packet went between the two hosts" in page


def test_a_page_keeps_within_its_limit_and_says_what_it_leaves_out() -> None:
    analysis, captures = long_run(5_000)
    whole = render(PageSource(analysis, {}, captures))
    assert 'id="cut"' not in whole
    for limit in (800_000, 400_000, 200_000):
        page = render(PageSource(analysis, {}, captures), limit=limit)
        assert len(page.encode()) <= limit
        assert 'id="cut"' in page
