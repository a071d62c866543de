"""Why the kernel refused a lab in namespaces, in words: which setting forbids it, and what to do."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from testbed.lab.pinned_sysctls import BadSysctlError
from testbed.model.errors import BothendsError, EngineError, Unsupported

_SETTINGS = (
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "AppArmor forbids user namespaces to plain users"),
    ("kernel/unprivileged_userns_clone", "0", "user namespaces are for root only here"),
    ("user/max_user_namespaces", "0", "no user namespace may be made here"),
    ("user/max_net_namespaces", "0", "no network namespace may be made here"),
)
_BAD_VALUES = {errno.EINVAL, errno.ERANGE}
_FORBIDDEN = {errno.EPERM, errno.EACCES, errno.ENOSPC, errno.EUSERS}


def explain(number: int, what: str, root: Path = Path("/proc/sys")) -> BothendsError:
    """Return the error for an order that the launcher could not carry out.

    Unsupported where it is the machine's own doing; ``root`` is where its settings are read.
    """
    reason_given = os.strerror(number)
    if what.startswith("sysctl ") and number in _BAD_VALUES:
        return BadSysctlError(what.removeprefix("sysctl "), reason_given)
    if what.startswith("sysctl ") or "Linux 5.12" in what:
        return Unsupported(f"this machine's kernel does not do `{what}`: {reason_given}", hint=_hint())
    if number in _FORBIDDEN:
        found = [reason + f" ({name} is {value})" for name, value, reason in _SETTINGS if _read(root / name) == value]
        return Unsupported(
            f"this machine does not let us make a lab in namespaces: {what}: {reason_given}",
            state="; ".join(found) or _who(),
            hint=_hint(),
        )
    return EngineError(f"the lab in namespaces could not be made: {what}: {reason_given}")


def _who() -> str:
    if os.geteuid() == 0:
        return "we are root, but without the privilege to make namespaces (a container without CAP_SYS_ADMIN?)"
    return "we are not root"


def _hint() -> str:
    return "--engine docker" if os.geteuid() == 0 else "run as root, or --engine docker"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
