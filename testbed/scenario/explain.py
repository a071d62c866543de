"""pydantic's validation errors as findings in the words of the scenario file."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from testbed.scenario.check_scenario import Flaw
from testbed.scenario.expect.all_expectations import EXPECTATIONS
from testbed.scenario.expect.packet_patterns import EVENTS
from testbed.scenario.language.base import nearest, shown
from testbed.scenario.link.faults import FAULT_ITEMS
from testbed.scenario.scenario import Client, ScenarioFile, Server
from testbed.scenario.steps.step import BESIDE, STEPS, Step

_TAGGED: dict[str, type[BaseModel]] = {
    f"<{key}>": model for key, model in (*STEPS.items(), *EXPECTATIONS.items(), *FAULT_ITEMS.items(), *EVENTS.items())
}
_SECTIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "steps": (tuple(STEPS), "step"),
    "expect": (tuple(EXPECTATIONS), "expectation"),
    "faults": (tuple(FAULT_ITEMS), "fault"),
}
_NEEDED = {
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dict_type": "a mapping",
    "tuple_type": "a list",
    "int_type": "a whole number",
    "bool_type": "true or false",
}
_EXAMPLES = {
    "steps": 'for instance {connect: "server:10011"}',
    "expect": "for instance {exit: {client: 0}}",
    "faults": "for instance {drop: {from: client, of: syn}}",
}


def explain(error: ValidationError) -> list[Flaw]:
    """Return a finding for each error of a scenario file's validation."""
    findings: list[Flaw] = []
    missing: list[Flaw] = []
    meant: set[tuple[str | int, ...]] = set()
    for details in error.errors(include_url=False):
        loc = details["loc"]
        path = tuple(part for part in loc if not str(part).startswith("<"))
        if details["type"] == "too_short" and details["input"]:
            continue  # only because items of it have errors of their own
        if details["type"] == "missing":
            missing.append(Flaw(path, f"`{path[-1]}` is missing"))
        elif details["type"] == "extra_forbidden":
            finding, guess = _unknown_key(path, _model_at(loc[:-1]))
            findings.append(finding)
            meant.add((*path[:-1], guess))
        else:
            is_key = path[-1:] == ("[key]",)
            findings.append(_finding(details, path[:-1] if is_key else path, key=is_key))
    # What a misspelt key was meant to be is not missing as well.
    return findings + [finding for finding in missing if finding.path not in meant]


def _unknown_key(path: tuple[str | int, ...], model: type[BaseModel]) -> tuple[Flaw, str]:
    """Return the finding for an unknown key, and the key that was meant, empty where none is near."""
    name, known = str(path[-1]), known_keys(model)
    message = f"unknown key `{name}`"
    if model is Client and name in known_keys(Server):
        return Flaw(path, message, f"`{name}` is the server's", key=True), ""
    guess = nearest(name, known)
    if guess:
        return Flaw(path, message + guess, key=True), guess.split("`")[1]
    hint = f"known keys: {', '.join(known)}"
    if name in BESIDE:
        hint = "it goes beside the step's own key"
    elif issubclass(model, Step):
        inner = inner_model(model.model_fields[model.key].annotation)
        if inner and name in known_keys(inner):
            hint = f"it goes inside: {model.key}: {{{name}: ...}}"
    return Flaw(path, message, hint, key=True), ""


def _finding(details: ErrorDetails, path: tuple[str | int, ...], *, key: bool) -> Flaw:
    kind, value, context = details["type"], details["input"], details.get("ctx", {})
    match kind:
        case "value_error":
            message, *hints = context["error"].args
            if not any(hints) and isinstance(value, dict) and not value.keys().isdisjoint(BESIDE):
                hints = ["on, as and error go beside the step's own key"]
            return Flaw(path, message, hints[0] if hints else "", key)
        case "union_tag_not_found":
            return _untagged(path, value)
        case "literal_error":
            words = context["expected"].replace("'", "").replace(" or ", ", ").split(", ")
            hint = f"one of {', '.join(words)}" if len(words) > 1 else f"only {words[0]}"
            return Flaw(path, f"{shown(value)} is not allowed here{nearest(str(value), tuple(words))}", hint, key=key)
        case "too_short":
            return Flaw(path, "at least one is needed here")
        case "too_long":
            return Flaw(path, f"{context['actual_length']} are too many: at most {context['max_length']}")
        case "greater_than_equal":
            return Flaw(path, f"{shown(value)} is too small: at least {context['ge']}")
        case "less_than_equal":
            return Flaw(path, f"{shown(value)} is too large: at most {context['le']}")
    needed = _NEEDED.get(kind)
    if value is None:
        return Flaw(path, "a value is missing here")
    return Flaw(path, f"expected {needed}, not {shown(value)}" if needed else details["msg"])


def _untagged(path: tuple[str | int, ...], value: object) -> Flaw:
    """Explain a step or an expectation that does not name exactly one kind."""
    section = next(part for part in reversed(path) if isinstance(part, str))
    known, what = _SECTIONS[section]
    if not isinstance(value, dict):
        word, article = str(value), "an" if what == "expectation" else "a"
        hint = f"{word}:" if word in known else _EXAMPLES[section]
        return Flaw(path, f"{article} {what} is a mapping, not {shown(value)}", f"write {hint}")
    named = [key for key in value if key in known]
    if len(named) > 1:
        return Flaw((*path, named[1]), f"`{named[0]}` and `{named[1]}` are two {what}s", "one per item", key=True)
    other = next((key for key in value if key not in (*BESIDE, "when", "in")), None)
    if other is None:
        return Flaw(path, f"the {what} is not named", _EXAMPLES[section])
    guess = nearest(other, known)
    hint = "" if guess else f"known {what}s: {', '.join(known)}"
    return Flaw((*path, other), f"unknown {what} `{other}`{guess}", hint, key=True)


def known_keys(model: type[BaseModel]) -> tuple[str, ...]:
    """Return a model's keys as a scenario writes them."""
    keys = (info.alias or name for name, info in model.model_fields.items())
    return tuple(sorted(keys, key=lambda key: issubclass(model, Step) and key in BESIDE))


def _model_at(loc: tuple[str | int, ...]) -> type[BaseModel]:
    """Return the model that a location of an error lies in: tags name it, else the fields lead to it."""
    model: type[BaseModel] = ScenarioFile
    for part in loc:
        if part in _TAGGED:
            model = _TAGGED[str(part)]
            continue
        for name, info in model.model_fields.items():
            if part == (info.alias or name):
                model = inner_model(info.annotation) or model
    return model


def inner_model(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - any type expression
    """Return the first model that a type expression names."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (inner_model(argument) for argument in get_args(annotation))
    return next((model for model in inner if model), None)
