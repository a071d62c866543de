"""How a Windows program is started by Wine in a host: what its environment must say.

Of its prefix only the directory is made beforehand, which must be the user's: Wine fills it (the registry and the
drives, 60 KB) as the program starts. A usual prefix has a copy of every library, 700 MB, and starts Windows' services
and a desktop, which takes a second each time; ``WINEBOOTSTRAPMODE`` (dlls/ntdll/unix/loader.c) has Wine load its
libraries from where they are installed, as it does itself while it makes a prefix, and the programs that are left out
are not needed without a display.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence

from testbed.lab.agent import Agent, AgentRefused
from testbed.model import Host
from testbed.model.errors import LabError

PROGRAMS = frozenset({"wine", "wine64", "wine-stable", "wine64-stable"})
"""What starts Windows programs, without its folder."""
_LEFT_OUT = ("explorer.exe", "plugplay.exe", "services.exe", "wineboot.exe", "winemenubuilder.exe")
PREFIX = "/tmp/wine"  # noqa: S108 - inside the lab
ENVIRONMENT: Mapping[str, str] = {
    "WINEPREFIX": PREFIX,
    "WINEBOOTSTRAPMODE": "1",
    "WINEDLLOVERRIDES": f"{','.join(_LEFT_OUT)}=",
    "WINEDEBUG": "-all",
}


def is_wine(argv: Sequence[str]) -> bool:
    """Say whether a command starts a Windows program."""
    return argv[0].rpartition("/")[2] in PROGRAMS


def environment(argv: Sequence[str], wanted: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for a command; ``wanted`` are the scenario's own, which come first.

    Empty unless it starts a Windows program. A prefix of the scenario's own is left as it is.
    """
    if not is_wine(argv):
        return {}
    return {"WINEDEBUG": ENVIRONMENT["WINEDEBUG"]} if "WINEPREFIX" in wanted else dict(ENVIRONMENT)


def directories(argv: Sequence[str], wanted: Mapping[str, str]) -> tuple[str, ...]:
    """Return the directories that must be there before a command starts."""
    return (PREFIX,) if is_wine(argv) and "WINEPREFIX" not in wanted else ()


LOOK_EVERY = 1.0
"""Seconds between two looks at whether Wine's server is there."""
_LOOKS = 3
"""So often it must be missing in a row: a program may be about to start it."""
_SERVER = b"wineserver"
_WINDOWS_PROGRAM = b".exe\n"


class ServerDied(LabError):  # noqa: N818 - it is what happened
    """Wine's server ended under its program, which then waits for it without end."""


class ServerWatch:
    """Looks whether the server of a host's Windows program runs: it is Windows' kernel to the program.

    It is there before the program's first line, and stays for seconds after its last program. So where a program runs
    (Wine gives its process the program's name), and no server does, it has died.
    """

    def __init__(self, agent: Agent, host: Host) -> None:
        self._agent = agent
        self._host = host
        self._was_there = False
        self._missed = 0
        self._next_look = 0.0

    def check(self) -> None:
        """Raise ServerDied if it is gone; for a program that has not ended. May be called often."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_EVERY
        names = self._processes()
        server = any(name.startswith(_SERVER) for name in names)
        self._was_there = self._was_there or server or any(name.endswith(_WINDOWS_PROGRAM) for name in names)
        self._missed = 0 if server or not self._was_there else self._missed + 1
        if self._missed >= _LOOKS:
            raise ServerDied(
                f"Wine's server (wineserver) on the {self._host} died (killed by the program, or for lack of memory?), "
                "and the program waits for it without end; what it called until then is in the log"
            )

    def _processes(self) -> list[bytes]:
        """Return the names of the host's processes, as /proc has them."""
        names = []
        for number in self._agent.list_directory("/proc"):
            if number.isdecimal():
                with contextlib.suppress(AgentRefused):  # it has ended
                    names.append(self._agent.read_file(f"/proc/{number}/comm"))
        return names
