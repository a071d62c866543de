"""The tasks that look at scenarios, runs and captures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from invoke import Context, task

from testbed.cli.report_errors import report_errors
from testbed.shipped.files import ROOT
from testbed.tasks.settings import project


@task(name="list", help={"json": "print JSON"})
@report_errors
def list_(context: Context, json: bool = False) -> int:
    """List the scenarios, your own first: name, summary, tags."""
    from testbed.cli import list_show_diff

    own = project(context).scenarios
    return list_show_diff.list_scenarios(*([own] if own else []), ROOT, as_json=json)


@task(
    help={
        "what": "a scenario's name or path, or a run: its directory, its id, or SCENARIO/latest",
        "runs": "directory that holds runs/ (default: here)",
        "json": "print JSON",
        "full": "show every call and every packet, and no sentence cut",
    }
)
@report_errors
def show(context: Context, what: str, runs: str = "", json: bool = False, full: bool = False) -> int:
    """Show a scenario, or the summary of a run, analysed again from its directory.

    Examples: invoke show echo
              invoke show echo/latest
              invoke show echo/latest --full
    """
    from testbed.cli import list_show_diff

    mine = project(context)
    return list_show_diff.show(mine.path_of(what), catalogue=ROOT, runs=mine.runs_in(runs), as_json=json, full=full)


@task(
    help={
        "one": "a run: its directory, its id, or SCENARIO/latest",
        "other": "another run, made here or copied from another machine",
        "runs": "directory that holds runs/ (default: here)",
        "json": "print JSON",
        "html": "write a page with both runs side by side to this file",
        "exact": "compare what was recorded byte by byte, times to the nanosecond",
    }
)
@report_errors
def diff(
    context: Context, one: str, other: str, runs: str = "", json: bool = False, html: str = "", exact: bool = False
) -> int:
    """Show where two runs differ: calls, packets, causes, ledger, and conditions such as sysctls and versions.

    Exit code: 0 if only times, addresses and ids differ (with --exact: if nothing recorded differs), else 1.

    Example: invoke diff echo/latest 3f9a01bc
    """
    from testbed.cli import list_show_diff

    return list_show_diff.diff(one, other, runs=project(context).runs_in(runs), as_json=json, html=html, exact=exact)


@task(
    help={
        "run": "its directory, its id, or SCENARIO/latest; or a campaign: its directory, its id, or latest",
        "runs": "directory that holds runs/ (default: here)",
        "junit": "also write JUnit XML to this file",
        "tap": "also write a Test Anything Protocol (TAP) report to this file",
        "markdown": "also write a Markdown summary to this file",
    }
)
@report_errors
def report(context: Context, run: str, runs: str = "", junit: str = "", tap: str = "", markdown: str = "") -> int:
    """Write report.html, annotated.pcapng and result.json of a run again from its directory, or a campaign's page.

    Examples: invoke report echo/latest
              invoke report latest
    """
    from testbed.cli import report_commands

    return report_commands.report(run, runs=project(context).runs_in(runs), ci=_ci_files(junit, tap, markdown))


@task(
    name="open",
    help={
        "run": "its directory, its id, or SCENARIO/latest; or a campaign: its directory, its id, or latest",
        "runs": "directory that holds runs/ (default: here)",
        "serve": "serve the page on 127.0.0.1 instead of opening a browser",
        "port": "serve on this port (default: a free one)",
    },
)
@report_errors
def open_(context: Context, run: str, runs: str = "", serve: bool = False, port: int = 0) -> int:
    """Open the page of a run or a campaign in a browser; serve it where there is no browser."""
    from testbed.cli import report_commands

    return report_commands.open_page(run, runs=project(context).runs_in(runs), serve=serve, port=port)


@task(
    positional=["what"],
    iterable=["what"],
    help={
        "what": "runs or campaigns (directory, id, SCENARIO/latest), or one capture, or two of the same traffic",
        "runs": "directory that holds runs/ (default: here)",
        "json": "print one JSON object for each run, or for the captures",
        "thorough": "of large captures look at more packets one by one (seconds)",
    },
)
@report_errors
def diagnose(context: Context, what: list[str], runs: str = "", json: bool = False, thorough: bool = False) -> int:
    """Say what is wrong: who did it, what proves it, what it cost, what to do. Exit code: 1 for errors and warnings.

    Examples: invoke diagnose echo/latest
              invoke diagnose client.pcap server.pcap
    """
    from testbed.cli import diagnose_command

    return diagnose_command.diagnose(what, runs=project(context).runs_in(runs), as_json=json, thorough=thorough)


@task(
    positional=["captures"],
    iterable=["captures"],
    help={
        "captures": "the client's end and the server's (pcap or pcapng, also gz or zstd; `-`: standard input; a quoted "
        "pattern such as `ring*.pcap`: several files); one, or three and more along a path",
        "json": "print JSON instead of the summary",
        "csv": "write one row per packet to this file",
        "merged": "write both captures to this pcapng file, as interfaces `client` and `server`, on one clock",
        "diff-pcap": "write only the packets that differ to this pcapng file",
        "html": "write a page with both captures as a ladder to this file",
        "fail-on": "differences that give exit code 1: lost,appeared,altered,... (default: all but offloads and taps)",
        "filter": "compare only these flows: `host 10.0.0.5 and port 80`",
        "one-clock": "both captures were made with one clock: delays are exact",
        "thorough": "of large captures look at more packets one by one, and put more into --html (seconds)",
    },
)
@report_errors
def compare(
    _: Context,
    captures: list[str],
    json: bool = False,
    csv: str = "",
    merged: str = "",
    diff_pcap: str = "",
    html: str = "",
    fail_on: str = "",
    filter: str = "",  # noqa: A002 - the option's name
    one_clock: bool = False,
    thorough: bool = False,
) -> int:
    """Compare two captures: what lies between, what it does. Exit code: 0 same, 1 differs, 2 error, 3 unclear."""
    from testbed.cli.compare_command import compare

    return compare(
        captures,
        as_json=json,
        csv=csv,
        merged=merged,
        diff_pcap=diff_pcap,
        html=html,
        fail_on=fail_on,
        choose=filter,
        one_clock=one_clock,
        thorough=thorough,
    )


def _ci_files(junit: str, tap: str, markdown: str) -> Any:  # noqa: ANN401 - imported in the task
    """Return where reports for a CI system go."""
    from testbed.report.ci.ci_files import CiFiles

    return CiFiles(*(Path(name) if name else None for name in (junit, tap, markdown)))
