"""Drawn scenarios run on the real kernel, and the kernel proves what their hosts sent."""

from __future__ import annotations

import os

import pytest

from dev.truth.draw_scenario import as_scenario
from dev.truth.run_drawn import measure

DOCUMENT = {
    "summary": "drawn",
    "server": {
        "steps": [
            {"listen": 7001, "as": "listener0"},
            {"accept": None, "as": "conn0"},
            {"recv_exact": 2, "on": "conn0"},
            {"send": "x", "on": "conn0"},
        ]
    },
    "client": {
        "steps": [
            {"connect": "server:7001", "as": "sock0"},
            {"send": "a", "on": "sock0"},
            {"send": "b", "on": "sock0"},
            {"recv": 1, "on": "sock0"},
        ]
    },
}

pytestmark = [
    pytest.mark.usefixtures("namespaces"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may read the kernel's trace"),
]


def test_a_scenario_is_run_and_held_against_the_kernel() -> None:
    as_scenario(DOCUMENT, "drawn")
    measured = measure(DOCUMENT)
    assert not measured.tally.skipped
    assert measured.tally.proven == measured.tally.packets > 5
    assert measured.tally.figures == 4
    assert not measured.disagreements
