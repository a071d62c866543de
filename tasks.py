"""The tasks of this repository: those that users have (testbed/tasks), and the developers'. ``invoke --list``."""

from __future__ import annotations

from dev import developer_tasks
from testbed.tasks import ns as users

__all__ = ["ns"]

ns = developer_tasks.with_developers(users)
