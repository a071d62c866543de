"""How tasks show what they do: progress, a run's summary, JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # each task imports what it needs
    from testbed.api.runs import RunResult
    from testbed.lab.engine_kind import Choice


def show_run(run: RunResult, *, as_json: bool, full: bool = False) -> None:
    """Print a run's summary, with ``full`` every call and packet; or what ``result.json`` holds."""
    if as_json:
        print_json(run.to_json())
        return
    from testbed.cli.shown_before import keeping
    from testbed.report.text.run_summary import Extent, console_for, render
    from testbed.rundir.layout import RunDirectory
    from testbed.rundir.manifest import meta

    with keeping(run.directory, show_words(full=full), run.outcome.exit_code):
        console, extent = console_for(sys.stdout)
        render(run.analysis, meta(RunDirectory(run.directory)), console, Extent.FULL if full else extent)


def show_words(*, full: bool) -> tuple[str, ...]:
    """Return by which words a printed summary is found again."""
    return ("show", "--full") if full else ("show",)


def say_why(choice: Choice) -> None:
    """Say on standard error why this engine was chosen, if nobody asked for it."""
    if choice.why:
        sys.stderr.write(f"{choice.why}\n")


def tell(text: str) -> None:
    """Print one line of progress on standard error."""
    sys.stderr.write(f"{text}\n")


@contextmanager
def show_progress(*, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Yield a function that shows what is going on: one changing line on a terminal, plain lines elsewhere."""
    if quiet:
        yield lambda _: None
        return
    one_line = sys.stderr.isatty()

    def show(text: str) -> None:
        sys.stderr.write(f"\r\x1b[K{text[:100]}" if one_line else f"{text}\n")
        sys.stderr.flush()

    try:
        yield show
    finally:
        if one_line:
            sys.stderr.write("\r\x1b[K")


def print_json(value: Any) -> None:  # noqa: ANN401 - anything JSON can hold
    """Print a value as JSON."""
    sys.stdout.write(json.dumps(value, indent=1, ensure_ascii=False) + "\n")
