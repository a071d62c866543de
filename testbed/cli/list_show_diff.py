"""What the tasks that look at scenarios and runs do: list, show, diff."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from testbed.cli.how_called import in_callers_words
from testbed.cli.progress import print_json, show_run, show_words
from testbed.model.errors import UsageError
from testbed.rundir.layout import RUNS, RunDirectory
from testbed.rundir.layout import find as find_run

if TYPE_CHECKING:
    from testbed.report.run_difference import Told


def list_scenarios(*catalogues: Path, as_json: bool) -> int:
    """Print what is in the catalogues; one line a scenario unless it is read on a terminal."""
    from testbed.report.text.scenario_list import scenario_list
    from testbed.scenario.catalogue import all_scenarios
    from testbed.scenario.heading import heading

    headings = [heading(path) for catalogue in catalogues for path in all_scenarios(catalogue)]
    if as_json:
        print_json([each._asdict() for each in headings])
        return 0
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    sys.stdout.writelines(f"{line}\n" for line in scenario_list(headings, width))
    return 0


def show(what: str, *, catalogue: Path, runs: Path, as_json: bool, full: bool = False) -> int:
    """Print a run's summary (``full``: with every call and packet), or a scenario's source.

    It is worked out from the run's directory, or as it was printed before if neither that nor the program has changed.
    """
    directory = find_run(what, runs)
    if directory is not None:
        from testbed.cli.shown_before import shown_before

        before = None if as_json else shown_before(directory.path, show_words(full=full))
        if before is not None:
            sys.stdout.write(before[0])
            return before[1]
        from testbed.api.runs import analyse_again
        from testbed.rundir.broken_files import read_from

        result = analyse_again(directory)
        with read_from(directory):
            show_run(result, as_json=as_json, full=full)
        return result.outcome.exit_code
    from testbed.scenario.catalogue import find
    from testbed.scenario.load import load

    scenario = load(find(what, catalogue))
    if as_json:
        print_json({"name": scenario.name, "path": str(scenario.path), "source": scenario.source})
        return 0
    sys.stdout.write(f"# {scenario.path}\n{scenario.source}")
    latest = runs / RUNS / scenario.name / "latest"
    if latest.exists():
        sys.stdout.write(in_callers_words(f"# last run: `invoke show {scenario.name}/latest`\n"))
    return 0


def diff(one: str, other: str, *, runs: Path, as_json: bool, html: str = "", exact: bool = False) -> int:
    """Print where two runs differ, both worked out anew from their directories; 0 if nowhere, else 1.

    ``html`` is the file that a page of it is written to. With ``exact`` what both recorded is compared, byte by byte.
    """
    from testbed.report.run_difference import compare, lines
    from testbed.report.text.exact_text import IDENTICAL, exact_lines
    from testbed.run.exact_difference import exact_differences

    pair = [_analysed_again(name, runs) for name in (one, other)]
    bits = exact_differences(*(RunDirectory(Path(each.name)) for each in pair))
    if exact:
        if as_json:
            print_json([asdict(each) for each in bits])
        else:
            sys.stdout.writelines(f"{line}\n" for line in exact_lines(bits))
        return 1 if bits else 0
    sections = compare(*pair)
    if html:
        _write_difference(Path(html), *pair)
    if as_json:
        print_json([asdict(section) for section in sections])
    else:
        told = lines(sections, *(each.name for each in pair)) if sections or bits else [IDENTICAL]
        sys.stdout.writelines(f"{line}\n" for line in told)
    return 1 if sections else 0


def _write_difference(target: Path, one: Told, other: Told) -> None:
    """Write the page of two runs; it links to their own pages where there are any."""
    from testbed.report.html.diff_page import render
    from testbed.report.run_files import PAGE

    reports = [Path(each.name).resolve() / PAGE for each in (one, other)]
    here = target.resolve().parent
    links = [quote(os.path.relpath(page, here)) if page.exists() else "" for page in reports]
    try:
        target.write_text(render(one, other, (links[0], links[1])), encoding="utf-8")
    except OSError as problem:
        raise UsageError(f"{target}: {problem.strerror or problem}") from problem


def _analysed_again(name: str, runs: Path) -> Told:
    from testbed.api.runs import load_run
    from testbed.report.run_difference import Told
    from testbed.rundir.broken_files import read_from
    from testbed.rundir.layout import MANIFEST

    result = load_run(name, runs=runs)
    directory = RunDirectory(result.directory)
    with read_from(directory):
        return Told(str(directory), result.to_json(), directory.read_json(MANIFEST))
