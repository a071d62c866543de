"""The names that a scenario may use are those that the actor knows."""

from __future__ import annotations

import re
from pathlib import Path

from testbed.lab.pinned_sysctls import PINNED
from testbed.scenario.allowed_sysctls import is_known
from testbed.scenario.language import kernel_names

ACTOR = (Path(__file__).parents[3] / "compose" / "actor" / "names.c").read_text(encoding="utf-8")


def test_options_and_their_kinds() -> None:
    table = r"\b(?:SOL|TCP|UDP|IP4_OF|IP6_OF)\((\w+), ([A-Z]+)\)"
    actors = {name: kind for name, kind in re.findall(table, ACTOR) if name != "name"}
    actors |= {name: "INT" for name in re.findall(r"\bIP[46]\((\w+)\)", ACTOR) if name != "name"}
    ours = {
        **dict.fromkeys(kernel_names.INT_OPTIONS, "INT"),
        **dict.fromkeys(kernel_names.DURATION_OPTIONS, "MILLISECONDS"),
        **dict.fromkeys(kernel_names.TEXT_OPTIONS, "TEXT"),
        **dict.fromkeys(kernel_names.LINGER_OPTIONS, "LINGER"),
        **dict.fromkeys(kernel_names.READ_ONLY_OPTIONS, "BYTES"),
        **dict.fromkeys(kernel_names.GROUP_OPTIONS, "GROUP"),
        **dict.fromkeys(kernel_names.INTERFACE_OPTIONS, "INTERFACE"),
        **dict.fromkeys(kernel_names.BLOB_OPTIONS, "BLOB"),
    }
    assert ours == actors


def test_flags() -> None:
    assert {*kernel_names.SEND_FLAGS, *kernel_names.RECV_FLAGS} == set(re.findall(r"WORD\((MSG_\w+)\)", ACTOR))


def test_pinned_settings_may_be_set() -> None:
    """What a lab pins, a scenario can set otherwise."""
    assert [name for name in PINNED if not is_known(name)] == []


def test_settings_of_an_interface() -> None:
    assert is_known("net.ipv4.conf.all.rp_filter")
    assert not is_known("net.ipv4.conf.all.rp_filter.x")
    assert not is_known("net.ipv4.conf.wlan0.rp_filter")
