"""The engines there are, and which one makes the labs: the one that is asked for, else the first that answers."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import import_module

from testbed.lab.engine_kind import Choice, EngineKind
from testbed.model.errors import BothendsError, EngineError, Unsupported, UsageError

DOCKER = "docker"
NAMESPACE = "namespace"
UML = "uml"


@dataclass(frozen=True, slots=True)
class EngineRow:
    """One engine: its name, and the module that holds it as ``KIND``. The module is imported when it is asked for."""

    name: str
    module: str


ENGINES = (
    EngineRow(DOCKER, "testbed.lab.docker.docker_kind"),
    EngineRow(NAMESPACE, "testbed.lab.namespace.namespace_kind"),
    EngineRow(UML, "testbed.lab.uml.uml_kind"),
)
"""In the order of preference: without ``--engine`` the first that answers is chosen."""
NAMES = tuple(row.name for row in ENGINES)


LEAST_MEMORY = 256 << 20
"""Bytes of address space below which a run cannot go to its end: a library that it loads would end the process."""


def engine_kind(name: str) -> EngineKind:
    """Return an engine by its name. Raises UsageError for a name that is none."""
    for row in ENGINES:
        if row.name == name:
            kind: EngineKind = import_module(row.module).KIND
            return kind
    raise UsageError(f"there is no engine `{name}`", hint=f"--engine {' or '.join(row.name for row in ENGINES)}")


def engine_kinds() -> Iterator[EngineKind]:
    """Yield all engines in the order of preference."""
    for row in ENGINES:
        yield engine_kind(row.name)


def choose(wanted: str = "") -> Choice:
    """Return the engine to use; ``wanted`` is a name, or empty for the first that answers.

    Raises UsageError for a name that is none, EngineError when the one that is wanted (or none of them) does not answer
    or this process may have too little memory.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < LEAST_MEMORY:
        raise EngineError(
            f"this process may have {limit >> 20} MiB of memory, a run takes {LEAST_MEMORY >> 20} or more",
            hint="`ulimit -v unlimited`",
        )
    if wanted:
        return engine_kind(wanted).choose()
    refusals: list[BothendsError] = []
    refused: Choice | None = None
    for kind in engine_kinds():
        try:
            choice = kind.choose()
        except (EngineError, Unsupported) as error:
            refusals.append(error)
            continue
        why = f"engine: {choice.name}, because {'; '.join(map(_reason, refusals))}" if refusals else choice.why
        choice = replace(choice, why=why)
        refusal = kind.refusal()
        if not refusal:
            return choice
        refusals.append(Unsupported(refusal))
        refused = refused or choice
    if refused is not None:
        return refused  # its labs say best what is wrong, and what to do
    raise refusals[-1]


def _reason(error: BothendsError) -> str:
    return f"{error.what} ({error.state})" if error.state else error.what
