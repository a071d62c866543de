"""Where the files are that come with the program: beside ``testbed/`` in a clone, in this folder once installed.

``pyproject.toml`` and ``dev/wheel_hook.py`` put ``compose/``, ``scenarios/`` and, in a platform wheel, ``tools/`` here.
"""

from __future__ import annotations

import os
from pathlib import Path

_HERE = Path(__file__).parent

CODE = _HERE.parents[1]
"""The directory that holds the package ``testbed``: what another interpreter must have on its path."""
INSTALLED = (_HERE / "compose").is_dir()
"""Whether this is an installed wheel, not a clone."""
ROOT = _HERE if INSTALLED else CODE
"""The directory that holds ``compose/`` and ``scenarios/``."""
COMPOSE = ROOT / "compose"
"""A folder for each image and each C program."""
# Not platform.machine(), which is the same: that module takes 2 ms of each start.
TOOLS = _HERE / "tools" / f"linux-{os.uname().machine if os.name == 'posix' else 'none'}"
"""The programs of a lab as a platform wheel brings them, laid out as compose/Makefile does; else there is none."""
STARTER = _HERE / "starter"
"""What `bothends new` and `bothends init` write into somebody's repository."""


def user_cache() -> Path:
    """Return the directory for what is made once for a user (XDG base directory specification)."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "bothends"
