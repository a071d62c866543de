"""All steps together: the type of any of them, and a host's steps followed in order.

A new step is a class in the module of its family, nothing else here; a new family is a module in :data:`FAMILIES`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from types import ModuleType
from typing import NamedTuple

from testbed.model import Host
from testbed.scenario.steps import (
    control_steps,
    ending_steps,
    opening_steps,
    process_steps,
    receiving_steps,
    sending_steps,
    waiting_steps,
)
from testbed.scenario.steps.open_sockets import Mistake, OpenSockets, Use
from testbed.scenario.steps.step import DEFINED, STEPS, Step

FAMILIES: dict[str, ModuleType] = {
    "Opening": opening_steps,
    "Sending": sending_steps,
    "Receiving": receiving_steps,
    "Ending": ending_steps,
    "Processes": process_steps,
    "Around the calls": control_steps,
    "Waiting for packets": waiting_steps,
}
"""The modules of the steps by the titles that the reference gives them."""
STEPS.update(
    (key, model)
    for module in FAMILIES.values()
    for key, model in DEFINED.items()
    if model.__module__ == module.__name__
)


class WrittenStep(NamedTuple):
    """A step where it is written: its number among all of its host's steps, and its path below ``steps``.

    ``processes`` is how many `fork` it lies within, ``loops`` how many `repeat`.
    """

    number: int
    path: tuple[str | int, ...]
    step: Step
    processes: int = 0
    loops: int = 0


class FollowedStep(NamedTuple):
    """A step as it is made, once in each round of the loops that it lies within.

    ``use`` are the sockets that it uses, ``mistakes`` what it cannot do. ``closing``: the steps that it holds are over.
    """

    written: WrittenStep
    use: Use
    mistakes: list[Mistake]
    closing: bool = False


def written(
    steps: tuple[Step, ...], *, path: tuple[str | int, ...] = (), first: int = 0, processes: int = 0, loops: int = 0
) -> Iterator[WrittenStep]:
    """Yield each step in the order in which they are written, those within others too, each once."""
    number = first
    for index, step in enumerate(steps):
        at = (*path, index)
        yield WrittenStep(number, at, step, processes, loops)
        inside = written(
            step.inner,
            path=(*at, "steps"),
            first=number + 1,
            processes=processes + step.makes_process,
            loops=loops + (bool(step.inner) and not step.makes_process),
        )
        number += 1
        for each in inside:
            yield each
            number += 1


def follow(steps: tuple[Step, ...], host: Host) -> Iterator[FollowedStep]:
    """Yield each step as often as it is made, in the order of the actor's script."""
    places = {id(each.step): each for each in written(steps)}
    yield from _follow(steps, OpenSockets(host), places, itertools.count())


def _follow(
    steps: tuple[Step, ...], sockets: OpenSockets, places: dict[int, WrittenStep], count: Iterator[int]
) -> Iterator[FollowedStep]:
    for step in steps:
        sockets.begin(next(count))
        use = step.act(sockets)
        yield FollowedStep(places[id(step)], use, sockets.mistakes)
        if not step.inner:
            continue
        for _ in range(step.rounds):
            yield from _follow(step.inner, sockets.child() if step.makes_process else sockets, places, count)
        yield FollowedStep(places[id(step)], use, [], closing=True)
