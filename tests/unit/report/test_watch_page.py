"""The page over all pairs that were watched."""

from __future__ import annotations

from pathlib import Path

from testbed.analysis.analyse import analyse
from testbed.model import HOSTS, Inputs, Joined
from testbed.report.html.watch_page import ShownRun, named, render

NOTHING = Joined((), (), dict.fromkeys(HOSTS, 0), {host: {} for host in HOSTS})


def shown(client: str, server: str) -> ShownRun:
    inputs = Inputs(NOTHING, dict.fromkeys(HOSTS, ()), dict.fromkeys(HOSTS, "none"), (), dict.fromkeys(HOSTS, ""))
    return ShownRun(client, server, Path("/nonesuch/runs/watch-a-b/1"), analyse(inputs))


def test_sentences_have_the_targets_names() -> None:
    run = shown("web", "redis")
    assert named("the client program read what server sent; clients wait", run) == (
        "web program read what redis sent; clients wait"
    )


def test_each_pair_is_there_and_hostile_names_stay_text() -> None:
    text = render([shown("web", "api"), shown("api", "<b>redis</b>")], Path("/nonesuch/runs"))
    assert "web and api: pass" in text
    assert "<b>redis" not in text
    assert "watch-a-b/1" in text
