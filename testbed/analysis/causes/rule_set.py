"""Rules bound to the causes that they explain: a function says which cause, the rows of the registry say the order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from testbed.analysis.causes.endpoint import Explanation
from testbed.model import CAUSES, CauseName, Crossing

State = TypeVar("State")
Rule = Callable[[State, Crossing], Explanation | None]
"""A rule: given what there was before a packet, and the packet, it explains it or not. It changes nothing."""
Stages = tuple[Mapping[CauseName, Rule[State]], ...]
"""Rules in the order in which they are tried, stage by stage; within a stage the order does not matter."""


class BoundRules(Generic[State]):
    """The rules of one module."""

    def __init__(self) -> None:
        self.bound: dict[CauseName, Rule[State]] = {}

    def explains(self, name: CauseName) -> Callable[[Rule[State]], Rule[State]]:
        """Bind the function below to a cause of the registry."""

        def bind(rule: Rule[State]) -> Rule[State]:
            self.bound[name] = rule
            return rule

        return bind


def in_stages(*sets: BoundRules[State]) -> Stages[State]:
    """Return the rules of some modules in the order of the registry's rows (``CauseTraits.unordered``)."""
    bound = {name: rule for each in sets for name, rule in each.bound.items()}
    stages: list[dict[CauseName, Rule[State]]] = []
    for name in (name for name in CAUSES if name in bound):
        if stages and CAUSES[name].unordered:
            stages[-1][name] = bound[name]
        else:
            stages.append({name: bound[name]})
    return tuple(stages)
