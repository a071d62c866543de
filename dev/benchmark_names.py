"""The names that `invoke bench` takes. Not in dev/bench: each command of this repository reads them."""

from __future__ import annotations

SPEED = {
    "run": "whole_run",
    "start": "start_cost",
    "link": "link_cost",
    "namespace": "namespace_lab",
    "campaign": "campaign_rate",
    "report": "page_time",
    "probe": "probe_cost",
    "compare": "compare_speed",
    "witness": "trace_cost",
    "watch": "watch_cost",
}
"""The benchmarks of speed, and the module of each: ``measure(repeat=..., say=...)`` returns its ratios."""
BESIDE_SPEED = ("pairs", "truth", "healthy")
"""What is counted rather than timed: :mod:`dev.pairs`, :mod:`dev.truth` and :mod:`dev.bench.healthy_transfers`."""
