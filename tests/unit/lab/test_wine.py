"""Which commands start Windows programs, and what these need."""

from __future__ import annotations

from testbed.lab import wine
from testbed.lab.docker import images


def test_a_windows_program_gets_a_prefix_of_its_own() -> None:
    command = ("/usr/bin/wine", "/opt/winsock/server.exe", "10011")
    assert wine.environment(command, {})["WINEPREFIX"] == wine.PREFIX
    assert wine.directories(command, {}) == (wine.PREFIX,)


def test_a_prefix_of_the_scenarios_is_left_as_it_is() -> None:
    command = ("wine", "a.exe")
    wanted = {"WINEPREFIX": "/prefix"}
    assert wine.environment(command, wanted) == {"WINEDEBUG": "-all"}
    assert wine.directories(command, wanted) == ()


def test_other_programs_get_nothing() -> None:
    assert wine.environment(("curl", "wine"), {}) == {}
    assert wine.directories(("curl", "wine"), {}) == ()


def test_what_is_large_is_made_on_demand_only() -> None:
    assert set(images.NAMES) - set(images.USUAL) == {"winsock"}
