"""Make a scenario smaller while what is wrong about its run stays: leave out steps, options, faults, settings."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from dev.truth.draw_scenario import Document, as_scenario
from testbed.model.errors import ScenarioError

HOSTS = ("client", "server")


def shrink(document: Document, still_wrong: Callable[[Document], bool], *, tries: int = 60) -> Document:
    """Return the smallest document that is found within so many tries; ``still_wrong`` runs one.

    Documents that the scenario models refuse cost no try.
    """
    progress = True
    while progress and tries:
        progress = False
        for smaller in smaller_documents(document):
            if not _is_valid(smaller):
                continue
            tries -= 1
            if still_wrong(smaller):
                document, progress = smaller, True
                break
            if not tries:
                break
    return document


def smaller_documents(document: Document) -> Iterator[Document]:
    """Yield documents with something left out: large parts first, then each step, fault and setting."""
    for key in ("link", "ip"):
        if key in document:
            yield _without(document, (key,))
    for host in HOSTS:
        for key in ("sysctl", "route", "egress"):
            if key in document[host]:
                yield _without(document, (host, key))
    link = document.get("link", {})
    for key in link:
        yield _without(document, ("link", key))
    for at in range(len(link.get("faults", ()))):
        yield _without(document, ("link", "faults", at))
    for name in sorted({name for host in HOSTS for step in document[host]["steps"] for name in _connection(step)}):
        yield _without_steps(document, connection=name)
    for name in sorted({step["barrier"] for step in document["client"]["steps"] if "barrier" in step}):
        yield _without_steps(document, barrier=name)
    for host in HOSTS:
        steps = document[host]["steps"]
        half = len(steps) // 2
        if half > 3:
            yield _replaced(document, host, steps[:half])
    for host in HOSTS:
        for at in reversed(range(len(document[host]["steps"]))):
            yield _without(document, (host, "steps", at))


def _connection(step: dict[str, Any]) -> tuple[str, ...]:
    """Return the number of the connection that a step belongs to, none if it belongs to no single one."""
    names = [step.get("on"), step.get("as"), step.get("close"), step.get("dup")]
    return tuple({name.lstrip("abcdefghijklmnopqrstuvwxyz") or name for name in names if name})


def _without_steps(document: Document, *, connection: str = "", barrier: str = "") -> Document:
    smaller = copy.deepcopy(document)
    for host in HOSTS:
        smaller[host]["steps"] = [
            step
            for step in smaller[host]["steps"]
            if not (connection and connection in _connection(step)) and not (barrier and step.get("barrier") == barrier)
        ]
    return smaller


def _replaced(document: Document, host: str, steps: list[Document]) -> Document:
    smaller = copy.deepcopy(document)
    smaller[host]["steps"] = copy.deepcopy(steps)
    return smaller


def _without(document: Document, path: tuple[str | int, ...]) -> Document:
    smaller: Any = copy.deepcopy(document)
    at: Any = smaller
    for key in path[:-1]:
        at = at[key]
    del at[path[-1]]
    result: Document = smaller
    return result


def _is_valid(document: Document) -> bool:
    try:
        as_scenario(document, "smaller")
    except ScenarioError:
        return False
    return True


def size(document: Document) -> int:
    """Return how large a document is: steps, faults and settings."""
    link = document.get("link", {})
    settings = sum(len(document[host]) - 1 for host in HOSTS)
    return sum(len(document[host]["steps"]) for host in HOSTS) + len(link) + len(link.get("faults", ())) + settings
