"""The tasks: parse, call one function, print, exit code. The command ``bothends`` is these, and so is ``invoke`` here.

In one's own ``tasks.py``: ``from invoke import Collection``, ``from testbed.tasks import ns as wire`` and
``ns = Collection(wire=wire)``; ``inv wire.run my.yaml`` then runs a scenario. ``wire.configure({"bothends": {"engine":
"namespace"}})`` sets what ``[tool.bothends]`` in pyproject.toml sets too.

Exit codes: 0 pass, 1 fail, 2 bad use or bad scenario, 3 inconclusive, infrastructure failure or an
error in Bothends itself, 4 unsupported here.
"""

from __future__ import annotations

import gc
import os
import sys

from invoke import Collection
from invoke.main import program

from testbed.cli.invoke_words import adapt
from testbed.tasks import machine_tasks, result_tasks, run_tasks, start_tasks, watch_tasks

__all__ = ["ns"]

# Modules make objects that stay: looking for garbage after every 700 of them takes a tenth of a short run.
gc.set_threshold(100_000)

# NumPy's library of linear algebra, which nothing here uses, makes threads with memory of their own as it is loaded,
# and ends the process where there is too little.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Invoke asks Python to keep no compiled modules, for the sake of task files, which it has read by now. Each command
# would compile hundreds of ours anew: half a second of a processor. With PYTHONDONTWRITEBYTECODE or -B none are kept.
sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)

ns = Collection(
    "bothends",
    *(run_tasks.run, run_tasks.step, watch_tasks.watch, watch_tasks.evaluate),
    *(result_tasks.list_, result_tasks.show, result_tasks.diff, result_tasks.report, result_tasks.open_),
    *(result_tasks.diagnose, result_tasks.compare, machine_tasks.doctor, machine_tasks.images, machine_tasks.kernels),
    *(machine_tasks.up, machine_tasks.shell, machine_tasks.down, machine_tasks.clean, run_tasks.atlas),
    *(start_tasks.new, start_tasks.init),
)

adapt(program)
