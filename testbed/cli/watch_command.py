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
from testbed.report.html.watch_page import ShownRun, write_page
from testbed.run.interruption import ended_by_signals
from testbed.watch.happenings import MEANINGS, Happening
from testbed.watch.target import WAYS, parse_target
from testbed.watch.watch import watch
from testbed.watch.watch_order import Kept, Watched, WatchOrder

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
    shown = _Shown(order, outputs)
    with show_progress(quiet=outputs.quiet) as progress, ended_by_signals():
        program = _Command(command) if command else None
        try:
            watched = watch(
                targets,
                order,
                root=runs,
                progress=progress,
                meanwhile=program.has_ended if program is not None else lambda: False,
                on_kept=shown.take if order.every else lambda _: None,
            )
        finally:
            status = program.end() if program is not None else 0
    if not order.every:
        for kept in watched.kept:
            shown.take(kept)
    shown.end(watched, runs)
    if program is not None:
        return status
    return 1 if order.until is not None and watched.happened is None else 0


def print_overlay(names: Sequence[str], *, headers: bool) -> int:
    """Print a compose file that adds taps to services."""
    from testbed.cli.watch_options import HEADERS
    from testbed.lab.docker import images
    from testbed.watch.overlay import overlay

    targets = [parse_target(name) for name in names]
    sys.stdout.write(overlay(targets, images.reference("tap"), HEADERS if headers else 0))
    return 0


def evaluate_folder(folder: str, outputs: Outputs) -> int:
    """Print what the services of an overlay said to each other. Raises UsageError."""
    from testbed.watch.overlay import is_overlay_folder, runs_of

    if not is_overlay_folder(Path(folder)):
        raise UsageError(f"{folder} holds nothing that taps wrote", hint="`invoke watch A B --overlay > watch.yaml`")
    shown = _Shown(WatchOrder(), outputs)
    watched = Watched(list(runs_of(Path(folder))))
    for kept in watched.kept:
        shown.take(kept)
    if not watched.kept:
        sys.stderr.write("no two services said anything to each other\n")
    shown.end(watched, Path(folder))
    return 0


class _Shown:
    """Analyses each run as it is there, and prints it."""

    def __init__(self, order: WatchOrder, outputs: Outputs) -> None:
        self._order = order
        self._outputs = outputs
        self._shown: list[ShownRun] = []

    def take(self, kept: Kept) -> None:
        """Print one run."""
        if kept.one_end:
            self._take_one_end(kept)
            return
        from testbed.api.finish_run import FINISH
        from testbed.api.runs import analyse_again
        from testbed.rundir.layout import RESULT

        directory = kept.directory
        result = analyse_again(directory)
        FINISH.write(directory, result.analysis)
        directory.point_latest()
        self._shown.append(ShownRun(kept.client, kept.server, directory.path, result.analysis))
        if self._outputs.as_json:
            print_json(directory.read_json(RESULT))
        else:
            sys.stdout.write(f"client: {kept.client}, server: {kept.server}\n")
            show_run(result, as_json=False)
        if self._outputs.pages:
            from testbed.report import run_files

            run_files.write(directory, result.analysis)
            sys.stderr.write(f"{directory.file(run_files.PAGE)}\n")
        self._say(kept)

    def _take_one_end(self, kept: Kept) -> None:
        """Print what one capture shows."""
        from testbed.api.diagnosing import diagnose_files
        from testbed.report.text.finding_text import report_lines

        end = "client" if kept.directory.file("client.pcap").exists() else "server"
        path = kept.directory.file(f"{end}.pcap")
        diagnosed = diagnose_files(path)
        kept.directory.point_latest()
        if self._outputs.as_json:
            print_json(diagnosed.to_json())
        else:
            sys.stdout.write(f"client: {kept.client}, server: {kept.server}; captured at the {end} only: {path}\n")
            sys.stdout.writelines(f"{line}\n" for line in report_lines(diagnosed.diagnosis, diagnosed.flows))
        self._say(kept)

    def _say(self, kept: Kept) -> None:
        if self._order.until is not None and kept.happened is not None:
            sys.stderr.write(_until_text(kept.happened))

    def end(self, watched: Watched, runs: Path) -> None:
        """Print what there is to say of all."""
        for one, other in watched.silent:
            sys.stderr.write(f"{one} and {other} said nothing to each other\n")
        if watched.ended:
            sys.stderr.write(f"{watched.ended}\n")
        for each in watched.left:
            sys.stderr.write(f"{each}; `invoke clean` removes it\n")
        if self._order.until is not None and watched.happened is None:
            sys.stderr.write(_until_text(None))
        if len(self._shown) > 1:
            sys.stderr.write(f"{write_page(self._shown, runs)}\n")


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
