"""Run directories that others made: broken in any way, with links that lead elsewhere; read, and written into."""

from __future__ import annotations

import http.client
import shutil
import threading
from pathlib import Path

import pytest

from dev.fuzz_runs import RUNS, fuzz
from testbed.api.runs import load_run
from testbed.cli.report_commands import make_server
from testbed.model.errors import UsageError
from testbed.rundir.layout import RunDirectory


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A run directory to be changed, beside a file that is none of its business."""
    (tmp_path / "secret").write_text("secret")
    return Path(shutil.copytree(RUNS[0], tmp_path / RUNS[0].parent.name / RUNS[0].name))


def test_a_broken_run_is_read_or_refused(tmp_path: Path) -> None:
    """Each file broken twice: an outcome or one of our errors (``python -m dev.fuzz_runs --count 5000`` for more)."""
    came, findings = fuzz(RUNS[1], 2, seed=7, work=tmp_path)
    assert findings == {}
    assert sum(came.values()) == 2 * len(list(RUNS[1].iterdir()))


@pytest.mark.parametrize("name", ["client.pcap", "server.out", "client.calls.jsonl", "manifest.json"])
def test_a_link_that_leads_out_is_not_read(foreign: Path, name: str) -> None:
    (foreign / name).unlink()
    (foreign / name).symlink_to(foreign.parents[1] / "secret")
    with pytest.raises(UsageError, match="leads out of the run directory"):
        load_run(foreign)


def test_what_is_written_follows_no_link(foreign: Path) -> None:
    """Results are first written under a hidden name, which a directory from elsewhere may have made a link."""
    for name in (".result.json", ".report.html", "result.json"):
        (foreign / name).unlink(missing_ok=True)
        (foreign / name).symlink_to(foreign.parents[1] / "secret")
    load_run(foreign).write_reports()
    assert (foreign.parents[1] / "secret").read_text() == "secret"
    assert not (foreign / "result.json").is_symlink()


def test_what_is_served_follows_no_link(foreign: Path) -> None:
    (foreign / "leak.json").symlink_to(foreign.parents[1] / "secret")
    with make_server(RunDirectory(foreign), 0, "report.html") as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        answers = []
        for path in ("/leak.json", "/manifest.json"):
            connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1])
            connection.request("GET", path)
            answers.append(connection.getresponse().status)
            connection.close()
        server.shutdown()
    assert answers == [404, 200]


@pytest.mark.parametrize("claim", [b'{"length": 99999999999999999999}', b"[" * 100_000, b'"' + b"9" * 1_000_000])
def test_a_huge_claim_is_refused(foreign: Path, claim: bytes) -> None:
    (foreign / "manifest.json").write_bytes(claim)
    with pytest.raises(UsageError):
        load_run(foreign)
