"""Which engine makes the labs: the one that is asked for, else Docker where it answers, else namespaces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from testbed.errors import EngineError, UsageError
from testbed.lab.engine import Engine, Progress

DOCKER = "docker"
NAMESPACE = "namespace"
NAMES = (DOCKER, NAMESPACE)

EngineFactory = Callable[[Progress], Engine]


@dataclass(frozen=True, slots=True)
class Choice:
    """An engine by name, how to make one, and one line that says why it was chosen where nobody asked for it."""

    name: str
    make: EngineFactory
    why: str = ""


def choose(wanted: str = "") -> Choice:
    """Return the engine to use; ``wanted`` is a name, or empty for the one that suits this machine.

    Raises UsageError for a name that is none, EngineError when Docker is insisted on and does not answer.
    """
    if wanted == NAMESPACE:
        return Choice(NAMESPACE, _namespace())
    if wanted not in ("", DOCKER):
        raise UsageError(f"there is no engine `{wanted}`", hint=f"--engine {' or '.join(NAMES)}")
    try:
        return Choice(DOCKER, _docker())
    except EngineError as error:
        if wanted == DOCKER:
            raise
        return Choice(NAMESPACE, _namespace(), f"engine: namespace, because {_reason(error)}")


def _reason(error: EngineError) -> str:
    return f"{error.what} ({error.state})" if error.state else error.what


def _docker() -> EngineFactory:
    from testbed.lab.docker_engine import DockerEngine, connect

    client = connect()
    return lambda progress: DockerEngine(client, progress)


def _namespace() -> EngineFactory:
    from testbed.lab.namespace.engine import Namespaces

    return Namespaces()
