"""A program that waits for its observer behind ``hold`` (compose/hold/hold.c)."""

from __future__ import annotations

import errno

from testbed.lab.agent import AgentProcess, AgentRefused

_CANNOT_EXECUTE = {127: errno.ENOENT, 126: errno.EACCES}
"""How ``hold`` ends where the program cannot be executed."""


def refused_by_hold(process: AgentProcess) -> None:
    """Raise AgentRefused if ``hold`` ended because there is no such program, as the agent does."""
    ended = process.exit if process.ended.is_set() else None
    if ended is not None and ended.status in _CANNOT_EXECUTE:
        raise AgentRefused("execute", _CANNOT_EXECUTE[ended.status])
