"""``invoke docs-images``: the pictures in docs/, made from real runs, never drawn by hand."""

from __future__ import annotations

import contextlib
import io
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.campaign.campaign_options import Options
from testbed.campaign.store import Store
from testbed.cli.compare_command import compare
from testbed.cli.list_show_diff import diff
from testbed.model import HOSTS, Analysis
from testbed.model.errors import Unsupported
from testbed.report import campaign_files, run_files
from testbed.rundir.layout import LATEST, RUNS, RunDirectory
from testbed.rundir.manifest import meta

CHROMIUM = Path("/usr/bin/chromium")
CAMPAIGN = "campaign"
CAMPAIGN_SCENARIOS = ("nagle", "nodelay", "lost-tail", "connect-send-close")
CAMPAIGN_OPTIONS = Options(repeat=20, settings=["link.delay=1ms,5ms"])
"""The campaign whose page is shown. Over a distance connect-send-close fails: a picture should show that too."""
COMPARED = "compare"
COMPARED_SCENARIO = "lost-middle"
"""The scenario of which two captures are compared as if they came from anywhere."""
DIFFERENCE = "diff"
DIFFERENCE_SCENARIOS = ("nagle", "nodelay")
"""The scenarios of which a run each is set side by side."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of a page (of a run, CAMPAIGN, COMPARED, DIFFERENCE): what of it, how large the window is."""

    name: str
    scenario: str
    fragment: str = ""
    scheme: str = "light"
    width: int = 1280
    height: int = 860
    scroll: str = ""  # the element that stands at the top


PICTURES = (
    Picture("report-light", "server-reads-once", height=1010),
    Picture("report-dark", "server-reads-once", scheme="dark", height=1010),
    Picture("packet", "server-reads-once", "#sel=p9", height=760, scroll="#ladder"),
    Picture("lost", "lost-middle", "#sel=p5", height=760, scroll="#ladder"),
    Picture("plot", "large-transfer", "#plot=1&sel=p3001", height=760),
    Picture("kernel", "keepalive-lookalike", "#sel=p4", height=860, scroll="#kernel"),
    Picture("campaign-light", CAMPAIGN, height=1000),
    Picture("campaign-dark", CAMPAIGN, scheme="dark", height=1000),
    Picture("compare", COMPARED, "#sel=p6", height=700, scroll="#flows"),
    Picture("diff", DIFFERENCE, height=720),
    Picture("narrow", "server-reads-once", width=400, height=860, scroll="#ladder"),
)
SUMMARIES = {"summary": "server-reads-once"}
"""Pictures of the terminal's summary, and whose."""

SCENARIOS = tuple(
    name
    for name in dict.fromkeys(
        [*SUMMARIES.values(), *(each.scenario for each in PICTURES), COMPARED_SCENARIO, *DIFFERENCE_SCENARIOS]
    )
    if name not in (CAMPAIGN, COMPARED, DIFFERENCE)
)

WITNESSED = ("keepalive-lookalike",)
"""Those of SCENARIOS that run with the kernel as a witness."""

_COLUMNS = 110
_FONT_FACE = re.compile(r"@font-face\s*{[^}]*}")


def make(place: Path, root: Path) -> list[Path]:
    """Write the pictures of the newest runs of SCENARIOS and the newest campaign; Unsupported without Chromium."""
    if not CHROMIUM.exists():
        raise Unsupported("there is no Chromium to take the pictures", hint="apt-get install chromium")
    place.mkdir(parents=True, exist_ok=True)
    runs = {scenario: RunDirectory((root / RUNS / scenario / LATEST).resolve()) for scenario in SCENARIOS}
    analyses = {scenario: run_files.rebuild(directory) for scenario, directory in runs.items()}
    made = [_summary(place / f"{name}.svg", analyses[of], meta(runs[of])) for name, of in SUMMARIES.items()]
    pages = {scenario: directory.file(run_files.PAGE) for scenario, directory in runs.items()}
    pages[CAMPAIGN] = campaign_files.rebuild(Store.find(root, LATEST)).pages[0]
    with tempfile.TemporaryDirectory() as directory:
        pages |= {name: Path(directory) / f"{name}.html" for name in (COMPARED, DIFFERENCE)}
        _of_two(pages, root)
        return made + take(place, pages, PICTURES)


def _of_two(pages: dict[str, Path], root: Path) -> None:
    """Write the pages that are of two captures, or two runs; they name these as a user does who stands in ``root``."""
    captures = [f"{RUNS}/{COMPARED_SCENARIO}/{LATEST}/{host}.pcap" for host in HOSTS]
    runs = [f"{name}/{LATEST}" for name in DIFFERENCE_SCENARIOS]
    with contextlib.chdir(root), contextlib.redirect_stdout(io.StringIO()):
        compare(
            list(map(str, captures)),
            as_json=True,
            html=str(pages[COMPARED]),
        )
        diff(*runs, runs=root, as_json=True, html=str(pages[DIFFERENCE]))


def take(place: Path, pages: Mapping[str, Path], pictures: Sequence[Picture]) -> list[Path]:
    """Write pictures of pages, each of which is named by its picture's ``scenario``, into a directory."""
    from playwright.sync_api import sync_playwright

    made = []
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        for picture in pictures:
            page = browser.new_page(
                viewport={"width": picture.width, "height": picture.height},
                color_scheme="dark" if picture.scheme == "dark" else "light",
            )
            page.goto(pages[picture.scenario].as_uri() + picture.fragment)
            page.wait_for_selector("html[data-ready]")
            if picture.scroll:
                page.evaluate("place => document.querySelector(place).scrollIntoView()", picture.scroll)
            page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
            made.append(place / f"{picture.name}.png")
            page.screenshot(path=made[-1])
            page.close()
        browser.close()
    return made


def _summary(path: Path, analysis: Analysis, about: dict[str, Any]) -> Path:
    """Write the terminal's summary as SVG, without the fonts that rich would fetch."""
    from rich.console import Console

    from testbed.report.text.run_summary import render

    console = Console(record=True, width=_COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    render(analysis, about, console)
    title = f"invoke run {about['scenario']}"
    text = console.export_svg(title=title, unique_id="summary")
    path.write_text(_FONT_FACE.sub("", text), encoding="utf-8")
    return path
