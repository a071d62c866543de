"""Made-up runs with what is found to be wrong in them."""

from __future__ import annotations

from typing import Any

from testbed.analysis.analyse import analyse
from testbed.diagnosis.diagnose import diagnose_run
from testbed.model.findings import Diagnosis, Finding, FindingName
from testbed.report.text.finding_text import finding_sentence
from tests.builders.exchange import Exchange, Tcp


def diagnosed(run: Exchange, **given: Any) -> Diagnosis:
    """Return the diagnosis of a made-up run."""
    diagnosis = analyse(run.inputs(**given), (), diagnose_run).diagnosis
    assert diagnosis is not None
    return diagnosis


def names(run: Exchange, **given: Any) -> set[FindingName]:
    """Return the names of what is found in a made-up run."""
    return {each.name for each in diagnosed(run, **given).findings}


def only(run: Exchange, name: FindingName, **given: Any) -> Finding:
    """Return the one finding of a name in a made-up run."""
    (found,) = (each for each in diagnosed(run, **given).findings if each.name is name)
    return found


def said(run: Exchange, name: FindingName, **given: Any) -> str:
    """Return the sentence of the one finding of a name."""
    return finding_sentence(only(run, name, **given))


def close(tcp: Tcp) -> None:
    """Let both ends close, the client first."""
    with tcp.client("close"):
        tcp("client F.")
    with tcp.server("close"):
        tcp("server F.")
    tcp("client .")
