"""Workers that can begin a task before they have reported the one before."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from testbed.campaign.pool import ProcessPool
from testbed.campaign.task_list import Plan, Task
from testbed.campaign.work import Report

WORKER = "tests.unit.campaign.early_worker"
PLAN = Plan(sources=(), variants={}, repeat=3, engine="namespace", keep="kinds")
LIMIT = 30.0
Ended = list[tuple[Task, Report | None]]


def _until(pool: ProcessPool, enough: Callable[[Ended], bool]) -> Ended:
    ended: Ended = []
    deadline = time.monotonic() + LIMIT
    while not enough(ended) and time.monotonic() < deadline:
        ended += pool.wait(0.1)
    assert enough(ended)
    return ended


def test_a_free_worker_gets_the_next_task_and_one_that_dies_loses_all_it_had(tmp_path: Path) -> None:
    """There is room once it says so; its report is told when it comes; of two tasks that it has, both are lost."""
    one, two, three = (Task("some", 0, repeat) for repeat in range(3))
    pool = ProcessPool(PLAN, tmp_path, 1, worker=WORKER)
    try:
        assert pool.room() == 1
        pool.submit(one, ())
        assert pool.room() == 0
        assert _until(pool, lambda _: pool.room() == 1) == []
        pool.submit(two, ())
        assert pool.room() == 0
        ended = _until(pool, lambda ended: bool(ended) and pool.room() == 1)
        assert [(task, report is not None) for task, report in ended] == [(one, True)]
        assert len(pool.pids()) == 1
        pool.submit(three, ())
        assert _until(pool, bool) == [(two, None), (three, None)]
        assert (pool.room(), pool.pids()) == (1, [])
    finally:
        pool.close()
