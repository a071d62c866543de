"""Where the tasks of a campaign are carried out: worker processes on this machine that live as long as it does."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

from testbed.campaign.serve import FREE
from testbed.campaign.task_list import Plan, Task
from testbed.campaign.work import Report, encode, plan_to_json
from testbed.shipped.files import CODE

_CHUNK = 1 << 16
_TAKE_DOWN = 30.0
"""Seconds that a worker has to remove its lab."""


class Pool(Protocol):
    """Carries tasks out side by side."""

    def room(self) -> int:
        """Return how many more tasks it can begin at once."""

    def submit(self, task: Task, known: Collection[str]) -> None:
        """Begin a task; there must be room. ``known`` are signatures of which no more run directories are wanted."""

    def wait(self, timeout: float) -> list[tuple[Task, Report | None]]:
        """Return the tasks that have ended, waiting for one or for room if there is none; None: its worker was lost."""

    def close(self) -> None:
        """End the workers once their tasks have ended."""

    def kill(self) -> None:
        """End the workers without waiting for the ends of their runs."""


class _Process:
    def __init__(self, plan: Plan, root: Path, worker: str) -> None:
        self.tasks: list[Task] = []
        """Those that it has begun and not reported."""
        self.is_free = True
        """Whether the next can be begun."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", worker],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            cwd=CODE,
        )
        assert self.process.stdin is not None  # noqa: S101 - pipes were asked for
        assert self.process.stdout is not None  # noqa: S101
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        self._buffer = b""
        self.tell(encode({"plan": plan_to_json(plan), "root": str(root)}))

    def tell(self, line: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):  # its end shows on its output
            self.stdin.write(line)
            self.stdin.flush()

    def take(self) -> list[Report]:
        """Read what there is; return the reports that are whole. Raises EOFError when the process is gone."""
        data = os.read(self.stdout.fileno(), _CHUNK)
        if not data:
            raise EOFError
        self._buffer += data
        *lines, self._buffer = self._buffer.split(b"\n")
        told = [json.loads(line) for line in lines]
        reports = [Report.from_json(value) for value in told if value != FREE]
        self.tasks = [task for task in self.tasks if task not in [report.task for report in reports]]
        self.is_free = self.is_free or FREE in told or not self.tasks
        return reports

    def end(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self.stdin.close()
        self.process.wait()
        self.stdout.close()


class ProcessPool:
    """``jobs`` processes; one that dies is replaced, and its task reported as lost.

    ``worker`` is the module that a process runs: it calls :func:`testbed.campaign.serve.serve_tasks` with what is to
    be done with each run.
    """

    def __init__(self, plan: Plan, root: Path, jobs: int, *, worker: str) -> None:
        self._plan, self._root, self._jobs, self._worker = plan, root, jobs, worker
        self._selector = selectors.DefaultSelector()
        self._workers: list[_Process] = []

    def room(self) -> int:
        """Return how many workers have nothing to do, counting those that are not started yet."""
        return self._jobs - sum(not worker.is_free for worker in self._workers)

    def submit(self, task: Task, known: Collection[str]) -> None:
        """Give a task to an idle worker, starting one if there is none."""
        worker = next((worker for worker in self._workers if worker.is_free), None)
        if worker is None:
            worker = _Process(self._plan, self._root, self._worker)
            self._workers.append(worker)
            self._selector.register(worker.stdout, selectors.EVENT_READ, worker)
        worker.tasks.append(task)
        worker.is_free = False
        worker.tell(encode({"task": asdict(task), "known": sorted(known)}))

    def wait(self, timeout: float) -> list[tuple[Task, Report | None]]:
        """Return what has ended."""
        ended: list[tuple[Task, Report | None]] = []
        for chosen, _ in self._selector.select(timeout):
            worker: _Process = chosen.data
            try:
                reports = worker.take()
            except EOFError:
                self._selector.unregister(worker.stdout)
                self._workers.remove(worker)
                worker.end()
                ended += [(task, None) for task in worker.tasks]
                continue
            ended += [(report.task, report) for report in reports]
        return ended

    def pids(self) -> list[int]:
        """Return the workers' process ids."""
        return [worker.process.pid for worker in self._workers]

    def close(self) -> None:
        """Close every worker's input and wait for its end."""
        for worker in self._workers:
            worker.end()
        self._workers.clear()
        self._selector.close()

    def kill(self) -> None:
        """End the workers, which remove their labs; kill those that have not ended in time, or at one more Ctrl-C."""
        for worker in self._workers:
            worker.process.terminate()
        deadline = time.monotonic() + _TAKE_DOWN
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            for worker in self._workers:
                worker.process.wait(max(deadline - time.monotonic(), 0.0))
        for worker in self._workers:
            worker.process.kill()
        self.close()
