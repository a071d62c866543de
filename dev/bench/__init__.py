"""Benchmarks: ratios against a floor that is measured in the same run, on the same machine."""

from __future__ import annotations

import importlib

from testbed.model.errors import UsageError

NAMES = {
    "run": "whole_run",
    "link": "link_cost",
    "namespace": "namespace_lab",
    "campaign": "campaign_rate",
    "report": "page_time",
    "probe": "probe_cost",
    "compare": "compare_speed",
    "witness": "trace_cost",
    "watch": "watch_cost",
}


def main(name: str, *, repeat: int, as_json: bool) -> int:
    """Run a benchmark by name; 0 if its limits are kept."""
    if name not in NAMES:
        raise UsageError(f"there is no benchmark `{name}`", hint=f"one of {', '.join((*NAMES, 'truth'))}")
    module = importlib.import_module(f"dev.bench.{NAMES[name]}")
    code: int = module.main(repeat=repeat, as_json=as_json)
    return code
