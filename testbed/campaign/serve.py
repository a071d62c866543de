"""The protocol of a campaign's worker process.

One JSON object a line: on standard input the plan and the campaign's directory, then tasks; on standard output
:data:`FREE` once the next task can be begun, and a report for each, in the same order. So the next run's lab is made,
which is mostly waiting for the kernel, while the last run is evaluated and its lab goes down. The process ends with its
input. It has a session of its own, so that Ctrl-C at the caller's terminal does not reach it; SIGTERM ends it once the
lab of its run is removed.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from testbed.campaign.task_list import Task
from testbed.campaign.work import Report, Worker, encode, plan_from_json
from testbed.run.finish import Finish
from testbed.run.interruption import ended_by_signals

FREE = {"free": True}


def serve_tasks(finish: Finish) -> None:
    """Carry tasks out until there are no more; ``finish`` is what is done with each run."""
    # Reports go out on a descriptor of their own: nothing that prints can get between them.
    reports = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    begin = json.loads(sys.stdin.readline())
    worker = Worker(plan_from_json(begin["plan"]), Path(begin["root"]), finish)

    def tell(value: dict[str, Any]) -> None:
        reports.write(encode(value))
        reports.flush()

    def finish_run(end: Callable[[], Report]) -> None:
        tell(end().to_json())

    with contextlib.suppress(KeyboardInterrupt), ended_by_signals(), ThreadPoolExecutor(1) as evaluating:
        last: Future[None] | None = None
        for number, line in enumerate(sys.stdin):
            order = json.loads(line)
            end = worker.begin(Task(**order["task"]), order["known"])
            if last is not None:
                last.result()  # an error here is a bug of ours, and ends this process
            if number == 1:  # what the first run has loaded stays: the collector need not look through it for each one
                gc.collect()
                gc.freeze()
            last = evaluating.submit(finish_run, end)
            tell(FREE)
        if last is not None:
            last.result()
