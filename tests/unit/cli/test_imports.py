"""What a command does not need it does not load: modules are half the CPU time of a short one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PREAMBLE = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
LIST = "from pathlib import Path; from testbed.cli.list_show_diff import list_scenarios\n"
LIST += f"list_scenarios(Path({str(ROOT)!r}), as_json=False)\n"
SHOW = "from pathlib import Path; from testbed.api.runs import load_run\n"
SHOW += f"load_run({str(ROOT / 'tests/data/run-v1/server-reads-once/20261122T120401Z-af8198a2')!r})\n"


@pytest.mark.parametrize(
    ("code", "needed", "unneeded"),
    [
        (LIST, {"yaml", "testbed.scenario.heading"}, {"pydantic", "numpy", "rich", "testbed.scenario.load"}),
        (
            SHOW,
            {"pydantic", "numpy", "testbed.analysis.analyse"},
            {"numpy.ma", "elftools", "rich", "docker", "scapy", "testbed.analysis.kernel", "testbed.lab"},
        ),
    ],
    ids=["list", "show"],
)
def test_what_a_command_loads(code: str, needed: set[str], unneeded: set[str]) -> None:
    tell = "sys.stderr.write(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", PREAMBLE + code + tell], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    assert needed <= loaded
    assert not unneeded & loaded
