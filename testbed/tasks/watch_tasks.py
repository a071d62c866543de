"""The task that watches programs that already run."""

from __future__ import annotations

from invoke import Context, task

from testbed.cli.invoke_words import words_behind
from testbed.cli.report_errors import report_errors
from testbed.tasks.settings import project


@task(
    positional=["targets"],
    iterable=["targets"],
    help={
        "targets": "a container's name or id, a compose service, pid:NUMBER, name:PROGRAM, netns:NAME, or HOST:PORT "
        "outside; two or more; `client=` or `server=` before one says which end it is (else the first is the client)",
        "for": "end after so long: 30s, 10m",
        "until": "end when this happens: reset, retransmission, zero-window, refused, close, 'payload:/5\\d\\d /'; "
        "several with commas",
        "after": "how long to go on after that (default 2s)",
        "every": "with --until: go on after it, and keep a run of each",
        "calls": "trace: by the kernel's trace (default where it can be had); strace; none",
        "ring": "keep the newest so many bytes of each capture: 64MiB (default: all; with --until 64MiB)",
        "headers": "keep 128 bytes of each packet",
        "sentinel": "send a datagram each way at the end (UDP port 9), which proves that the captures go to there",
        "compose": "the compose file of whose project the services are",
        "report": "also write report.html and annotated.pcapng",
        "runs": "directory that gets runs/ (default: here)",
        "overlay": "instead: print a compose file that adds a tap to each of these services",
        "json": "print JSON instead of the summary",
        "quiet": "show no progress",
    },
)
@report_errors
def watch(
    context: Context,
    targets: list[str],
    for_: str = "",
    until: str = "",
    after: str = "2s",
    every: bool = False,
    calls: str = "",
    ring: str = "",
    headers: bool = False,
    sentinel: bool = False,
    compose: str = "",
    report: bool = False,
    overlay: bool = False,
    runs: str = "",
    json: bool = False,
    quiet: bool = False,
) -> int:
    """Watch programs that already run: captures at both ends and calls, joined as a run's. Nothing of them is touched.

    What stands behind `--` is a command that runs meanwhile; watching ends with it.

    Exit code: the command's; with --until 0 if it happened and 1 if not; else 0.

    Examples: invoke watch web api --for 1m
              invoke watch client=curl-1 server=api --until reset,refused
              invoke watch api redis -- pytest tests/
              invoke watch web api redis --overlay > watch.yaml
    """
    from testbed.cli.outputs import Outputs
    from testbed.cli.watch_command import print_overlay, watch_targets
    from testbed.cli.watch_options import watch_order

    if overlay:
        return print_overlay(targets, headers=headers)
    return watch_targets(
        targets,
        watch_order(
            seconds=for_,
            until=until,
            after=after,
            every=every,
            ring=ring,
            headers=headers,
            compose=compose,
            calls=calls,
            sentinel=sentinel,
        ),
        runs=project(context).runs_in(runs),
        outputs=Outputs(as_json=json, quiet=quiet, pages=report),
        command=words_behind(context),
    )


@task(
    positional=["folder"],
    help={
        "folder": "what the taps of `invoke watch --overlay` have written",
        "report": "also write report.html and annotated.pcapng",
        "json": "print JSON instead of the summary",
    },
)
@report_errors
def evaluate(_: Context, folder: str, report: bool = False, json: bool = False) -> int:
    """Make runs of what the taps of a compose overlay captured: one of each two services that talked.

    Example: invoke evaluate watched
    """
    from testbed.cli.outputs import Outputs
    from testbed.cli.watch_command import evaluate_folder

    return evaluate_folder(folder, Outputs(as_json=json, pages=report))
