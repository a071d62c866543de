"""The engine of a worker process that makes many runs, one after the other."""

from __future__ import annotations

from functools import cache
from multiprocessing.util import Finalize

from testbed.lab.choose_engine import NAMESPACE, choose
from testbed.lab.engine_kind import EngineFactory, keep_up


@cache
def kept_engine() -> EngineFactory:
    """Return the namespace engine; what its labs share is kept until this process of a pool ends."""
    made = choose(NAMESPACE).make
    Finalize(None, keep_up(made), exitpriority=1)  # processes of a pool run nothing else at their end
    return made
