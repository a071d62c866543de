"""Benchmarks: ratios to what is measured in turn, in the same run on the same machine (:mod:`dev.bench.ratio`)."""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from dev.bench.ratio import Ratio, table
from dev.benchmark_names import BESIDE_SPEED, SPEED
from testbed.model.errors import UsageError


def main(names: Sequence[str], *, repeat: int, as_json: bool, page: str = "") -> int:
    """Run benchmarks by name, all without a name; print one table of ratios. 0: every limit is kept, 1: not.

    ``page`` is the file of the table, docs/performance.md: the rows of these benchmarks are renewed.
    """
    for name in names:
        if name not in SPEED:
            raise UsageError(f"there is no benchmark `{name}`", hint=f"one of {', '.join((*SPEED, *BESIDE_SPEED))}")
    stream = sys.stderr if as_json else sys.stdout

    def say(line: str) -> None:
        print(line, file=stream, flush=True)

    ratios: list[Ratio] = []
    for name in names or SPEED:
        say(f"{name}:")
        module = importlib.import_module(f"dev.bench.{SPEED[name]}")
        ratios += module.measure(repeat=repeat, say=lambda line: say(f"  {line}"))
    kept = all(each.kept for each in ratios)
    if as_json:
        members = [asdict(each) | {"kept": each.kept} for each in ratios]
        print(json.dumps({"machine": machine(), "kept": kept, "ratios": members}, indent=1))
    else:
        print("\n".join(["", *table(ratios), "", f"{machine()}; limits {'kept' if kept else 'NOT kept'}"]))
    if page:
        from dev.bench.performance_page import page_text

        file = Path(page)
        before = file.read_text(encoding="utf-8") if file.exists() else ""
        file.write_text(page_text(ratios, machine(), before, SPEED), encoding="utf-8")
    return 0 if kept else 1


def machine() -> str:
    """Return what was measured on, in a few words."""
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} processors ({platform.machine()}), Linux {platform.release()}, load {load:.1f}"
