"""What the build puts into a wheel besides ``testbed/``: ``compose/``, ``scenarios/``, and on request compiled tools.

All of it lies in ``testbed/shipped/`` there (testbed/shipped/files.py). With ``BOTHENDS_TOOLS=x86_64`` or ``aarch64``
in the environment the wheel is for that platform and has the programs of a lab compiled, so that a machine needs no
compiler; those that are neither preloaded nor preloaded into are static. Without it the wheel is for every platform,
and they are compiled at first use.
"""

from __future__ import annotations

import os
import platform
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PLACE = Path("testbed/shipped")
NOT_PACKED = {"tests", "build", "__pycache__"}
GLIBC = "manylinux_2_34"
"""The oldest C library that the probe, which is preloaded into programs, works with (README.md, Known limits)."""
COMPILERS = {"x86_64": "x86_64-linux-gnu-gcc", "aarch64": "aarch64-linux-gnu-gcc"}
DYNAMIC = ("tools", "own-program", "guest", "columns")
STATIC = ("tools/link", "tools/dump", "launch", "witness", "guest/guest", "own-program/client-static")


class WheelHook(BuildHookInterface[Any]):
    """Adds files to a wheel; an editable install needs none, since it finds those of the clone."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Say what goes where in the wheel, compiling for the platform that is asked for."""
        if version == "editable":
            return
        root = Path(self.root)
        included: dict[str, str] = build_data["force_include"]
        for folder in ("compose", "scenarios"):
            for path in sorted((root / folder).rglob("*")):
                relative = path.relative_to(root)
                if path.is_file() and not NOT_PACKED & set(relative.parts):
                    included[str(path)] = str(PLACE / relative)
        self._made = tempfile.TemporaryDirectory(prefix="bothends-wheel-")
        made = Path(self._made.name)
        own = made / "version.py"
        own.write_text(
            f'"""The version of Bothends, as its git tag has it."""\n\nVERSION = "{self.metadata.version}"\n'
        )
        included[str(own)] = "testbed/model/version.py"
        machine = os.environ.get("BOTHENDS_TOOLS", "")
        if machine:
            compile_tools(root / "compose", made / "tools", machine)
            place = PLACE / "tools" / f"linux-{machine}"
            for path in sorted((made / "tools").rglob("*")):
                if path.is_file():
                    included[str(path)] = str(place / path.relative_to(made / "tools"))
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{GLIBC}_{machine}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was compiled."""
        del version, build_data, artifact_path
        if hasattr(self, "_made"):
            self._made.cleanup()


def compile_tools(sources: Path, out: Path, machine: str) -> None:
    """Compile the programs of a lab for a machine (x86_64 or aarch64), laid out as compose/Makefile does."""
    if machine not in COMPILERS:
        raise ValueError(f"BOTHENDS_TOOLS={machine}: {' or '.join(COMPILERS)}")
    compiler = "cc" if machine == platform.machine() else COMPILERS[machine]
    with tempfile.TemporaryDirectory(prefix="bothends-objects-") as objects:
        usual = [
            "make",
            "-s",
            f"-j{os.cpu_count() or 1}",
            "-C",
            str(sources),
            f"OUT={out}",
            f"CC={compiler}",
            "WERROR=",
        ]
        subprocess.run([*usual, f"OBJ={objects}", "STATIC=1", *DYNAMIC], check=True)
        for name in STATIC:
            (out / name).unlink(missing_ok=True)
        targets = [str(out / name) for name in STATIC]
        subprocess.run([*usual, f"OBJ={objects}", "LDFLAGS=-static", *targets], check=True)
