"""The schema for editors is current, takes what loading takes, and refuses what has no meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from testbed.scenario import schema
from testbed.scenario.language.base import Frozen
from testbed.scenario.language.yaml_source import read

ROOT = Path(__file__).parents[3]
ERRORS = Path(__file__).with_name("errors")
REFUSED = (
    *("a-list", "empty-values", "expectations", "hostile-keys", "missing-keys", "names-and-texts"),
    *("two-steps-in-one", "unknown-keys", "until-client", "wrong-types"),
)


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    generated = schema.generate()
    Draft202012Validator.check_schema(generated)
    return Draft202012Validator(generated)


def plain(path: Path) -> Any:
    root, _ = read(path.read_text(encoding="utf-8"))
    assert root is not None
    return root.plain()


def test_the_committed_schema_is_the_generated_one() -> None:
    """If not: python -m testbed.scenario.schema."""
    assert schema.SCHEMA_FILE.read_text(encoding="utf-8") == schema.text()


@pytest.mark.parametrize("path", sorted((ROOT / "scenarios").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_scenarios_are_valid(validator: Draft202012Validator, path: Path) -> None:
    validator.validate(plain(path))


@pytest.mark.parametrize("name", REFUSED)
def test_unknown_keys_and_wrong_types_are_refused(validator: Draft202012Validator, name: str) -> None:
    assert not validator.is_valid(plain(ERRORS / f"{name}.yaml"))


STEPS: list[dict[str, Any]] = [
    {"send": "c"},
    {"send": {"bytes": "00ff", "to": "server:5000"}},
    {"send": {"size": "8MiB", "chunk": 1024}},
    {"sendmsg": ["a", {"bytes": "00"}]},
    {"accept": None},
    {"accept": None, "as": "second"},
    {"close": None},
    {"close": "listener"},
    {"recv_all": None},
    {"recv_exact": 8, "error": "EOF"},
    {"listen": 80},
    {"listen": {"port": 80, "backlog": 1}},
    {"listen": None},
    {"setsockopt": {"TCP_NODELAY": True, "SO_LINGER": [1, 0], "SO_RCVTIMEO": "2s"}},
    {"on_readable": "drain"},
    {"on_readable": {"read": "once", "size": 1, "timeout": "2s"}},
    {"bind": ":5000"},
    {"sleep": "5ms"},
    {"connect": "server:80", "error": "ECONNREFUSED"},
    {"socket": "udp"},
]


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_short_and_long_forms_of_steps_are_valid(validator: Draft202012Validator, step: dict[str, Any]) -> None:
    validator.validate({"summary": "x", "server": {"command": "a"}, "client": {"steps": [step]}})


@pytest.mark.parametrize(
    "step",
    [{"send": None}, {"send": 5}, {"accept": 1}, {"send": "c", "recv": 1}, {"send": "c", "as": "x"}, {}, "close"],
    ids=str,
)
def test_what_is_no_step_is_refused(validator: Draft202012Validator, step: object) -> None:
    assert not validator.is_valid({"summary": "x", "server": {"command": "a"}, "client": {"steps": [step]}})


def models(model: type[BaseModel] = Frozen) -> list[type[BaseModel]]:
    return [found for child in model.__subclasses__() for found in (child, *models(child))]


@pytest.mark.parametrize("model", models(), ids=lambda model: model.__name__)
def test_each_model_and_each_field_says_what_it_is(model: type[BaseModel]) -> None:
    """The schema and the reference are made from these texts."""
    assert model.__doc__
    if model.__name__ != "Scenario":
        assert set(schema.field_docs(model)) >= set(model.model_fields)
