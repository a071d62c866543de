"""Read ``manifest.json``: under which conditions a run was made. :mod:`testbed.run.build_manifest` writes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from testbed.model import Host, Program, ProgramEnd, StopReason
from testbed.model.errors import UsageError
from testbed.model.kernel_counters import KernelCounters
from testbed.rundir.layout import MANIFEST, RunDirectory

FORMAT = "bothends-manifest/1"

ADDED: dict[str, Any] = {
    "cut_short": "",
    "witness": "none",
    "link": {"addresses": None, "all_addresses": None},
    "counters": {},
}
"""Members that came to FORMAT after its first run was written, with what their absence means.

``counters``: what a host's kernel counted is not known.
"""


def understood(manifest: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return a manifest with all members of FORMAT; UsageError where it has a format unknown to this version."""
    if manifest.get("format") != FORMAT:
        raise UsageError(
            f"{path} has the format {manifest.get('format')!r}, this version reads {FORMAT!r}",
            hint="use the version of bothends that made the run, or a newer one than this",
        )
    whole = ADDED | manifest
    return whole | {"link": ADDED["link"] | whole["link"]}


def is_watched(manifest: Mapping[str, Any]) -> bool:
    """Say whether two programs were watched that ran already: there is no scenario then."""
    return any("watched" in about for about in manifest["hosts"].values())


def addresses_of(manifest: Mapping[str, Any]) -> dict[Host, list[str]]:
    """Return the addresses of each host; none for one that never came up."""
    return {
        host: about.get("addresses") or [own for own in [about["address"]] if own is not None]
        for host, about in manifest["hosts"].items()
    }


def link_addresses_of(manifest: Mapping[str, Any]) -> dict[Host, list[str]]:
    """Return the link host's addresses on each host's network; none where there is no link host."""
    link = manifest["link"]
    return link["all_addresses"] or {host: [address] for host, address in (link["addresses"] or {}).items()}


def programs(manifest: dict[str, Any]) -> tuple[Program, ...]:
    """Read the programs back."""
    return tuple(_program(members) for members in manifest.get("programs", []))


def program_members(program: Program) -> dict[str, Any]:
    """Return what the manifest and ``result.json`` have of a program in common; its times are not among it."""
    return {
        "host": program.host,
        "argv": list(program.argv),
        "image": program.image,
        "exit_status": program.end.status,
        "signal": program.end.signal,
        "stopped_by_us": "" if program.end.stopped is None else program.end.stopped.value,
        "output_truncated": program.output_truncated,
    }


def counters(manifest: Mapping[str, Any]) -> dict[Host, KernelCounters]:
    """Read back what each host's kernel counted."""
    return {host: KernelCounters(each["before"], each["after"]) for host, each in manifest["counters"].items()}


def counter_members(counted: KernelCounters) -> dict[str, Any]:
    """Return what the manifest has of what a host's kernel counted: see :class:`KernelCounters`."""
    after = None if counted.after is None else dict(counted.after)
    return {"before": dict(counted.before), "after": after}


def _program(members: Mapping[str, Any]) -> Program:
    stopped = members.get("stopped_by_us")
    return Program(
        members["host"],
        tuple(members["argv"]),
        members["image"],
        ProgramEnd(members["exit_status"], members["signal"], StopReason(stopped) if stopped else None),
        members["started"],
        members["ended"],
        members.get("output_truncated", False),
    )


def meta(directory: RunDirectory) -> dict[str, Any]:
    """Return what reports say of a run besides its analysis. Raises UsageError where it is no run directory.

    ``scenario``, ``summary``, ``run_id``, ``engine``, ``directory``, ``started`` (ISO 8601) and ``notes`` (sentences).
    """
    manifest = directory.read_json(MANIFEST)
    return {
        "scenario": manifest["scenario"]["name"],
        "summary": manifest["scenario"]["summary"],
        "run_id": manifest["run"],
        "engine": manifest["engine"].get("name", ""),
        "directory": str(directory),
        "started": manifest["started"],
        "notes": manifest["notes"],
    }
