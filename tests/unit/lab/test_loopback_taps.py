"""A loopback that cannot be captured is a note: nothing is concluded from its capture."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest

from testbed.lab.agent import Agent
from testbed.lab.engine import LiveLab
from testbed.lab.loopback_taps import LoopbackTaps
from testbed.lab.tcpdump import TcpdumpTap
from testbed.model.errors import LabError


def test_a_tap_that_does_not_start_is_told_and_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: TcpdumpTap) -> None:
        raise LabError("tcpdump on the server ended before it captured anything")

    monkeypatch.setattr(TcpdumpTap, "start", refuse)
    live = LiveLab(hosts={}, taps={"server": cast("Agent", None)}, addresses={}, routes={})
    taps = LoopbackTaps(live, tmp_path, ["server"])
    with ThreadPoolExecutor(1) as pool:
        for started in taps.begin(pool):
            started.result()
    taps.prove(0.0)
    (note,) = taps.stop()
    assert note.startswith("loopback: tcpdump on the server ended before it captured anything")
