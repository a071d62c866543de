"""The types of a model's fields in words, with links, as the reference shows them."""

from __future__ import annotations

import re
import types
from collections.abc import Iterable, Mapping
from enum import Enum
from functools import cache
from importlib import resources
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from testbed.model.expect import Limits
from testbed.scenario.expect.packet_patterns import Moment, Pattern
from testbed.scenario.language import endpoints, kernel_ranges, limits, own_paths, values
from testbed.scenario.language.base import OneOf, Parsed, Short
from testbed.scenario.language.payload import Data, Payload
from testbed.scenario.link import link_values
from testbed.scenario.steps import sending_steps

NUMBERS: dict[type, str] = {int: "whole number", float: "number", bool: "`true` or `false`", str: "text"}
MODELS: dict[type, str] = {
    Data: "[bytes](#kinds-of-values)",
    Payload: "[payload](#kinds-of-values)",
    Pattern: "[pattern](#which-packets)",
    Moment: "[moment](#moments)",
}
"""Models that have a word of their own."""
_BOUNDS = (("ge", "from {}"), ("le", "to {}"), ("lt", "below {}"))


@cache
def reference_words() -> dict[str, Any]:
    """Return what ``words.yaml`` holds."""
    loaded: dict[str, Any] = yaml.safe_load(resources.files("testbed.reference").joinpath("words.yaml").read_text())
    return loaded


@cache
def kinds() -> Mapping[int, tuple[str, Parsed]]:
    """Return the small types of scenarios: the identity of how one is read, its name and how it is read."""
    found: dict[int, tuple[str, Parsed]] = {}
    for module in (values, endpoints, own_paths, limits, kernel_ranges, link_values, sending_steps):
        for name, alias in vars(module).items():
            if get_origin(alias) is Annotated:
                for each in alias.__metadata__:
                    if isinstance(each, Parsed):
                        found.setdefault(id(each), (name, each))
    return found


def kind_of(metadata: Iterable[object]) -> tuple[str, Parsed] | None:
    """Return the small type that a field's metadata names."""
    return next((kinds()[id(each)] for each in metadata if id(each) in kinds()), None)


def type_in_words(annotation: Any, metadata: tuple[Any, ...], sections: Mapping[type, str]) -> str:  # noqa: ANN401
    """Return a type as Markdown: ``[duration](#kinds-of-values)``, ``list of ...``, `` `tcp`, `udp` ``.

    ``sections`` are the anchors of the models that have a section of their own.
    """
    while get_origin(annotation) is Annotated:
        metadata = (*metadata, *annotation.__metadata__)
        annotation = get_args(annotation)[0]
    found = kind_of(metadata)
    if found:
        word = reference_words()["kinds"].get(found[0], {}).get("word", found[0])
        return f"[{word}](#kinds-of-values){_bounds(metadata, as_size=found[0] == 'Size')}"
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{each}`" for each in inside)
    if origin in (Union, types.UnionType):
        if len(inside) > 2 or (len(inside) == 2 and type(None) not in inside):
            return " or ".join(dict.fromkeys(type_in_words(each, (), sections) for each in inside))
        (one,) = (each for each in inside if each is not type(None))
        given = any(isinstance(each, BeforeValidator) for each in metadata)
        return f"{'' if given else 'nothing, or '}{type_in_words(one, metadata, sections)}"
    if origin is tuple:
        return f"list of {_items(inside[0], sections)}"
    if origin is dict:
        key, value = (type_in_words(each, (), sections) for each in inside)
        return f"mapping of {key} to {value}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _model(annotation, sections)
    if annotation is Any:
        return "any value"
    return NUMBERS[annotation] + _bounds(metadata)


def _items(annotation: Any, sections: Mapping[type, str]) -> str:  # noqa: ANN401 - any type expression
    """Return what a list holds: of steps, expectations or faults their section."""
    if any(isinstance(each, OneOf) for each in getattr(annotation, "__metadata__", ())):
        section = sections[get_args(annotation)[0]]
        return f"[{section.replace('-', ' ')}](#{section})"
    return type_in_words(annotation, (), sections)


def _model(model: type[BaseModel], sections: Mapping[type, str]) -> str:
    if model in MODELS:
        return MODELS[model]
    words = []
    if issubclass(model, Short):
        if model.empty:
            words.append("nothing")
        if model.short:
            field = model.model_fields[model.short]
            words.append(type_in_words(field.annotation, tuple(field.metadata), sections))
        elif model.short_schema:
            words.append("text")
        if not model.model_fields:
            return "nothing"
    words.append(f"[mapping](#{sections[model]})" if model in sections else "mapping")
    return ", or ".join(words)


def _bounds(metadata: Iterable[Any], *, as_size: bool = False) -> str:
    flat = [each for item in metadata for each in (item.metadata if isinstance(item, FieldInfo) else [item])]
    found = []
    for name, text in _BOUNDS:
        limit = next((getattr(each, name) for each in flat if getattr(each, name, None) is not None), None)
        if limit is not None:
            found.append(text.format(_size(limit) if as_size else f"{limit:,}"))
    return f", {' '.join(found)}" if found else ""


def _size(number: int) -> str:
    return f"{number >> 20}MiB" if number >= 1 << 20 and number % (1 << 20) == 0 else f"{number:,}"


def default_in_words(info: FieldInfo) -> str:
    """Return a default as a scenario writes it; ``needed`` where there is none, empty where the text says it."""
    if info.is_required():
        return "needed"
    value = info.default if info.default is not PydanticUndefined else None
    kind = kind_of(info.metadata)
    match value:
        case None | () | "" | BaseModel() | own_paths.WantedFiles(pairs=()):
            return ""
        case (only,):
            return f"`{only}`"
        case bool():
            return f"`{str(value).lower()}`"
        case float() if kind and kind[0] == "Seconds":
            return f"`{value:g}s`"
        case int() if kind and kind[0] == "Span":
            return f"`{value // 1_000_000}ms`"
        case Limits():
            return f"`{limits.as_written(value)}`"
        case Enum():
            return f"`{value.value}`"
    return f"`{value}`"


def cell(text: str) -> str:
    """Return text for a cell of a table of Markdown, examples in braces as code."""
    text = text.replace("``", "`").replace("|", "\\|")
    # what stands in code already stays as it is
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(
        part if part.startswith("`") else re.sub(r"(\{(?:[^{}]|\{[^{}]*\})*\}|\[[0-9, ]+\])", r"`\1`", part)
        for part in parts
    )
