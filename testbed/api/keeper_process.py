"""The process that holds a lab: ``python -m testbed.api.keeper_process SCENARIO ROOT ENGINE [OWNER]``."""

from __future__ import annotations

import sys
from pathlib import Path

from testbed.api.finish_run import FINISH
from testbed.model.errors import BothendsError
from testbed.run.lab_keeper import keep

MODULE = "testbed.api.keeper_process"
"""This module's name, for those that start the process."""


def main() -> None:
    """Hold the lab that the command line's arguments name; exit with the error's code if it cannot be brought up."""
    try:
        keep(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], FINISH, *sys.argv[4:5])
    except BothendsError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
