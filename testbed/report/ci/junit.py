"""JUnit XML, as GitHub, GitLab and Jenkins read it: one suite a scenario, one test case an expectation."""

from __future__ import annotations

from collections.abc import Sequence

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from testbed.report.ci.ci_cases import Case, Reported
from testbed.report.text.terminal_text import escape


def junit(records: Sequence[Reported]) -> str:
    """Return the XML. Characters that XML cannot hold (NUL, escape) are shown as their code points."""
    xml = JUnitXml("bothends")
    for record in records:
        suite = TestSuite(escape(record.scenario))
        if record.directory:
            suite.add_property("run", escape(record.directory))
        for case in record.cases():
            suite.add_testcase(_case(case, record))
        suite.time = round(record.seconds, 3)
        xml.add_testsuite(suite)
    xml.update_statistics()  # type: ignore[no-untyped-call]
    text: bytes = xml.tostring()  # type: ignore[no-untyped-call]
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text.decode()}\n'


def _case(case: Case, record: Reported) -> TestCase:
    made = TestCase(escape(case.name), classname=f"bothends.{escape(record.scenario)}")
    made.time = round(record.seconds, 3) if case.name == "run" else 0.0
    kinds = {"failed": Failure, "error": Error, "skipped": Skipped}
    if case.state in kinds:
        result = kinds[case.state](escape(case.message))
        result.text = _lines(case.detail)
        made.result = [result]
    elif case.detail:
        made.system_out = _lines(case.detail)
    return made


def _lines(text: str) -> str:
    return "\n".join(escape(line) for line in text.splitlines())
