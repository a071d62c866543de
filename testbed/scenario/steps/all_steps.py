"""All steps together: the type of any of them, and a host's steps followed in order.

A new step is a class in the module of its family, nothing else here; a new family is a module in :data:`FAMILIES`.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING

from testbed.model import Host
from testbed.scenario.language.base import one_of
from testbed.scenario.steps import control_steps, ending_steps, opening_steps, receiving_steps, sending_steps
from testbed.scenario.steps.open_sockets import Mistake, OpenSockets, Use
from testbed.scenario.steps.step import DEFINED, Step

FAMILIES: dict[str, ModuleType] = {
    "Opening": opening_steps,
    "Sending": sending_steps,
    "Receiving": receiving_steps,
    "Ending": ending_steps,
    "Around the calls": control_steps,
}
"""The modules of the steps by the titles that the reference gives them."""
STEPS: dict[str, type[Step]] = {
    key: model for module in FAMILIES.values() for key, model in DEFINED.items() if model.__module__ == module.__name__
}
"""The class of each step by the key that names it, family by family."""
if TYPE_CHECKING:
    AnyStep = Step
else:
    AnyStep = one_of(STEPS)
"""A step of any kind, as pydantic reads it."""


def follow(steps: tuple[Step, ...], host: Host) -> Iterator[tuple[int, Step, Use, list[Mistake]]]:
    """Yield each step with its index, the sockets that it uses and its mistakes."""
    sockets = OpenSockets(host)
    for index, step in enumerate(steps):
        sockets.begin(index)
        use = step.act(sockets)
        yield index, step, use, sockets.mistakes
