"""``invoke watch``: two programs that already run, captured at both ends, and the summary of what was seen."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from testbed.cli.outputs import Outputs
from testbed.cli.progress import print_json, show_progress, show_run
from testbed.model.errors import UsageError
from testbed.run.interruption import ended_by_signals
from testbed.watch.happenings import MEANINGS, Happening
from testbed.watch.target import WAYS, parse_target
from testbed.watch.watch import Watched, WatchOrder, watch

_END_TIMEOUT = 10.0


def watch_targets(
    names: Sequence[str], order: WatchOrder, *, runs: Path, outputs: Outputs, command: Sequence[str]
) -> int:
    """Watch, and print what each pair said to each other.

    Exit code: the command's, where one is given; with ``until`` 0 if it happened and 1 if not; else 0.
    """
    if len(names) < 2:
        raise UsageError("name at least two targets", hint=WAYS)
    targets = [parse_target(name) for name in names]
    with show_progress(quiet=outputs.quiet) as progress, ended_by_signals():
        program = _Command(command) if command else None
        try:
            watched = watch(
                targets,
                order,
                root=runs,
                progress=progress,
                meanwhile=program.has_ended if program is not None else lambda: False,
            )
        finally:
            status = program.end() if program is not None else 0
    _show(watched, order, outputs)
    if program is not None:
        return status
    return 1 if order.until is not None and watched.happened is None else 0


def _show(watched: Watched, order: WatchOrder, outputs: Outputs) -> None:
    from testbed.api.finish_run import FINISH
    from testbed.api.runs import analyse_again
    from testbed.rundir.layout import RESULT

    for directory in watched.runs:
        result = analyse_again(directory)
        FINISH.write(directory, result.analysis)
        directory.point_latest()
        if outputs.as_json:
            print_json(directory.read_json(RESULT))
        else:
            show_run(result, as_json=False)
        if outputs.pages:
            from testbed.report import run_files

            run_files.write(directory, result.analysis)
            sys.stderr.write(f"{directory.file(run_files.PAGE)}\n")
    for one, other in watched.silent:
        sys.stderr.write(f"{one} and {other} said nothing to each other\n")
    if watched.ended:
        sys.stderr.write(f"{watched.ended}\n")
    if order.until is not None:
        sys.stderr.write(_until_text(watched.happened))


def _until_text(happened: Happening | None) -> str:
    if happened is None:
        return "it did not happen\n"
    meaning = MEANINGS.get(happened.name, happened.name)
    return f"it happened: {meaning}, from {happened.source} to {happened.destination}\n"


class _Command:
    """A command that runs while its programs are watched; it is started as watching has begun."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        self._process: subprocess.Popen[bytes] | None = None

    def has_ended(self) -> bool:
        """Start it when this is first asked; say whether it has ended."""
        if self._process is None:
            try:
                self._process = subprocess.Popen(self._words)
            except OSError as error:
                raise UsageError(f"`{shlex.join(self._words)}` cannot be started: {error.strerror}") from error
        return self._process.poll() is not None

    def end(self) -> int:
        """End it if it still runs; return its exit status, as a shell would."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_END_TIMEOUT)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        status = self._process.returncode
        return status if status >= 0 else 128 - status
