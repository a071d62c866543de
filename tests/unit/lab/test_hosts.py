"""What brings hosts up, runs and records them takes them as the lab has them, not as a pair of names."""

from __future__ import annotations

import ast
from pathlib import Path

import testbed

PACKAGE = Path(testbed.__file__).parent
ABOUT_ENDS = {"lab/namespace/namespace_doctor.py", "run/evaluate.py", "cli/step_command.py"}
"""Those that name the two ends: the doctor's own lab has two hosts, and packets are joined between two captures."""
PAIR = {"client", "server"}


def test_no_pair_of_names_in_lab_run_and_command_line() -> None:
    files = [
        path
        for folder in ("lab", "run", "rundir", "campaign", "api", "cli")
        for path in (PACKAGE / folder).rglob("*.py")
    ]
    assert len(files) > 60
    for path in files:
        name = str(path.relative_to(PACKAGE))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.Tuple, ast.List, ast.Set, ast.Dict)):
                parts = node.keys if isinstance(node, ast.Dict) else node.elts
                words = {part.value for part in parts if isinstance(part, ast.Constant)}
                assert not words >= PAIR, f"{name}:{node.lineno}"
            if isinstance(node, ast.ImportFrom) and node.module == "testbed.model" and name != "campaign/signature.py":
                pairwise = {alias.name for alias in node.names} & {"HOSTS", "peer_of"}
                assert not pairwise or name in ABOUT_ENDS, f"{name} imports {pairwise}"


def test_the_search_would_find_a_pair() -> None:
    (assigned,) = ast.parse('x = ("client", "server")').body
    assert isinstance(assigned, ast.Assign)
    assert isinstance(assigned.value, ast.Tuple)
    assert {part.value for part in assigned.value.elts if isinstance(part, ast.Constant)} >= PAIR
