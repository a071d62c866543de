"""What a run needs once its lab is down is imported before, in one thread."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
RECORDED = next((ROOT / "tests/data/campaign-v1").glob("*/runs/gdb-three-segments/*/manifest.json")).parent
SCRIPT = """
import sys
from pathlib import Path
from testbed.api.finish_run import FINISH
from testbed.run.live_lab import import_what_follows
from testbed.rundir.layout import RunDirectory
import testbed.scenario.load  # whoever runs a scenario has read it

import_what_follows(FINISH.modules)
before = set(sys.modules)
from testbed.run.evaluate import evaluate
directory = RunDirectory(Path(sys.argv[1]))
FINISH.write(directory, evaluate(directory))
print(*sorted(each for each in sys.modules.keys() - before if each.startswith("testbed")))
"""


def test_evaluating_a_run_imports_nothing_more(tmp_path: Path) -> None:
    """Under pytest two threads that import at once end in CPython 3.11's SystemError."""
    run = Path(shutil.copytree(RECORDED, tmp_path / "run"))
    done = subprocess.run([sys.executable, "-c", SCRIPT, run], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.returncode) == ([], 0), done.stderr
