"""Which engine makes the labs: the one that is asked for, else Docker where it answers, else namespaces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from testbed.lab.engine import Engine, Progress
from testbed.model.errors import EngineError, UsageError

DOCKER = "docker"
NAMESPACE = "namespace"
NAMES = (DOCKER, NAMESPACE)

EngineFactory = Callable[[Progress], Engine]


@dataclass(frozen=True, slots=True)
class Choice:
    """An engine by name, how to make one, and one line that says why it was chosen where nobody asked for it.

    ``prepare`` makes what all labs share, so that many that begin at once need not.
    """

    name: str
    make: EngineFactory
    prepare: Callable[[Progress], None]
    why: str = ""


def choose(wanted: str = "") -> Choice:
    """Return the engine to use; ``wanted`` is a name, or empty for the one that suits this machine.

    Raises UsageError for a name that is none, EngineError when Docker is insisted on and does not answer.
    """
    if wanted == NAMESPACE:
        return _namespace()
    if wanted not in ("", DOCKER):
        raise UsageError(f"there is no engine `{wanted}`", hint=f"--engine {' or '.join(NAMES)}")
    try:
        return _docker()
    except EngineError as error:
        if wanted == DOCKER:
            raise
        return _namespace(f"engine: namespace, because {_reason(error)}")


def _reason(error: EngineError) -> str:
    return f"{error.what} ({error.state})" if error.state else error.what


def _docker() -> Choice:
    from testbed.lab.docker.docker_engine import DockerEngine, connect

    client = connect()

    def prepare(progress: Progress) -> None:
        from testbed.lab.docker import images

        ids = images.ensure(client, ["tools", "tap", "host"], progress)
        images.ensure_tools_volume(client, ids["tools"], progress)

    return Choice(DOCKER, lambda progress: DockerEngine(client, progress), prepare)


def _namespace(why: str = "") -> Choice:
    from testbed.lab.namespace import toolchain
    from testbed.lab.namespace.namespace_engine import Namespaces

    def prepare(progress: Progress) -> None:
        toolchain.provide(progress)

    return Choice(NAMESPACE, Namespaces(), prepare, why)
