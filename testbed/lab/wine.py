"""How a Windows program is started by Wine in a host: what its environment must say.

Of its prefix only the directory is made beforehand, which must be the user's: Wine fills it (the registry and the
drives, 60 KB) as the program starts. A usual prefix has a copy of every library, 700 MB, and starts Windows' services
and a desktop, which takes a second each time; ``WINEBOOTSTRAPMODE`` (dlls/ntdll/unix/loader.c) has Wine load its
libraries from where they are installed, as it does itself while it makes a prefix, and the programs that are left out
are not needed without a display.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
