"""docs/scenarios.md is current, has every key, and all that it shows is read by the language itself."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

from testbed.reference import reference_page
from testbed.reference.type_words import kinds, said
from testbed.scenario import scenario
from testbed.scenario.expect import expectations, packet_patterns
from testbed.scenario.language import kernel_names
from testbed.scenario.language.yaml_source import read
from testbed.scenario.link import link_model
from testbed.scenario.schema import field_docs
from testbed.scenario.steps import steps

TEXT = reference_page.PAGE.read_text(encoding="utf-8")
MODELS: dict[str, type[BaseModel]] = {
    each.__name__: each
    for each in (
        *(scenario.ScenarioFile, scenario.Server, scenario.Observe),
        *(link_model.Link, link_model.Impairments, link_model.Mtu, link_model.Reorder, link_model.Down),
    )
}
EXPECTATION: TypeAdapter[Any] = TypeAdapter(expectations.AnyExpectation)
ITEMS: dict[str, TypeAdapter[Any]] = {
    **dict.fromkeys(steps.STEPS, TypeAdapter(steps.AnyStep)),
    **dict.fromkeys((key for key in expectations.EXPECTATIONS if key != "exit"), EXPECTATION),
    "exit-expectation": EXPECTATION,
    **dict.fromkeys(link_model.FAULT_ITEMS, TypeAdapter(link_model.AnyFault)),
}


def plain(text: str) -> Any:
    root, problems = read(text)
    assert root is not None
    assert not problems, text
    return root.plain()


def test_the_committed_page_is_the_generated_one() -> None:
    """If not: python -m testbed.reference."""
    assert reference_page.text() == TEXT


@pytest.mark.parametrize("name", said()["examples"])
def test_every_example_is_read(name: str) -> None:
    """Lists hold what their section is about, whole mappings are that mapping, patterns are one a line."""
    text = said()["examples"][name]
    if name == "Pattern":
        for line in text.splitlines():
            packet_patterns.Pattern.model_validate(plain(line))
    elif name in MODELS:
        MODELS[name].model_validate(plain(text))
    else:
        key = name.removesuffix("-expectation")
        for item in plain(text):
            assert key in item
            ITEMS[name].validate_python(item)


@pytest.mark.parametrize("name", sorted({name for name, _ in kinds().values()} & set(said()["kinds"])))
def test_examples_of_each_kind_of_value_are_read(name: str) -> None:
    """What the table of kinds shows is taken by what reads that kind."""
    parse = next(parsed.parse for known, parsed in kinds().values() if known == name)
    for example in said()["kinds"][name]["examples"]:
        parse(plain(f"x: {example}")["x"])


def test_nothing_is_said_of_a_kind_that_is_not_there() -> None:
    """Words for types that were renamed or removed go with them."""
    assert set(said()["kinds"]) <= {name for name, _ in kinds().values()} | {"Data", "Payload"}
    assert set(said()["examples"]) <= {*MODELS, *ITEMS, "Pattern"}


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
    return found


def test_every_key_and_every_name_is_on_the_page() -> None:
    """Each model that a scenario can hold is there with all its keys and what they mean."""
    found = reachable(scenario.ScenarioFile)
    assert {
        steps.Send,
        expectations.Timing,
        link_model.ForgeIt,
        packet_patterns.Moment,
        expectations.LedgerFigures,
    } <= found
    for each in found:
        if issubclass(each, link_model.FaultItem):
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
        *kernel_names.CAUSES,
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
    assert [link_model for link_model in sorted(links) if headings.count(link_model) != 1] == []


def test_tables_have_the_same_number_of_cells_in_each_row() -> None:
    """A bar in a text would break the table."""
    for table in re.findall(r"(?:^\|.*\n)+", TEXT, flags=re.MULTILINE):
        rows = [re.findall(r"(?<!\\)\|", row) for row in table.splitlines()]
        assert len({len(row) for row in rows}) == 1, table
