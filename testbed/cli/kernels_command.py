"""``invoke kernels``: the kernels of our own, listed, built, removed, and carried to another machine as one file."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

from testbed.cli.progress import print_json, show_progress
from testbed.model.errors import UsageError

ACTIONS = "list, build VERSION, remove VERSION, export VERSION [--file FILE], import --file FILE"


def kernels(words: list[str], *, source: str, file: str, jobs: int, as_json: bool) -> int:
    """Carry one action out; see :data:`ACTIONS`."""
    action, *rest = words or ["list"]
    wants = {"list": 0, "build": 1, "remove": 1, "export": 1, "import": 0}
    if action not in wants or (len(rest) != wants[action]) or (action == "import" and not file):
        raise UsageError(f"`invoke kernels {' '.join(words)}` is none of: {ACTIONS}", hint="invoke kernels build 6.12")
    from testbed.lab.uml import kernel_build, kernel_store

    if action == "list":
        return _list(as_json=as_json)
    if action == "build":
        with show_progress(quiet=as_json) as progress:
            kernel = kernel_build.build(rest[0], Path(source) if source else None, progress, jobs)
        _say(f"Linux {kernel.about.release} is in {kernel.directory}")
    elif action == "remove":
        for kernel in kernel_store.remove(rest[0]):
            _say(f"removed Linux {kernel.about.release} ({kernel.about.configuration})")
    elif action == "export":
        target = Path(file or f"bothends-linux-{rest[0]}.tar.xz")
        kernel = kernel_store.pack(rest[0], target)
        _say(f"Linux {kernel.about.release} is in {target} ({target.stat().st_size / 1e6:.1f} MB)")
    else:
        kernel = kernel_store.unpack(Path(file))
        _say(f"Linux {kernel.about.release} is in {kernel.directory}")
        if not kernel.is_current:
            _say("it was configured by another version of Bothends and is not used by this one")
    return 0


def _list(*, as_json: bool) -> int:
    from testbed.lab.uml.kernel_store import kernels as all_kernels

    found = all_kernels()
    if as_json:
        print_json(
            [
                {
                    **asdict(kernel.about),
                    "directory": str(kernel.directory),
                    "size": kernel.size,
                    "used": kernel.is_current,
                }
                for kernel in found
            ]
        )
        return 0
    for kernel in found:
        notes = [f"without {', '.join(kernel.about.lacking)}"] if kernel.about.lacking else []
        notes += [] if kernel.is_current else ["another configuration: not used"]
        line = f"{kernel.about.release:<12} {kernel.size / 1e6:5.1f} MB  {kernel.about.source}"
        _say("  ".join((line, *notes)))
    if not found:
        _say("no kernel was built here: `invoke kernels build 6.12`")
    return 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
