"""The runs that the table of docs/diagnose.md is made of (dev/found_table.py): each at five delays and sizes.

``python -m dev.found_runs RUNS [SCENARIO...]`` runs the scenario that shows each finding five times on the namespace
engine, with another delay of the link each time and everything that it sends or reads so many times as large.
Scenarios that come out otherwise then are what the table tells of: nothing is expected of these runs.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

import yaml

from testbed.model.findings import FINDINGS

ROOT = Path(__file__).parents[1]
PAIRS = (("1ms", 1.0), ("4ms", 1.25), ("10ms", 1.5), ("20ms", 2.0), ("40ms", 3.0))
"""One-way delays, and by how much everything is larger."""


_KEYS = {True: "on"}
"""What YAML 1.1 makes of a key of ours."""


def larger(value: object, factor: float) -> object:
    """Return a part of a scenario with every ``size`` that many times as large."""
    if isinstance(value, dict):
        size = value.get("size")
        made = {_KEYS.get(key, key): larger(each, factor) for key, each in value.items()}
        return {**made, "size": max(int(size * factor), 1)} if isinstance(size, int) else made
    return [larger(each, factor) for each in value] if isinstance(value, list) else value


_COUNTED = frozenset({"lost-tail"})
"""Scenarios whose fault counts the segments up to the last: they keep their sizes."""


def written(folder: Path, factor: float, chosen: Collection[str]) -> Iterator[Path]:
    """Write the scenarios of all findings, or those that were chosen, into a folder, without what they expect."""
    every = {row.scenario for row in FINDINGS.values() if row.scenario}
    for name in sorted(every.intersection(chosen) if chosen else every):
        document = yaml.safe_load((ROOT / "scenarios" / f"{name}.yaml").read_text(encoding="utf-8"))
        document.pop("expect", None)
        for host in ("client", "server"):
            if host in document and name not in _COUNTED:
                document[host] = larger(document[host], factor)
        path = folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        yield path


def main(root: Path, chosen: Collection[str]) -> int:
    """Make all runs below a directory; return the exit status of the last command that failed, else 0."""
    code = 0
    for delay, factor in PAIRS:
        with tempfile.TemporaryDirectory(prefix="bothends-found-") as folder:
            paths = [str(path) for path in written(Path(folder), factor, chosen)]
            words = ["run", *paths, "--engine", "namespace", "--set", f"link.delay={delay}", "--keep", "all"]
            done = subprocess.run(
                [sys.executable, "-m", "invoke", *words, "--jobs", "2", "--runs", str(root)], cwd=ROOT, check=False
            )
            code = done.returncode or code
    return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
