"""``invoke bench report``: size of a run's page, time to write it, and time to its first view in Chromium."""

from __future__ import annotations

import io
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dev.bench.long_run import long_run, witnessed
from testbed.model.errors import Unsupported
from testbed.report.captures import annotated_pcapng
from testbed.report.html.fit import LIMIT
from testbed.report.html.page_source import PageSource
from testbed.report.html.run_page import render

PACKETS = (100, 10_000, 100_000)
FIRST_VIEW = 2.0
"""Seconds from opening the file to rows that can be read and used."""

CHROMIUM = Path("/usr/bin/chromium")


def main(*, repeat: int, as_json: bool) -> int:
    """Measure each size; 0 if every page is within LIMIT bytes and its first view within FIRST_VIEW (median)."""
    results = [_measure(packets, repeat) for packets in PACKETS]
    results.append(_measure(PACKETS[-1], repeat, witness=True))
    fits = all(one["page_bytes"] <= LIMIT and one["first_view_s"] <= FIRST_VIEW for one in results)
    if as_json:
        print(json.dumps({"load": os.getloadavg()[0], "limits": [LIMIT, FIRST_VIEW], "sizes": results}, indent=1))
        return 0 if fits else 1
    heads = ("packets", "", "page", "written in", "first view", "annotated", "written in")
    print("{:>8}  {:6}  {:>9}  {:>10}  {:>10}  {:>10}  {:>10}".format(*heads))
    for one in results:
        print(
            f"{one['packets']:>8,}  {'kernel' if one['witness'] else '':6}  {one['page_bytes'] / 1e6:6.2f} MB  "
            f"{one['render_s']:8.2f} s  {one['first_view_s']:8.2f} s  {one['annotated_bytes'] / 1e6:7.2f} MB  "
            f"{one['annotate_s']:8.2f} s"
        )
    print(f"limits: {LIMIT / 1e6:.0f} MB, {FIRST_VIEW:.0f} s; medians of {repeat}; load {os.getloadavg()[0]:.1f}")
    return 0 if fits else 1


def _measure(packets: int, repeat: int, *, witness: bool = False) -> dict[str, Any]:
    analysis, captures = long_run(packets)
    if witness:
        analysis = witnessed(analysis)
    source = PageSource(analysis, {"scenario": "bench", "run_id": "bench"}, captures)
    page, render_s = _timed(lambda: render(source))
    stream = io.BytesIO()
    _, annotate_s = _timed(lambda: annotated_pcapng.write(stream, analysis, captures))
    with tempfile.TemporaryDirectory(prefix="bothends-bench-") as place:
        path = Path(place) / "report.html"
        path.write_text(page, encoding="utf-8")
        views = first_views(path, repeat)
    return {
        "witness": witness,
        "packets": len(analysis.inputs.joined.crossings),
        "page_bytes": len(page.encode()),
        "render_s": render_s,
        "first_view_s": statistics.median(views),
        "annotated_bytes": stream.tell(),
        "annotate_s": annotate_s,
    }


def first_views(path: Path, repeat: int) -> list[float]:
    """Open a page so many times, each in a fresh context; return the seconds until its ladder stands."""
    if not CHROMIUM.exists():
        raise Unsupported("there is no Chromium", hint="apt-get install chromium")
    from playwright.sync_api import sync_playwright

    views = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for _ in range(repeat):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            begin = time.perf_counter()
            page.goto(path.as_uri())
            page.wait_for_selector("html[data-ready]", timeout=60_000)
            page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
            views.append(time.perf_counter() - begin)
            page.close()
        browser.close()
    return views


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    begin = time.perf_counter()
    value = work()
    return value, time.perf_counter() - begin
