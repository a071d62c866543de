"""The namespace engine, as the commands see it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from testbed.lab.engine import Progress
from testbed.lab.engine_kind import Choice, EngineKind
from testbed.lab.fact import DoctorFinding
from testbed.lab.namespace import toolchain
from testbed.lab.namespace.namespace_engine import NamespaceEngine, Namespaces
from testbed.lab.remains import Remains
from testbed.model import Host


class NamespaceKind(EngineKind):
    """Labs of Linux namespaces on this machine. What its labs are made of goes with their processes."""

    name = NamespaceEngine.name
    title = "this machine"

    def choose(self) -> Choice:
        """Return the engine; whether this machine allows namespaces shows when a lab is made."""

        def prepare(progress: Progress) -> None:
            toolchain.provide(progress)

        return Choice(self.name, Namespaces(), prepare)

    def refusal(self) -> str:
        """Make namespaces for a moment: the kernel, or what guards it, may forbid them to a plain user."""
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        try:
            done = subprocess.run(["unshare", *user, "--net", "true"], capture_output=True, text=True, check=False)
        except OSError:
            return ""  # no such program: a lab will tell
        return f"this machine makes no namespaces for us ({done.stderr.strip()})" if done.returncode else ""

    def examine(self) -> Iterator[DoctorFinding]:
        """Make a lab."""
        from testbed.lab.namespace import namespace_doctor

        yield from namespace_doctor.examine()

    def clean(self, remains: Remains, *, foreign_too: bool) -> None:
        """Remove instances of tracefs: all else is gone with its processes."""
        from testbed.lab.namespace.namespace_trace import on_this_machine
        from testbed.lab.trace_instances import clean_instances

        recorder = on_this_machine()
        if recorder is not None:
            clean_instances(recorder, remains, foreign_too=foreign_too)

    def open_shell(
        self,
        run_id: str,
        manifest: Mapping[str, Any],
        host: Host,
        argv: Sequence[str],
        environment: Mapping[str, str],
    ) -> int:
        """Enter the namespaces of the host's agent."""
        del run_id
        launch = toolchain.provide(lambda _: None).launch
        # The probe is for the command alone: `launch` itself is not inside yet.
        inside = ("env", *(f"{name}={value}" for name, value in environment.items()), *argv)
        words = (str(launch), "enter", str(manifest["processes"][f"{host}-host"]), *inside)
        return subprocess.run(words, env={"PATH": environment["PATH"]}, check=False).returncode


KIND = NamespaceKind()
