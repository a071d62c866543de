"""The engine with kernels of our own, as the commands see it."""

from __future__ import annotations

import atexit
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from testbed.lab.engine import Progress
from testbed.lab.engine_kind import Choice, Conversation, EngineKind, InsideFactory
from testbed.lab.fact import DoctorFinding
from testbed.lab.namespace import toolchain
from testbed.lab.remains import Remains
from testbed.lab.uml import kernel_store
from testbed.lab.uml.guest import Guest, abandoned
from testbed.model import Host
from testbed.model.errors import Unsupported

WORKER = ("testbed.run.inside",)
_IMPORTED_LATER = (
    "testbed.observe.calls_jsonl",
    "testbed.observe.kernel.kernel_jsonl",
    "testbed.observe.kernel.trace_recording",
    "testbed.observe.probe.probe_log",
    "testbed.observe.trace.complete_log",
    "testbed.capture.arrivals",
    "testbed.capture.directions",
    "testbed.scenario.read_own_files",
)
"""What the worker imports when a run first needs it."""
MOST_GUESTS = 3
"""Kernels that one process keeps up at a time: variants of one scenario on several of them take turns."""


class Guests(InsideFactory):
    """Makes runs in kernels, each in one of its own unless they are kept up; all of them end with this process."""

    def __init__(self) -> None:
        self._up: dict[tuple[str, bool], Guest] = {}
        atexit.register(self.close)

    def carry_out(
        self,
        order: bytes,
        *,
        kernel: str,
        real_time: bool,
        seed: int,
        progress: Progress,
        conversation: Conversation | None = None,
    ) -> bytes:
        """Have an order carried out; the kernel is started if it is not up. Raises BothendsError as it may be."""
        chosen = kernel_store.choose_kernel(kernel)
        key = chosen.about.release, real_time
        guest = self._up.get(key)
        try:
            if guest is not None and guest.is_up:
                return guest.order(order, progress)
            self._make_room()
            progress(f"starting Linux {chosen.about.release}")
            guest = self._up[key] = Guest(
                chosen, WORKER, progress, first=order, real_time=real_time, seed=seed, modules=_IMPORTED_LATER
            )
            return guest.answer(progress, conversation)
        except BaseException:
            self._end(key)
            raise
        finally:
            if not self.keep_up:
                self._end(key)

    def close(self) -> None:
        """End all kernels."""
        for key in list(self._up):
            self._end(key)

    def _end(self, key: tuple[str, bool]) -> None:
        guest = self._up.pop(key, None)
        if guest is not None:
            guest.close()

    def _make_room(self) -> None:
        while len(self._up) >= MOST_GUESTS:
            self._end(next(iter(self._up)))


class UmlKind(EngineKind):
    """Labs in a kernel that is an ordinary program: no root, no user namespaces, no Docker, no /dev/kvm."""

    name = "uml"
    title = "kernels of our own"

    def choose(self) -> Choice:
        """Return the engine. Raises Unsupported where it is not for this machine, or no kernel was built."""
        if not kernel_store.is_executable_here():
            raise Unsupported("kernels of our own (User-Mode Linux) are for Linux on x86-64", hint="--engine docker")
        kernel_store.choose_kernel()

        def prepare(progress: Progress) -> None:
            toolchain.provide(progress)

        return Choice(self.name, Guests(), prepare)

    def examine(self) -> Iterator[DoctorFinding]:
        """Start a kernel."""
        from testbed.lab.uml import uml_doctor

        yield from uml_doctor.examine()

    def clean(self, remains: Remains, *, foreign_too: bool) -> None:
        """Remove the directories of kernels that were killed with their runner; nothing else stays of them."""
        del foreign_too
        for directory in abandoned():
            shutil.rmtree(directory, ignore_errors=True)
            remains.removed.append(f"{directory}, of a kernel that is gone")

    def open_shell(
        self,
        run_id: str,
        manifest: Mapping[str, Any],
        host: Host,
        argv: Sequence[str],
        environment: Mapping[str, str],
    ) -> int:
        """Have the command started inside the kernel, and be its terminal."""
        del run_id
        from testbed.lab.uml import guest_shell

        launch = toolchain.provide(lambda _: None).launch
        inside = ("env", *(f"{name}={value}" for name, value in environment.items()), *argv)
        words = (str(launch), "enter", str(manifest["processes"][f"{host}-host"]), *inside)
        return guest_shell.be_terminal(Path(manifest["guest"]), words, environment["PATH"])


KIND = UmlKind()
