"""What holds for a task: the project's settings, those of the Collection first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import Context

if TYPE_CHECKING:
    from testbed.api.project import Project


def project(context: Context) -> Project:
    """Return the settings of the project in which a task runs; ``ns.configure({"bothends": {...}})`` comes first."""
    from testbed.api.project import read_project

    given = context.config.get("bothends", {})
    return read_project({key: given[key] for key in given})
