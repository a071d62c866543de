"""The names that a scenario may use are those that the actor knows."""

from __future__ import annotations

import re
from pathlib import Path

from testbed.scenario import names

ACTOR = (Path(__file__).parents[3] / "compose" / "tools" / "actor_names.h").read_text(encoding="utf-8")


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
