"""A worker of a campaign: as a process (``python -m testbed.api.campaign_worker``), or called on a cluster."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

from testbed.api.finish_run import FINISH

if TYPE_CHECKING:  # only on a cluster
    from testbed.campaign.remote import Parcel

MODULE = "testbed.api.campaign_worker"
"""This module's name, for those that start workers."""


def carry_out_order(order: bytes) -> Parcel:
    """Run a task on a worker of a cluster; ``order`` is a pickled :class:`testbed.campaign.remote.Order`."""
    from testbed.campaign.remote import carry_out_here

    return carry_out_here(pickle.loads(order), FINISH)  # noqa: S301 - a cluster is of machines that trust each other


def main() -> None:
    """Serve the process that started this one."""
    from testbed.campaign.serve import serve_tasks

    serve_tasks(FINISH)


if __name__ == "__main__":
    main()
