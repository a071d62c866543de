"""Every finding has a scenario that shows it and one that looks alike, in which it must not be found."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from dev.finding_twins import REWRITTEN, TWINS
from testbed.api.runs import CATALOGUE
from testbed.model.findings import FINDINGS, FindingName

SHOWN = [name for name in FindingName if name not in REWRITTEN]


def _told(scenario: str) -> list[tuple[set[str], set[str]]]:
    """Return what is found, and what may be, in the variants of a scenario (one each, as `expect` has them)."""
    text = (CATALOGUE / "scenarios" / f"{scenario}.yaml").read_text(encoding="utf-8")
    found: list[tuple[set[str], set[str]]] = []
    for each in yaml.safe_load(text)["expect"]:
        wanted: Any = each.get("findings")
        if isinstance(wanted, list):
            found.append((set(wanted), set()))
        elif wanted is not None and "exactly" in wanted:
            found.append((set(wanted["exactly"]), set(wanted.get("maybe", ()))))
        one: Any = each.get("finding")
        if isinstance(one, str):
            found.append(({one}, set()))
        elif one is not None:
            found.append((set() if one["count"] == 0 else {one["name"]}, set()))
    return found


@pytest.mark.parametrize("name", SHOWN)
def test_a_finding_is_in_its_scenario_and_not_in_its_twin(name: FindingName) -> None:
    assert any(name in sure for sure, _ in _told(FINDINGS[name].scenario))
    twin = _told(TWINS[name])
    without = [name not in sure | maybe for sure, maybe in twin]
    assert any(without)
    assert all(without) or TWINS[name] == FINDINGS[name].scenario


@pytest.mark.parametrize("name", REWRITTEN)
def test_what_a_lab_cannot_have_names_no_scenario(name: FindingName) -> None:
    assert not FINDINGS[name].scenario
    assert name not in TWINS
