"""Labels of a capture for its page, as tshark gives them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from dev.bench.long_run import long_run
from testbed.crossings.frame_labels import wire_labels
from testbed.model import HOSTS
from testbed.report.captures import annotated_pcapng


@pytest.mark.skipif(shutil.which("tshark") is None, reason="there is no tshark (apt-get install tshark)")
def test_tshark_labels_the_same_frames_as_sent_again(tmp_path: Path) -> None:
    """Of a long run with losses, each end's capture alone; versions of tshark differ in other labels."""
    analysis, captures = long_run(6_000)
    for host in HOSTS:
        path = tmp_path / f"{host}.pcapng"
        with path.open("wb") as stream:
            annotated_pcapng.write(stream, analysis, {host: captures[host]})
        done = subprocess.run(
            ["tshark", "-r", str(path), "-Y", "tcp.analysis.retransmission", "-T", "fields", "-e", "frame.number"],
            capture_output=True,
            text=True,
            check=True,
        )
        theirs = {int(line) for line in done.stdout.split()}
        labels = wire_labels(captures[host])
        ours = {frame for frame, names in labels.items() if any("retransmission" in name for name in names)}
        assert ours == theirs
        assert all(1 <= frame <= len(captures[host]) for frame in labels)
    assert wire_labels(captures["client"])
