"""A command in a host of a lab that is up, as a process: ``python -m testbed.api.host_command LAB HOST WORD...``.

LAB is JSON with what :func:`testbed.lab.host_shell.open_shell` takes: engine, run_id, manifest.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import cast

from testbed.lab.host_shell import open_shell
from testbed.model import Host
from testbed.model.errors import BothendsError
from testbed.run.kept_labs import KeptLab

MODULE = "testbed.api.host_command"


def command_line(lab: KeptLab, host: Host, argv: Sequence[str]) -> list[str]:
    """Return the command line that runs ``argv`` in a host of a lab."""
    told = json.dumps({"engine": lab.engine, "run_id": lab.run_id, "manifest": lab.manifest})
    return [sys.executable, "-m", MODULE, told, host, *argv]


def main() -> None:
    """Run the command that the command line names; exit with its status, or with the error's code."""
    lab, host = json.loads(sys.argv[1]), cast("Host", sys.argv[2])
    try:
        sys.exit(open_shell(lab["engine"], lab["run_id"], lab["manifest"], host, tuple(sys.argv[3:])))
    except BothendsError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
