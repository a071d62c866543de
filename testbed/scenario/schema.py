"""The JSON Schema of scenario files, for editors: ``python -m testbed.scenario.schema`` writes ``schema.json``."""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from testbed.model import CauseName
from testbed.scenario.expect.expectations import OF_A_CALL
from testbed.scenario.language import kernel_names
from testbed.scenario.language.base import ONE_OF, Frozen, Short
from testbed.scenario.scenario import ScenarioFile

SCHEMA_FILE = Path(__file__).with_name("schema.json")
_LISTS = {
    "ErrorName": ("any", "EOF", "TIMEOUT", *kernel_names.ERRNOS),
    "Errno": kernel_names.ERRNOS,
    "CallName": kernel_names.CALLS,
    "CauseName": tuple(CauseName),
    "LabelName": kernel_names.LABELS,
    "OptionName": kernel_names.OPTIONS,
    "SignalName": kernel_names.SIGNALS,
    "ExitName": ("any", *kernel_names.SIGNALS),
}


def generate() -> dict[str, Any]:
    """Return the schema, which accepts the short and the long form of each value.

    It is looser than loading, which also knows what the steps mean together.
    """
    models = {model.__name__: model for model in _subclasses(Frozen)}
    definitions = _definitions(models)
    schema = definitions.pop(ScenarioFile.__name__)
    for name, definition in {**definitions, "ScenarioFile": schema}.items():
        _polish(definition, models[name])
    for name, definition in definitions.items():
        model = models[name]
        if issubclass(model, Short):
            definitions[name] = _both_forms(model, definition)
    for host in ("Client", "Server"):
        definitions[host]["oneOf"] = [{"required": ["steps"]}, {"required": ["command"]}]
    definitions["CallExpectation"]["anyOf"] = [{"required": [key]} for key in OF_A_CALL]
    definitions |= {name: {"type": "string", "enum": list(words)} for name, words in _LISTS.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Bothends scenario",
        **schema,
        "$defs": dict(sorted(definitions.items())),
    }


def text() -> str:
    """Return the schema as the text of ``schema.json``."""
    return json.dumps(generate(), indent=1, ensure_ascii=False) + "\n"


def field_docs(model: type[BaseModel]) -> dict[str, str]:
    """Return what the strings below a model's fields, its own and inherited ones, say of them.

    Read from the source only here: pydantic's own way would do so whenever a scenario is loaded.
    """
    docs: dict[str, str] = {}
    for cls in reversed(model.__mro__):
        if not issubclass(cls, Frozen):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
        assert isinstance(body, ast.ClassDef)  # noqa: S101 - the source of a class
        for field, below in zip(body.body, body.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                match below:
                    case ast.Expr(value=ast.Constant(value=str(doc))):
                        docs[field.target.id] = " ".join(doc.split())
    return docs


def _definitions(models: Mapping[str, type[Frozen]]) -> dict[str, dict[str, Any]]:
    """Return the schema of a scenario file and of each model that it needs, by name."""
    found: dict[str, dict[str, Any]] = {}
    wanted = [ScenarioFile.__name__]
    while wanted:
        name = wanted.pop()
        if name not in found:
            schema = models[name].model_json_schema()
            found |= schema.pop("$defs", {})
            found[name] = schema
            wanted += [choice for each in (schema, *found.values()) for choice in _choices(each)]
    return found


def _choices(part: Any) -> Iterator[str]:  # noqa: ANN401 - any part of a schema
    """Refer to the models of which a value is one; yield their names."""
    if isinstance(part, dict):
        if ONE_OF in part:
            names = part.pop(ONE_OF)
            part["oneOf"] = [{"$ref": f"#/$defs/{name}"} for name in names]
            yield from names
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from _choices(each)


def _polish(definition: dict[str, Any], model: type[BaseModel]) -> None:
    """Add descriptions; take away generated titles and the null that stands for a key left out; share long lists."""
    definition.pop("title", None)
    definition["description"] = " ".join((model.__doc__ or "").split())
    docs = field_docs(model)
    for name, info in model.model_fields.items():
        field = definition["properties"][info.alias or name]
        if docs.get(name):
            field["description"] = docs[name]
        choices = field.get("anyOf", [])
        if "default" in field and field["default"] is None:
            del field["default"]
            choices = [choice for choice in choices if choice != {"type": "null"}]
            field.pop("anyOf", None)
            field.update({"anyOf": choices} if len(choices) > 1 else choices[0] if choices else {})
    _share(definition)


def _share(part: Any) -> None:  # noqa: ANN401 - any part of a schema
    if isinstance(part, dict):
        part.pop("title", None) if isinstance(part.get("title"), str) else None
        words = tuple(part.get("enum", ())) if isinstance(part.get("enum"), list) else ()
        name = next((name for name, known in _LISTS.items() if known == words), None)
        if name:
            del part["enum"]
            part.pop("type", None)
            part["$ref"] = f"#/$defs/{name}"
        for value in part.values():
            _share(value)
    elif isinstance(part, list):
        for value in part:
            _share(value)


def _subclasses(model: type[Frozen]) -> Iterator[type[Frozen]]:
    for child in model.__subclasses__():
        yield child
        yield from _subclasses(child)


def _both_forms(model: type[Short], long: dict[str, Any]) -> dict[str, Any]:
    forms = [long]
    if model.short:
        forms.insert(0, dict(long["properties"][model.model_fields[model.short].alias or model.short]))
    if model.short_schema:
        forms.insert(0, dict(model.short_schema))
    if model.empty:
        forms.insert(0, {"type": "null"})
    return {"anyOf": forms, "description": long["description"]}


if __name__ == "__main__":
    SCHEMA_FILE.write_text(text(), encoding="utf-8")
