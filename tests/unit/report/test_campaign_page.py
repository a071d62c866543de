"""The page of a campaign: letters, bars, links, what is left out, and hostile names as text."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from testbed.campaign.store import Store
from testbed.cli.report_commands import report
from testbed.model.errors import UsageError
from testbed.report.ci.ci_files import CiFiles
from testbed.report.html.campaign_page import MOST_KINDS, render
from tests.builders.campaigns import about, hostile, many, summary

KEPT = Path(__file__).parents[2] / "data/campaign-v1"
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f\u202e]")


def bars(page: str) -> list[list[tuple[str, float]]]:
    """The pieces of the matrix's bars: colour and width in per cent."""
    found = re.findall(r'<svg class="bar".*?</svg>', page, re.DOTALL)
    pieces = [re.findall(r'<rect class="(kind\d|others)" x="[\d.]+%" width="([\d.]+)%"', bar) for bar in found]
    return [[(colour, float(width)) for colour, width in bar] for bar in pieces]


def test_a_kind_has_one_letter_and_colour_in_all_variants_of_its_scenario() -> None:
    page = render(summary(), about(summary()))
    assert bars(page)[:2] == [[("kind0", 100.0)], [("kind0", 80.0), ("kind1", 20.0)]]


def test_what_is_missing_of_the_plan_stays_empty_and_is_said() -> None:
    page = render(summary(), about(summary()))
    assert bars(page)[4] == [("kind0", 70.0)]
    assert "3 runs of the plan are missing; <code>invoke run --resume 0a1b2c3d</code>" in page
    assert "7 of 10 runs: 7 pass" in page


def test_a_cell_links_to_the_reports_of_its_kinds_and_only_to_those_that_are_there() -> None:
    page = render(summary(), about(summary(), pages={"nagle/20261125T000000Z-n13"}))
    assert set(re.findall(r'href="(?!#)([^"]*)"', page)) == {"runs/nagle/20261125T000000Z-n13/report.html"}
    assert "<code>n00</code>" in page


def test_of_many_kinds_the_rest_is_counted() -> None:
    page = render(many(), about(many()))
    told = f"{60 - MOST_KINDS} runs of {60 - MOST_KINDS} other kinds are not shown here; all are in results.jsonl"
    assert told in page
    assert len(page.encode()) < 200_000
    assert len(render(many(), about(many()), limit=60_000).encode()) <= 60_000


def test_hostile_names_and_values_are_text_and_a_line_of_a_megabyte_fits() -> None:
    page = render(hostile(), about(hostile()))
    assert not RAW.search(page)
    assert page.count("<script") == 2
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\x00\\x1b[31m\\u202eevil" in page
    assert "runs/%3Cscript%3Ealert%281%29" in page
    assert len(page.encode()) < 10_000_000


def test_an_old_campaign_gives_its_page_and_its_runs_pages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A campaign of the first version, with one of its run directories: all that is there is shown."""
    shutil.copytree(KEPT, tmp_path / "runs/campaigns", dirs_exist_ok=True)
    (place,) = (tmp_path / "runs/campaigns").iterdir()
    junit = tmp_path / "junit.xml"
    assert report("latest", runs=tmp_path, ci=CiFiles(junit=junit)) == 0
    told = capsys.readouterr()
    assert told.out.splitlines()[0] == str(place / "report.html")
    page = (place / "report.html").read_text(encoding="utf-8")
    (link,) = set(re.findall(r'href="(runs/[^"]*)"', page))
    assert (place / link).stat().st_size > 50_000
    assert "no page of" in told.err, "run directories that are gone are named"
    assert "Under gdb three sends leave as three segments" in page
    assert junit.read_text().count("<testsuite ") == 4


def test_a_campaign_of_a_version_to_come_is_refused_with_its_format(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text('{"format": "bothends-plan/9"}')
    with pytest.raises(UsageError, match="its format is bothends-plan/9, and this version reads bothends-plan/1"):
        Store(tmp_path).plan()


def test_what_is_neither_run_nor_campaign_is_told_with_what_could_be_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no run and no campaign `nothing`") as raised:
        report("nothing", runs=tmp_path, ci=CiFiles())
    assert "SCENARIO/latest" in str(raised.value)
