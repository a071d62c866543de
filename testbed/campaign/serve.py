"""The protocol of a campaign's worker process.

One JSON object a line: on standard input the plan and the campaign's directory, then tasks; on standard output a
report for each. The process ends with its input. It has a session of its own, so that Ctrl-C at the caller's terminal
does not reach it; SIGTERM ends it once the lab of its run is removed.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
from pathlib import Path

from testbed.campaign.task_list import Task
from testbed.campaign.work import Worker, encode, plan_from_json
from testbed.run.finish import Finish
from testbed.run.interruption import ended_by_signals


def serve_tasks(finish: Finish) -> None:
    """Carry tasks out until there are no more; ``finish`` is what is done with each run."""
    # Reports go out on a descriptor of their own: nothing that prints can get between them.
    reports = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    begin = json.loads(sys.stdin.readline())
    worker = Worker(plan_from_json(begin["plan"]), Path(begin["root"]), finish)
    with contextlib.suppress(KeyboardInterrupt), ended_by_signals():
        for number, line in enumerate(sys.stdin):
            order = json.loads(line)
            reports.write(encode(worker.run(Task(**order["task"]), order["known"]).to_json()))
            reports.flush()
            if not number:  # what the first run has loaded stays: the collector need not look through it for each one
                gc.collect()
                gc.freeze()
