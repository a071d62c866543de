"""``manifest.json``: under which conditions a run was made. Written once, when the lab is down or has failed."""

from __future__ import annotations

import functools
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import testbed
from testbed import model
from testbed.lab.collected import Collected
from testbed.lab.engine import LabSpec, LiveLab
from testbed.model import HOSTS, Host
from testbed.model.errors import UsageError

FORMAT = "bothends-manifest/1"
PACKAGES = ("docker", "invoke", "numpy", "pydantic", "PyYAML", "rich", "scapy", "xxhash")


def build(
    *,
    scenario: dict[str, Any],
    spec: LabSpec,
    started: datetime,
    observed: dict[Host, str],
    live: LiveLab | None,
    collected: Collected | None,
    error: str,
    witness: str = "none",
) -> dict[str, Any]:
    """Put together what is known; ``live`` and ``collected`` are None when the run did not come so far.

    ``error`` is why the run was cut short, empty for a run that went to its end. ``witness``: ``demanded``, ``offered``
    or ``none``.
    """
    now = datetime.now(UTC)
    result = collected or Collected()
    return {
        "format": FORMAT,
        "scenario": scenario,
        "run": spec.run_id,
        "started": started.isoformat(timespec="milliseconds"),
        "ended": now.isoformat(timespec="milliseconds"),
        "error": error,
        "cut_short": result.cut_short,
        "engine": live.manifest.get("engine", {}) if live else {},
        "images": live.manifest.get("images", {}) if live else {},
        "runner": {
            "bothends": testbed.__version__,
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.release()}",
            "packages": package_versions(),
        },
        "link": {
            "kind": "routed" if spec.routed else "direct",
            "subnet": live.manifest.get("subnet", "") if live else "",
            "addresses": dict(live.link.addresses) if live and live.link else {},
            "totals": result.link_totals,
        },
        "ip": spec.ip,
        "witness": witness,
        "hosts": {
            host: {
                "image": spec.hosts[host].image,
                "address": live.addresses[host] if live else None,
                "observer": observed[host],
                "sysctls_set": dict(spec.hosts[host].sysctls),
                "sysctls": result.sysctls.get(host, {}),
                "congestion_control": spec.hosts[host].congestion_control,
                "route": spec.hosts[host].route,
                "offloads": result.offloads.get(host, {}),
            }
            for host in HOSTS
        },
        "taps": {
            host: {"version": result.tcpdump.get(host, ""), "statistics": statistics}
            for host, statistics in result.tap_statistics.items()
        },
        "programs": [asdict(program) for program in result.programs],
        "failures": result.failures,
        "incomplete": result.incomplete,
        "notes": result.notes,
    }


ADDED: dict[str, Any] = {"cut_short": "", "witness": "none", "link": {"addresses": None}}
"""Members that came to FORMAT after its first run was written, with what their absence means."""


def understood(manifest: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return a manifest with all members of FORMAT; UsageError where it has a format unknown to this version."""
    if manifest.get("format") != FORMAT:
        raise UsageError(
            f"{path} has the format {manifest.get('format')!r}, this version reads {FORMAT!r}",
            hint="use the version of bothends that made the run, or a newer one than this",
        )
    whole = ADDED | manifest
    return whole | {"link": ADDED["link"] | whole["link"]}


def programs(manifest: dict[str, Any]) -> tuple[model.Program, ...]:
    """Read the programs back."""
    return tuple(
        model.Program(**{**program, "argv": tuple(program["argv"])}) for program in manifest.get("programs", [])
    )


@functools.cache
def package_versions() -> dict[str, str]:
    """Return the versions of the libraries that have a part in a run."""
    return {package: metadata.version(package) for package in PACKAGES}
