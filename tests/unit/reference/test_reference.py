"""docs/scenarios.md is current, has every key, and all that it shows is read by the language itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel, TypeAdapter

from testbed.model import CauseName
from testbed.reference import reference_page
from testbed.reference.type_words import kinds, reference_words
from testbed.scenario import scenario
from testbed.scenario.expect import all_expectations, expectations, packet_patterns, written_expectation
from testbed.scenario.language import kernel_names
from testbed.scenario.language.base import OneOf
from testbed.scenario.language.yaml_source import read
from testbed.scenario.link import faults, impairments, link_model
from testbed.scenario.schema import field_docs
from testbed.scenario.steps.sending_steps import SendStep
from testbed.scenario.steps.step import STEPS, AnyStep
from tests.nonempty import nonempty

TEXT = reference_page.PAGE.read_text(encoding="utf-8")
MODELS: dict[str, type[BaseModel]] = {
    each.__name__: each
    for each in (
        *(scenario.ScenarioFile, scenario.Server, scenario.Observe, written_expectation.Conditions),
        *(link_model.LinkSpec, impairments.Impairments, impairments.Mtu, impairments.Reorder, impairments.Down),
    )
}
EXPECTATION: TypeAdapter[Any] = TypeAdapter(all_expectations.AnyExpectation)
ITEMS: dict[str, TypeAdapter[Any]] = {
    **dict.fromkeys(STEPS, TypeAdapter(AnyStep)),
    **dict.fromkeys((key for key in all_expectations.EXPECTATIONS if key != "exit"), EXPECTATION),
    "exit-expectation": EXPECTATION,
    **dict.fromkeys(faults.FAULT_ITEMS, TypeAdapter(faults.AnyFault)),
}


def plain(text: str) -> Any:
    root, problems = read(text)
    assert root is not None
    assert not problems, text
    return root.plain()


def test_the_committed_page_is_the_generated_one() -> None:
    """If not: python -m testbed.reference."""
    assert reference_page.text() == TEXT


@pytest.mark.parametrize("name", reference_words()["examples"])
def test_every_example_is_read(name: str) -> None:
    """Lists hold what their section is about, whole mappings are that mapping, patterns are one a line."""
    text = reference_words()["examples"][name]
    if name == "Pattern":
        for line in nonempty(text.splitlines()):
            packet_patterns.Pattern.model_validate(plain(line))
    elif name in MODELS:
        MODELS[name].model_validate(plain(text))
    else:
        key = name.removesuffix("-expectation")
        for item in nonempty(plain(text)):
            assert key in item
            ITEMS[name].validate_python(item)


@pytest.mark.parametrize("name", sorted({name for name, _ in kinds().values()} & set(reference_words()["kinds"])))
def test_examples_of_each_kind_of_value_are_read(name: str) -> None:
    """What the table of kinds shows is taken by what reads that kind."""
    parse = next(parsed.parse for known, parsed in kinds().values() if known == name)
    for example in reference_words()["kinds"][name]["examples"]:
        parse(plain(f"x: {example}")["x"])


def test_nothing_is_said_of_a_kind_that_is_not_there() -> None:
    """Words for types that were renamed or removed go with them."""
    assert set(reference_words()["kinds"]) <= {name for name, _ in kinds().values()} | {"Data", "Payload"}
    assert set(reference_words()["examples"]) <= {*MODELS, *ITEMS, "Pattern"}


def reachable(of: type[BaseModel], found: set[type[BaseModel]] | None = None) -> set[type[BaseModel]]:
    found = set() if found is None else found
    if of not in found:
        found.add(of)
        for info in of.model_fields.values():
            for inner in re.findall(r"testbed\.[\w.]+", str(info.annotation)):
                module, _, cls = inner.rpartition(".")
                known = getattr(__import__(module, fromlist=[cls]), cls, None) if module else None
                if isinstance(known, type) and issubclass(known, BaseModel):
                    reachable(known, found)
            for model in one_of_which(info.annotation):
                reachable(model, found)
    return found


def one_of_which(annotation: Any) -> Iterator[type[BaseModel]]:
    for each in getattr(annotation, "__metadata__", ()):
        if isinstance(each, OneOf):
            yield from each.models.values()
    for inner in get_args(annotation):
        yield from one_of_which(inner)


def test_every_key_and_every_name_is_on_the_page() -> None:
    """Each model that a scenario can hold is there with all its keys and what they mean."""
    found = reachable(scenario.ScenarioFile)
    assert {
        SendStep,
        expectations.Timing,
        faults.ForgeFault,
        packet_patterns.Moment,
        expectations.LedgerFigures,
    } <= found
    for each in found - {faults.FaultItem}:
        if issubclass(each, faults.FaultItem):
            assert f"#### `{next(iter(each.model_fields))}`" in TEXT
            continue
        docs = field_docs(each)
        for name, info in each.model_fields.items():
            rows = [line for line in TEXT.splitlines() if line.startswith(f"| `{info.alias or name}` |")]
            start = re.sub(r"[{\[`].*", "", docs[name])[:30]
            assert any(start in line for line in rows) or name in ("on", "error"), f"{each.__name__}.{name}"
    for name in (
        *kernel_names.CALLS,
        *kernel_names.ERRNOS,
        *kernel_names.OPTIONS,
        *CauseName,
        *kernel_names.LABELS,
        *kernel_names.SIGNALS,
    ):
        assert f"`{name}`" in TEXT


def test_links_within_the_page_lead_somewhere() -> None:
    """Each `#anchor` is that of one heading."""
    prose = re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)
    headings = [reference_page.anchor(line.lstrip("#")) for line in prose.splitlines() if line.startswith("#")]
    links = set(re.findall(r"\]\(#([^)]+)\)", TEXT))
    assert links
    assert [link for link in sorted(links) if headings.count(link) != 1] == []


def test_tables_have_the_same_number_of_cells_in_each_row() -> None:
    """A bar in a text would break the table."""
    for table in nonempty(re.findall(r"(?:^\|.*\n)+", TEXT, flags=re.MULTILINE)):
        rows = [re.findall(r"(?<!\\)\|", row) for row in table.splitlines()]
        assert len({len(row) for row in rows}) == 1, table
