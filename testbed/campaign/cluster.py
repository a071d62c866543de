"""A campaign on a Dask cluster: each worker that offers the resource ``lab`` makes runs with its own engine.

Dask repeats what a lost worker had begun. A task has one key, so it is one task however often it is begun, and what
comes back is put in its place once. Errors of Dask become ours here.
"""

from __future__ import annotations

import logging
import pickle
import queue
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.campaign.remote import Parcel, order_for, unpack
from testbed.campaign.task_list import Plan, Task
from testbed.campaign.work import Report, failed
from testbed.model import Outcome
from testbed.model.errors import EngineError, Unsupported, UsageError

if TYPE_CHECKING:
    from distributed import Client, Future

LAB = "lab"
"""The resource of which a run takes one: a worker offers as many as it can make labs at once."""
CONNECT_TIMEOUT = 10.0
PATIENCE = 60.0
"""Seconds without any lab after which a campaign gives up."""
_LOOK = 0.5
"""Seconds for which an answer of the scheduler is taken for true."""


class Cluster:
    """The connection to a scheduler.

    Raises EngineError unless one answers and offers labs, UsageError for what is no address, Unsupported without Dask.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.client = _connect(address)
        self._workers, self._labs, self._looked = 0, 0, 0.0
        self._last_lab = time.monotonic()
        if not self.labs():
            self.close()
            raise EngineError(f"the cluster {address} offers no labs", state=self.state, hint=self._hint)

    def labs(self) -> int:
        """Return how many labs all workers offer together."""
        if time.monotonic() - self._looked > _LOOK:
            with self.translated():
                workers = self.client.scheduler_info()["workers"].values()
            self._workers = len(workers)
            self._labs = int(sum(worker["resources"].get(LAB, 0) for worker in workers))
            self._looked = time.monotonic()
            if self._labs:
                self._last_lab = self._looked
        return self._labs

    @property
    def state(self) -> str:
        """What there was at the last look."""
        return f"workers: {self._workers}, labs: {self._labs}"

    def check(self) -> None:
        """Raise EngineError if there has been no lab for PATIENCE seconds."""
        if not self.labs() and time.monotonic() - self._last_lab > PATIENCE:
            raise EngineError(
                f"the cluster {self.address} has offered no lab for {PATIENCE:g} s", state=self.state, hint=self._hint
            )

    def close(self) -> None:
        """Leave the cluster; its workers go on without us."""
        self.client.close()

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn what Dask's client raises where the scheduler is gone into an EngineError; anything else is a bug.

        What a task raised on a worker must not get in here: its errors say nothing of the scheduler.
        """
        from distributed.client import FutureCancelledError

        try:
            yield
        except Exception as error:
            lost = isinstance(error, FutureCancelledError | OSError | TimeoutError)
            if not lost and self.client.status != "closed":  # which it is once it has given the scheduler up
                raise
            raise EngineError(f"the scheduler at {self.address} is gone", state=str(error)) from error

    @property
    def _hint(self) -> str:
        return f'`dask worker {self.address} --resources "{LAB}=2"` on each machine that shall make labs'


class ClusterPool:
    """Gives tasks to a cluster, as many at a time as its workers offer labs, at most ``jobs`` if that is not 0.

    ``worker`` is the module whose ``carry_out_order`` a worker calls.
    """

    def __init__(self, cluster: Cluster, plan: Plan, root: Path, jobs: int, *, worker: str) -> None:
        self._cluster, self._plan, self._root, self._jobs = cluster, plan, root, jobs
        self._sources = {source.name: source for source in plan.sources}
        self._ended: queue.SimpleQueue[Future[Parcel]] = queue.SimpleQueue()
        self._running: dict[str, tuple[Task, Future[Parcel]]] = {}
        self._carry_out = _by_value(worker)

    def room(self) -> int:
        """Return how many labs are free."""
        labs = self._cluster.labs()
        return max(0, (min(labs, self._jobs) if self._jobs else labs) - len(self._running))

    def submit(self, task: Task, known: Collection[str]) -> None:
        """Give a task to the cluster."""
        settings = self._plan.variants[task.scenario][task.variant]
        order = pickle.dumps(order_for(task, self._sources[task.scenario], settings, self._plan.engine, known))
        key = f"bothends-{self._root.name}-{task.key}"
        with self._cluster.translated():
            future = self._cluster.client.submit(self._carry_out, order, key=key, resources={LAB: 1}, pure=False)
        self._running[key] = (task, future)
        future.add_done_callback(self._ended.put)

    def wait(self, timeout: float) -> list[tuple[Task, Report | None]]:
        """Return what has ended. EngineError if the cluster is gone, or has had no lab for too long."""
        try:
            futures = [self._ended.get(timeout=timeout)]
        except queue.Empty:
            self._cluster.check()
            return []
        while not self._ended.empty():
            futures.append(self._ended.get())
        return [self._take(future) for future in futures]

    def close(self) -> None:
        """Leave the cluster."""
        self._cluster.close()

    def kill(self) -> None:
        """Cancel queued runs and disconnect; running ones finish and are ignored."""
        for _, future in self._running.values():
            future.release()
        self.close()

    def _take(self, future: Future[Parcel]) -> tuple[Task, Report | None]:
        from distributed import KilledWorker

        task, _ = self._running.pop(str(future.key))
        try:
            with self._cluster.translated():
                failure = future.exception()
            if isinstance(failure, KilledWorker):
                tries = failure.allowed_failures + 1
                return task, failed(task, f"its worker died {tries} times", Outcome.INCONCLUSIVE, 0.0)
            if isinstance(failure, ImportError):
                raise EngineError(
                    f"a worker of {self._cluster.address} cannot carry out a run",
                    state=f"{type(failure).__name__}: {failure}",
                    hint="start workers from the same state of the repository, with all that requirements.txt names",
                ) from failure
            if failure is not None:
                future.result()  # raises it with the worker's traceback: one of our own errors, or a bug
            with self._cluster.translated():
                parcel = future.result()
        finally:
            future.release()
        unpack(parcel, self._root)
        return task, parcel.report


def _by_value(worker: str) -> Callable[[bytes], Parcel]:
    """Return what a worker is given to call. It raises ImportError where the worker's program is not the caller's.

    The scheduler reads it too, and need not have this program: so the function is no module's, and is sent itself.
    """

    def carry_out(order: bytes) -> Parcel:
        import importlib

        module = importlib.import_module(worker)
        if not hasattr(module, "carry_out_order"):
            raise ImportError(f"{worker} has no function carry_out_order")
        parcel: Parcel = module.carry_out_order(order)
        return parcel

    return carry_out


def _connect(address: str) -> Client:
    try:
        from distributed import Client
        from distributed.comm.addressing import resolve_address
    except ImportError as error:
        raise Unsupported("--on needs Dask's `distributed`", hint="pip install distributed") from error
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what goes wrong is reported once, by us
    try:
        resolve_address(address)
        return Client(address, timeout=CONNECT_TIMEOUT, set_as_default=False)
    except ValueError as error:
        raise UsageError(f"`{address}` is no address of a scheduler: {error}", hint="--on tcp://HOST:8786") from error
    except OSError as error:  # also TimeoutError
        raise EngineError(
            f"no Dask scheduler answers at {address}", state=str(error), hint="`dask scheduler` starts one"
        ) from error
