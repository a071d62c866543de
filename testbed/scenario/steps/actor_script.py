"""Steps compiled into the actor's script (docs/protocols.md, "Actor script")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from testbed.scenario.steps.all_steps import follow
from testbed.scenario.steps.step import ScriptContext, Step


def actor_script(
    steps: tuple[Step, ...], *, family: Literal["inet", "inet6"], addresses: Mapping[str, str], seed: int
) -> str:
    """Return the script for the steps of one host; each line begins with the number of its step.

    ``family`` is that of sockets for which the scenario names none; ``addresses`` are those of both hosts in the lab,
    by their names; ``seed`` makes the pattern of ``size``, which goes on over the
    sends of one socket. The steps must have passed the scenario's checks.
    """
    lines = []
    # Which host these steps belong to matters only to the checks, which were made on loading.
    for (number, _, step, *_), use, _, closing in follow(steps, "client"):
        own: Literal["inet", "inet6"] = {4: "inet", 6: "inet6", None: family}[use.version]
        context = ScriptContext(own, addresses, seed, number)
        made = step.closing_lines() if closing else step.lines(use, context)
        lines += [f"{number} {line}" for line in made]
    return "\n".join([*lines, "end", ""])
