"""``invoke bench report``: size of a run's page, time to write it, and time to its first view in Chromium."""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from dev.bench.long_run import long_run, witnessed
from dev.bench.ratio import Ratio, Say, in_turns, of_pairs, spread
from testbed.model.errors import Unsupported
from testbed.report.captures import annotated_pcapng
from testbed.report.html.fit import LIMIT
from testbed.report.html.page_source import PageSource
from testbed.report.html.run_page import render

PACKETS = (100, 10_000, 100_000)
FIRST_VIEW = 4.0
"""How many times as long as the smallest page any page may take until its rows can be read and used."""

CHROMIUM = Path("/usr/bin/chromium")


def measure(*, repeat: int, say: Say) -> list[Ratio]:
    """Measure each size: what a page takes of the bytes that it may have, and its first view."""
    sizes = [_measure(packets, witness=False) for packets in PACKETS] + [_measure(PACKETS[-1], witness=True)]
    with tempfile.TemporaryDirectory(prefix="bothends-bench-") as place:
        paths = [Path(place) / f"{n}.html" for n, _ in enumerate(sizes)]
        for path, each in zip(paths, sizes, strict=True):
            path.write_text(each["page"], encoding="utf-8")
        views = first_views(paths, repeat)
    ratios = []
    for each, seconds in zip(sizes, views, strict=True):
        name = f"page of {each['packets']:,} packets{' with the kernel trace' if each['witness'] else ''}"
        say(
            f"{name}: {len(each['page'].encode()) / 1e6:.2f} MB written in {each['render_s']:.2f} s, first view after "
            f"{spread(seconds)}; annotated capture {each['annotated_bytes'] / 1e6:.2f} MB in {each['annotate_s']:.2f} s"
        )
        of_limit = len(each["page"].encode()) / LIMIT
        ratios.append(Ratio("report", f"bytes, {name}", f"{LIMIT / 1e6:g} MB", of_limit, 1.0))
        if seconds is not views[0]:
            small = f"that of {PACKETS[0]} packets"
            ratios.append(of_pairs("report", f"first view, {name}", small, (seconds, views[0]), FIRST_VIEW))
    return ratios


def _measure(packets: int, *, witness: bool) -> dict[str, Any]:
    analysis, captures = long_run(packets)
    if witness:
        analysis = witnessed(analysis)
    source = PageSource(analysis, {"scenario": "bench", "run_id": "bench"}, captures)
    page, render_s = _timed(lambda: render(source))
    stream = io.BytesIO()
    _, annotate_s = _timed(lambda: annotated_pcapng.write(stream, analysis, captures))
    return {
        "witness": witness,
        "packets": len(analysis.inputs.joined.crossings),
        "page": page,
        "render_s": render_s,
        "annotated_bytes": stream.tell(),
        "annotate_s": annotate_s,
    }


def first_views(paths: Sequence[Path], repeat: int) -> list[list[float]]:
    """Open pages in turn, so many times each, in a fresh context; return the seconds until each one's ladder stands."""
    if not CHROMIUM.exists():
        raise Unsupported("there is no Chromium", hint="apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])

        def view(path: Path) -> float:
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            begin = time.perf_counter()
            page.goto(path.as_uri())
            page.wait_for_selector("html[data-ready]", timeout=60_000)
            page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
            seconds = time.perf_counter() - begin
            page.close()
            return seconds

        taken = in_turns({str(path): partial(view, path) for path in paths}, repeat)
        browser.close()
    return list(taken.values())


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    begin = time.perf_counter()
    value = work()
    return value, time.perf_counter() - begin
