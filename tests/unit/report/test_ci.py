"""Reports for CI: what they say agrees with the outcome, can be read by their formats' readers, and holds no markup."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from junitparser import JUnitXml
from markdown_it import MarkdownIt

from testbed.model import Analysis, Outcome
from testbed.model.errors import BothendsError, LabError, Unsupported
from testbed.report.ci.ci_cases import RunRecord, not_made
from testbed.report.ci.ci_files import CiFiles, write_ci_files
from testbed.report.ci.junit import junit
from testbed.report.ci.markdown_summary import markdown
from testbed.report.ci.test_anything import tap_report
from tests.builders.eventful_run import HOSTILE, eventful, hostile_source
from tests.builders.runs import origin, with_inputs


def passed() -> Analysis:
    return replace(origin(), outcome=Outcome.PASS, reasons=(), checks=(origin().checks[0],))


RECORDS = {
    "passed": RunRecord("passed", 1.5, "runs/passed/1", passed()),
    "failed": RunRecord("failed", 2.0, "runs/failed/1", replace(eventful(), outcome=Outcome.FAIL)),
    "inconclusive": RunRecord(
        "inconclusive",
        1.0,
        "runs/i/1",
        replace(with_inputs(passed(), incomplete=("the tap dropped 3",)), outcome=Outcome.INCONCLUSIVE),
    ),
    "program": RunRecord(
        "program",
        1.0,
        "runs/p/1",
        replace(with_inputs(passed(), failures=("client: SIGSEGV",)), outcome=Outcome.FAIL),
    ),
    "broken": RunRecord("broken", 0.5, error=LabError("the tap did not start", last_output="no such device")),
    "unsupported": RunRecord("unsupported", 0.1, error=Unsupported("there is no netem")),
    "hostile": RunRecord(HOSTILE, 1.0, HOSTILE, hostile_source().analysis),
}


@pytest.mark.parametrize("name", ["passed", "failed", "inconclusive", "program", "broken", "unsupported"])
def test_the_worst_case_of_a_run_is_its_outcome(name: str) -> None:
    record = RECORDS[name]
    states = {case.state for case in record.cases()}
    worst = next(state for state in ("failed", "error", "skipped", "passed") if state in states)
    expected = {
        Outcome.PASS: "passed",
        Outcome.FAIL: "failed",
        Outcome.INCONCLUSIVE: "error",
        Outcome.UNSUPPORTED: "skipped",
    }
    assert worst == expected[record.outcome]


def test_junit_counts_and_tells_expected_and_actual() -> None:
    xml = JUnitXml.fromstring(junit(list(RECORDS.values())).encode())
    suites = {suite.name: suite for suite in xml}
    failed = suites["failed"]
    assert (failed.tests, failed.failures, failed.errors, failed.skipped) == (4, 1, 1, 0)
    (case,) = [case for case in failed if case.result and type(case.result[0]).__name__ == "Failure"]
    assert case.name == "{crossings: {lost: 0}}"
    assert case.result[0].message == "expected lost 0, actual lost 1"
    assert "at:       scenarios/connect-send-close.yaml:9" in case.result[0].text
    assert (suites["passed"].failures, suites["passed"].errors, suites["passed"].time) == (0, 0, 1.5)
    assert suites["unsupported"].skipped == 1
    assert suites["broken"].errors == 1
    assert "no such device" in next(iter(suites["broken"])).result[0].text


def test_a_run_that_was_interrupted_is_an_error_that_says_so() -> None:
    text = junit([RunRecord("a", 1.0, analysis=passed()), not_made("b")])
    assert [suite.errors for suite in JUnitXml.fromstring(text.encode())] == [0, 1]
    assert "interrupted before it had a result" in text


def test_junit_of_hostile_text_is_xml_and_shows_it() -> None:
    text = junit([RECORDS["hostile"]])
    xml = JUnitXml.fromstring(text.encode())
    assert (
        next(iter(xml)).name
        == "<script>alert(1)</script>\"'&`${x}</pre><img src=x onerror=alert(2)>\\x00\\x1b[31m\\u202eevil\\u2028\\udc80"
    )
    assert "<script" not in text


def test_tap_has_a_point_for_each_case_and_its_diagnostics_are_yaml() -> None:
    records = list(RECORDS.values())
    lines = tap_report(records).splitlines()
    count = sum(len(record.cases()) for record in records)
    assert lines[:2] == ["TAP version 13", f"1..{count}"]
    points = [line for line in lines if re.match(r"(not )?ok \d+ - ", line)]
    assert [int(re.sub(r"(not )?ok (\d+) .*", r"\2", line)) for line in points] == list(range(1, count + 1))
    bad = sum(case.state in ("failed", "error") for record in records for case in record.cases())
    assert sum(line.startswith("not ok") for line in points) == bad
    assert sum(" # SKIP " in line for line in points) == 1
    blocks = re.findall(r"^  ---\n(.*?)^  \.\.\.$", tap_report(records), re.MULTILINE | re.DOTALL)
    assert len(blocks) == bad
    assert all({"severity", "message"} <= set(yaml.safe_load(block)) for block in blocks)
    assert "actual:   lost 1" in yaml.safe_load(blocks[0])["detail"]


@pytest.mark.skipif(shutil.which("prove") is None, reason="there is no prove (apt-get install perl)")
@pytest.mark.parametrize(("name", "result"), [("passed", "PASS"), ("failed", "FAIL"), ("unsupported", "PASS")])
def test_prove_reads_tap_and_agrees_with_the_outcome(tmp_path: Path, name: str, result: str) -> None:
    path = tmp_path / "run.tap"
    path.write_text(tap_report([RECORDS[name]]), encoding="utf-8")
    done = subprocess.run(["prove", "--exec", "cat", str(path)], capture_output=True, text=True, check=False)
    assert f"Result: {result}" in done.stdout
    assert "Parse errors" not in done.stdout


def test_no_description_can_become_a_directive() -> None:
    record = RunRecord("x # SKIP really \\", 0.1, error=LabError("x # TODO"))
    assert tap_report([record]).splitlines()[2] == "not ok 1 - x \\# SKIP really \\\\: run"


def test_markdown_is_a_table_and_the_failures_with_their_ladders() -> None:
    text = markdown(list(RECORDS.values())[:-1])
    html = MarkdownIt("gfm-like", {"linkify": False}).render(text)
    assert html.count("<tr>") == 1 + 6
    assert "the server program read 7" in html
    assert html.count("<details>") == 3
    assert "actual:   lost 1" in html
    assert "### " not in markdown([RECORDS["passed"]])


def test_markdown_of_hostile_text_is_text() -> None:
    html = MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(markdown([RECORDS["hostile"]]))
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


def test_the_files_that_are_asked_for_are_written(tmp_path: Path) -> None:
    files = CiFiles(tmp_path / "new/j.xml", tmp_path / "t.tap", tmp_path / "s.md")
    write_ci_files([RECORDS["passed"]], files)
    assert all(path and path.stat().st_size > 50 for path in (files.junit, files.tap, files.markdown))


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BothendsError, match="cannot write"):
        write_ci_files([RECORDS["passed"]], CiFiles(junit=tmp_path / "file/j.xml"))


def test_an_expectation_for_other_kernels_is_skipped_and_not_counted() -> None:
    check = replace(passed().checks[0], ok=None, applies=False, expected="a kernel <6.5", actual=("a kernel 6.18",))
    record = RunRecord("elsewhere", 1.0, "runs/e/1", replace(passed(), checks=(*passed().checks, check)))
    (suite,) = JUnitXml.fromstring(junit([record]).encode())
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (3, 0, 0, 1)
    assert "# SKIP for a kernel <6.5; this is a kernel 6.18" in tap_report([record])
    assert "| 1 of 1 |" in markdown([record])
