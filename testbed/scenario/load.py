"""From a scenario file to a :class:`Scenario`, or to one error that shows everything that is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import TypeAdapter, ValidationError

from testbed.model import Host
from testbed.model.errors import ScenarioError, UsageError
from testbed.model.hosts import IpVersion
from testbed.scenario.catalogue import name_of
from testbed.scenario.check_scenario import Flaw, check
from testbed.scenario.expect.all_expectations import AnyExpectation
from testbed.scenario.explain import explain
from testbed.scenario.language.base import nearest
from testbed.scenario.language.endpoints import IpVersions
from testbed.scenario.language.yaml_source import Node, Position, Problem, SourceText, decode, read, shown_path
from testbed.scenario.link.link_model import LinkSpec
from testbed.scenario.read_own_files import own_parts
from testbed.scenario.scenario import Client, HostSpec, Observe, Scenario, ScenarioFile, Server
from testbed.scenario.variants import apply

NAME = "[a-z0-9][a-z0-9._-]*"


def load(path: Path, *, name: str | None = None, settings: Mapping[str, Any] = MappingProxyType({})) -> Scenario:
    """Return the scenario in a file.

    ``name`` is for a copy under another name, as in a run directory, beside which no file that it names need be;
    else :func:`name_of`. ``settings``
    choose a variant (see :mod:`testbed.scenario.variants`). Raises ScenarioError with every problem in the file,
    UsageError where the file cannot be read.
    """
    name_shown = shown_path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{name_shown} cannot be read: {error.strerror or error}") from error
    if name is None:
        name = name_of(path)
        if not re.fullmatch(NAME, name):
            hint = "small letters, digits, and . _ - after the first"
            raise ScenarioError(f"{name_shown}: `{name}` is not a name for a scenario", hint=hint)
        scenario = parse(data, name=name, path=path, shown=name_shown, settings=settings)
        own_parts(scenario)  # what of the user's own it names is there
        return scenario
    return parse(data, name=name, path=path, shown=name_shown, settings=settings)


def parse(
    data: bytes, *, name: str, path: Path, shown: str, settings: Mapping[str, Any] = MappingProxyType({})
) -> Scenario:
    """Return the scenario in a file's bytes; ``shown`` is the file's name in messages. Raises ScenarioError."""
    text, unreadable = decode(data)
    source = SourceText(shown, text)
    if unreadable:
        raise ScenarioError(source.report([unreadable]))
    root, problems = read(text)
    if root is None or root.value is None:
        empty = Problem(Position(0, 0), "the file is empty", "a scenario needs summary, server and client")
        raise ScenarioError(source.report(problems or [empty]))
    if not isinstance(root.value, dict):
        kind = "a list" if isinstance(root.value, list) else "a single value"
        problems.append(
            Problem(root.mark, f"a scenario is a mapping, not {kind}", "it needs summary, server and client")
        )
        raise ScenarioError(source.report(problems))
    try:
        plain, chosen = _variant(root.plain(), settings)
    except ValueError as error:
        message, hint, setting = error.args
        raise ScenarioError(
            source.report([*problems, Problem(root.find(("matrix", setting)), message, hint)])
        ) from error
    scenario: ScenarioFile | None = None
    findings: list[Flaw] = []
    try:
        scenario = ScenarioFile.model_validate(plain)
    except ValidationError as error:
        findings += explain(error)
        findings += _check_valid_parts(plain, {str(finding.path[0]) for finding in findings if finding.path})
    else:
        findings += _unvaried(scenario, chosen)
        expect = {index: each for index, each in enumerate(scenario.expect) if each.applies(chosen)}
        findings += check(scenario.hosts, scenario.observe, expect, scenario.timeout, scenario.link, scenario.ip)
        if scenario.offloads and scenario.routed:
            hint = "leave `offloads` out, or keep the link direct"
            findings.append(
                Flaw(
                    ("offloads",), "`offloads` cannot be used with a link host, which takes packets as on a wire", hint
                )
            )
    problems += _placed(root, findings)
    if problems or scenario is None:
        raise ScenarioError(source.report(problems))
    for index, item in enumerate(scenario.link.faults):
        item.written_as(plain["link"]["faults"][index])
    values = {key: getattr(scenario, key) for key in ScenarioFile.model_fields}
    applying = [(index, each) for index, each in enumerate(scenario.expect) if each.applies(chosen)]
    values["expect"] = tuple(each for _, each in applying)
    written = tuple((plain["expect"][index], source.where(root.find(("expect", index)))) for index, _ in applying)
    return Scenario.model_construct(
        _fields_set=set(values), **values, name=name, path=path, source=text, settings=chosen, written=written
    )


def _variant(plain: dict[str, Any], settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the plain tree with a variant's settings in it, and these: those given, else the first of each."""
    matrix = plain.get("matrix")
    first = {}
    if isinstance(matrix, dict):
        first = {path: values[0] for path, values in matrix.items() if isinstance(values, list) and values}
    chosen = {**first, **settings}
    return apply(plain, chosen), chosen


def _unvaried(scenario: ScenarioFile, chosen: Mapping[str, Any]) -> Iterator[Flaw]:
    for index, expectation in enumerate(scenario.expect):
        for setting, value in (expectation.when.settings if expectation.when else {}).items():
            at = ("expect", index, "when", setting)
            if setting not in chosen:
                hint = f"the matrix varies {', '.join(chosen)}" if chosen else "there is no `matrix`"
                yield Flaw(at, f"`{setting}` is not varied{nearest(setting, ('kernel',))}", hint, key=True)
            elif setting in scenario.matrix and value not in scenario.matrix[setting]:
                yield Flaw(at, f"the matrix never sets `{setting}` to this value")


def _check_valid_parts(plain: dict[str, Any], bad: set[str]) -> Iterator[Flaw]:
    """Look for further problems in those parts of a scenario that are valid by themselves."""
    hosts: dict[Host, HostSpec] = {}
    if "client" in plain and "client" not in bad:
        hosts["client"] = Client.model_validate(plain["client"])
    if "server" in plain and "server" not in bad:
        hosts["server"] = Server.model_validate(plain["server"])
    observe = None if "observe" in bad else Observe.model_validate(plain.get("observe", {}))
    expect: tuple[AnyExpectation, ...] = ()
    if "expect" not in bad:
        expect = TypeAdapter(tuple[AnyExpectation, ...]).validate_python(plain.get("expect", []))
    timeout = ScenarioFile.model_fields["timeout"].default
    link = None if "link" in bad else LinkSpec.model_validate(plain.get("link", {}))
    ip: tuple[IpVersion, ...] = (4, 6)
    if "ip" not in bad:
        ip = TypeAdapter[tuple[IpVersion, ...]](IpVersions).validate_python(plain.get("ip", 4))
    return check(hosts, observe, dict(enumerate(expect)), timeout, link, ip)


def _placed(root: Node, findings: list[Flaw]) -> Iterator[Problem]:
    for path, message, hint, key in findings:
        yield Problem(root.find(path, key=key), message, hint)
