"""The tasks that begin in a repository of one's own."""

from __future__ import annotations

from invoke import Context, task

from testbed.cli.report_errors import report_errors
from testbed.tasks.settings import project


@task(help={"name": "the scenario's name"})
@report_errors
def new(context: Context, name: str) -> int:
    """Write a first scenario, with comments, that passes: wire/NAME.wire.yaml, or into your own folder.

    Example: invoke new greeting
    """
    from testbed.cli import start_commands

    return start_commands.new(name, project(context))


@task(help={"ci": "the service that a job is written for: github, gitlab or none (default: by the repository)"})
@report_errors
def init(context: Context, ci: str = "") -> int:
    """Add to the repository here: a folder with a first scenario, a CI job, and a line in .gitignore."""
    from testbed.cli import start_commands

    return start_commands.init(project(context), ci)
