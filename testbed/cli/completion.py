"""What invoke's completion in bash, zsh and fish lacks: the names of scenarios after a task that takes them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

TAKES_SCENARIOS = frozenset({"scenario", "scenarios", "what"})
"""Arguments whose values are names of scenarios."""


def names_to_offer(line: str, tasks: Mapping[str, Any]) -> list[str]:
    """Return the scenarios that may stand at the end of a command line, in order; none where something else does.

    ``line`` begins with the program's name, as the shells' scripts give it; ``tasks`` are those of ours.
    """
    try:
        words = shlex.split(line)[1:]
    except ValueError:  # a quote is open
        return []
    if not words or words[0] not in tasks or words[-1].startswith("-") or (len(words) == 1 and not line.endswith(" ")):
        return []
    if not TAKES_SCENARIOS & {argument.name for argument in tasks[words[0]].get_arguments() if argument.positional}:
        return []
    from testbed.api.project import read_project
    from testbed.scenario.catalogue import all_scenarios, name_of
    from testbed.shipped.files import ROOT

    own = read_project().scenarios
    return [name_of(path) for root in (*([own] if own else []), ROOT) for path in all_scenarios(root)]
