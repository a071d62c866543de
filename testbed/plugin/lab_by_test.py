"""A lab whose programs a test starts: both ends are captured from its beginning to its end."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from testbed.api.host_command import command_line
from testbed.api.keeper_process import MODULE as KEEPER
from testbed.api.runs import RunResult, analyse_again
from testbed.lab.tcp_table import listens, parse
from testbed.model import Host
from testbed.model.errors import EngineError, LabTimeout, Unsupported, UsageError
from testbed.plugin.kept_reports import remember
from testbed.plugin.make_run import cannot, engine_of, runs_of
from testbed.run import kept_labs
from testbed.shipped.files import CODE

LIMIT = 60.0
"""Seconds in which a command must end, and a port must be open, if the test does not say otherwise."""


class LabByTest:
    """Two hosts that are up. ``result`` is there once the lab has ended: at the end of ``with``."""

    def __init__(
        self, item: pytest.Item, client: Mapping[str, Any], server: Mapping[str, Any], members: Mapping[str, Any]
    ) -> None:
        self._item = item
        self._source = {"summary": f"A lab of {item.name}", "client": {**client}, "server": {**server}, **members}
        self._lab: kept_labs.KeptLab | None = None
        self._running: list[subprocess.Popen[str]] = []
        self._result: RunResult | None = None

    @property
    def result(self) -> RunResult:
        """What both ends saw. Raises UsageError while the lab is still up."""
        if self._result is None:
            raise UsageError("the lab has no result before it has ended", hint="look at it after the `with` block")
        return self._result

    @property
    def addresses(self) -> Mapping[Host, str]:
        """The hosts' addresses; in a host each has its name too: ``server``."""
        return self._up.addresses

    @property
    def _up(self) -> kept_labs.KeptLab:
        if self._lab is None:
            raise UsageError("the lab is not up", hint="`with bothends.lab() as lab:`")
        return self._lab

    def __enter__(self) -> Self:
        import yaml  # as the scenarios are read

        for name in ("client", "server"):
            self._source[name] = {
                "command": "true",
                **self._source[name],
            }  # a scenario has programs; these do not start
        runs = runs_of(self._item.config).resolve()
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "lab.yaml"
            path.write_text(yaml.safe_dump(self._source, sort_keys=False), encoding="utf-8")
            try:
                name = engine_of(self._item.config).name
                self._lab = kept_labs.up(path, runs, name, keeper=KEEPER, outlives_us=False)
            except (EngineError, Unsupported) as error:
                cannot(self._item.config, error)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lab is None or self._result is not None:
            return
        lab, self._lab = self._lab, None
        self._result = analyse_again(kept_labs.down(lab))
        for process in self._running:  # their hosts are gone
            process.kill()
            process.communicate()
        remember(self._item, self._result)

    def start(
        self, host: Host, argv: Sequence[str], *, ready: int = 0, timeout: float = LIMIT
    ) -> subprocess.Popen[str]:
        """Start a program in a host; it ends with the lab. ``ready``: wait until this TCP port is listened on there.

        Raises LabTimeout if that takes longer than ``timeout`` seconds, or the program ends before.
        """
        process = self._begin(host, argv)
        self._running.append(process)
        deadline = time.monotonic() + timeout
        while ready and not self._listens(host, ready):
            if process.poll() is not None or time.monotonic() > deadline:
                ended = "ended" if process.poll() is not None else f"does not listen after {timeout:g} s"
                output = process.communicate()[0] if process.poll() is not None else ""
                self._running.remove(process)
                process.kill()
                raise LabTimeout(
                    f"port {ready} of the {host} is not open: `{' '.join(argv)}` {ended}", last_output=output
                )
            time.sleep(0.05)
        return process

    def run(
        self, host: Host, argv: Sequence[str], *, timeout: float = LIMIT, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in a host to its end; its output is ``stdout``, with what it wrote to standard error.

        Raises CalledProcessError for another exit status than 0 (unless ``check`` is false), TimeoutExpired.
        """
        process = self._begin(host, argv)
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        done = subprocess.CompletedProcess(list(argv), process.returncode, output)
        if check and done.returncode:
            raise subprocess.CalledProcessError(done.returncode, list(argv), output)
        return done

    def _begin(self, host: Host, argv: Sequence[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command_line(self._up, host, argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=CODE,
            env=os.environ,
            text=True,
            errors="replace",
        )

    def _listens(self, host: Host, port: int) -> bool:
        table = "cat /proc/net/tcp; tail -n +2 /proc/net/tcp6 2>/dev/null || true"
        return listens(parse(self.run(host, ["sh", "-c", table]).stdout), port)
