"""Findings on the page, in the summary, in the reports for CI, in JSON and in the annotated capture."""

from __future__ import annotations

import io
import json
from pathlib import Path

import jsonschema
from rich.console import Console

from dev.bench.make_pair import make_pair
from testbed.api.captures import compare_captures
from testbed.api.runs import load_run
from testbed.report.captures.annotated_pcapng import write
from testbed.report.ci.ci_cases import RunRecord
from testbed.report.ci.junit import junit
from testbed.report.html.findings_card import card
from testbed.report.json import result_json
from testbed.report.json.diagnosis_json import diagnosis_to_json
from testbed.report.text.run_summary import render

(RUN,) = (Path(__file__).parents[2] / "data" / "run-v1" / "server-reads-once").iterdir()
ANALYSIS = load_run(RUN).analysis
SAID = "the server program left "


def test_the_summary_begins_with_it() -> None:
    out = io.StringIO()
    render(ANALYSIS, {"scenario": "server-reads-once"}, Console(file=out, width=120))
    lines = out.getvalue().splitlines()
    assert lines[3].startswith(f"warning   {SAID}")
    assert [line for line in lines if line.startswith("time      ")]


def test_the_card_selects_what_proves_it_and_draws_all_of_the_time() -> None:
    packets = [each.n for each in ANALYSIS.inputs.joined.crossings]
    shown = card(ANALYSIS.diagnosis, ANALYSIS.inputs.joined.flows, packets)
    assert shown is not None
    (finding,) = shown.findings
    assert finding.target.startswith("of=p")
    assert any(part.target.startswith("server:") for part in finding.parts)
    (bar,) = shown.bars
    assert abs(bar.parts[-1].x + bar.parts[-1].width - 640) < 1


def test_json_is_as_its_schema_says() -> None:
    schema = json.loads(Path(result_json.__file__).with_name("result.schema.json").read_text())
    told = diagnosis_to_json(ANALYSIS.diagnosis)
    jsonschema.validate(told, {**schema["$defs"]["diagnosis"], "$defs": schema["$defs"]})
    assert told is not None
    assert told["findings"][0]["sentence"].startswith(SAID)


def test_reports_for_ci_and_the_annotated_capture_say_it() -> None:
    record = RunRecord("server-reads-once", 1.0, "", ANALYSIS)
    assert record.verdict().startswith(f"warning: {SAID}")
    assert SAID in junit([record])
    stream = io.BytesIO()
    write(stream, ANALYSIS, {})
    assert SAID.encode() in stream.getvalue()


def test_the_page_of_two_captures_has_the_card_and_its_findings_select_their_packets(tmp_path: Path) -> None:
    pair = make_pair(tmp_path, packets=900, flows=1, loss=0.03, late=0.0)
    compared = compare_captures(*pair)
    page = tmp_path / "page.html"
    compared.write_page(page)
    text = page.read_text(encoding="utf-8")
    assert compared.diagnosed is not None
    finding = next(each for each in compared.diagnosed.diagnosis.findings if each.name.endswith("-loss"))
    assert 'id="findings"' in text
    assert "the path lost " in text
    assert f'href="#of=p{finding.packets[0]}' in text
    assert 'class="timebar"' in text
