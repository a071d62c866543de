"""Every finding has its row, its words and a scenario that exists."""

from __future__ import annotations

import pytest

from testbed.api.runs import CATALOGUE
from testbed.model.findings import FINDINGS, FindingName
from testbed.report.text.finding_words import WORDS

SCENARIOS = {path.stem for path in (CATALOGUE / "scenarios").glob("*.yaml")}


@pytest.mark.parametrize("name", FindingName)
def test_a_finding_is_complete(name: FindingName) -> None:
    row, words = FINDINGS[name], WORDS[name]
    assert all((row.meaning, row.reference, words.remedy, words.disproof))
    assert all(text and not text.endswith(".") for text in words.sentences.values())
    assert not row.scenario or row.scenario in SCENARIOS


def test_both_tables_have_the_findings_in_one_order_of_names() -> None:
    assert set(WORDS) == set(FINDINGS) == set(FindingName)
    assert len(SCENARIOS) > 100
