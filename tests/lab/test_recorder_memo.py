"""What the recorder of a campaign's worker remembers of its events (compose/witness/memo.h)."""

from __future__ import annotations

import os
from pathlib import Path

from testbed.lab.namespace.namespace_engine import Namespaces
from testbed.lab.namespace.namespace_trace import on_this_machine
from testbed.observe.kernel.kernel_jsonl import read_jsonl
from testbed.report.json.result_file import result_of
from testbed.run.live_lab import run
from testbed.rundir.layout import KERNEL
from testbed.scenario.load import load

from .conftest import ROOT
from .coverage import untold
from .test_witness import root_only


@root_only
def test_what_a_recorder_remembers_is_what_the_kernel_says(namespaces: None, tmp_path: Path) -> None:
    """A run has the same events whether the kernel was asked for them or the memo, and when the instances are gone."""
    del namespaces
    labs, recorder = Namespaces(), on_this_machine()
    labs.keep_up = True
    assert recorder is not None
    scenario = load(ROOT / "scenarios" / "echo.yaml", settings={"observe.kernel": True})
    told, memos = [], []
    try:
        for without in ("", "", ".stacks", ".calls"):
            kept = labs.take_recorder()
            memos.append(os.fstat(kept.memo).st_size)
            labs.give_recorder(kept)
            if without:
                recorder(["remove", f"{kept.instance}{without}"])
            finished = run(scenario, root=tmp_path, make_engine=labs, progress=lambda _: None)
            result = result_of(finished.directory, finished.analysis)
            assert (result["outcome"], untold(result, finished.directory.path)) == ("pass", [])
            with finished.directory.file(KERNEL).open(encoding="utf-8") as lines:
                log = read_jsonl(lines)
            told.append((log.recorded, log.missing, log.problems, sorted(log.departures)))
    finally:
        labs.close()
    assert memos[0] == 0
    assert memos[1] > 10_000
    assert told[0][0]
    assert told[0][3] == ["client", "server"]
    assert told == told[:1] * len(told)
