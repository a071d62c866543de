"""The names that a scenario may use are those that the actor knows."""

from __future__ import annotations

import re
from pathlib import Path

from testbed.lab.sysctls import PINNED
from testbed.scenario import names
from testbed.scenario.sysctls import is_known

ACTOR = (Path(__file__).parents[3] / "compose" / "actor" / "names.c").read_text(encoding="utf-8")


def test_options_and_their_kinds() -> None:
    actors = {name: kind for name, kind in re.findall(r"\b(?:SOL|TCP)\((\w+), ([A-Z]+)\)", ACTOR) if name != "name"}
    actors |= {name: "INT" for name in re.findall(r"\bIP[46]\((\w+)\)", ACTOR) if name != "name"}
    ours = {
        **dict.fromkeys(names.INT_OPTIONS, "INT"),
        **dict.fromkeys(names.DURATION_OPTIONS, "MILLISECONDS"),
        **dict.fromkeys(names.TEXT_OPTIONS, "TEXT"),
        **dict.fromkeys(names.LINGER_OPTIONS, "LINGER"),
        **dict.fromkeys(names.READ_ONLY_OPTIONS, "BYTES"),
    }
    assert ours == actors


def test_flags() -> None:
    assert {*names.SEND_FLAGS, *names.RECV_FLAGS} == set(re.findall(r"WORD\((MSG_\w+)\)", ACTOR))


def test_pinned_settings_may_be_set() -> None:
    """What a lab pins, a scenario can set otherwise."""
    assert [name for name in PINNED if not is_known(name)] == []


def test_settings_of_an_interface() -> None:
    assert is_known("net.ipv4.conf.all.rp_filter")
    assert not is_known("net.ipv4.conf.all.rp_filter.x")
    assert not is_known("net.ipv4.conf.wlan0.rp_filter")
