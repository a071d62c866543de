"""What is done with every run: ``result.json`` is written."""

from __future__ import annotations

from testbed.model import Analysis
from testbed.run.finish import Finish
from testbed.rundir.layout import RunDirectory


def _write(directory: RunDirectory, analysis: Analysis) -> None:
    from testbed.report.json.result_file import write_result

    write_result(directory, analysis)


FINISH = Finish(_write, modules=("testbed.report.json.result_file", "testbed.report.text.run_summary", "rich.console"))
"""Also names what the summary on a terminal needs: it is imported while the lab comes up."""
