"""Build ``manifest.json``: under which conditions a run was made. Written once, when the lab is down or has failed.

Reading it is in :mod:`testbed.rundir.manifest`.
"""

from __future__ import annotations

import functools
import platform
import re
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

from testbed.lab.collected import Collected
from testbed.lab.engine import LabSpec, LiveLab
from testbed.model import Host
from testbed.model.version import VERSION
from testbed.rundir.manifest import FORMAT, counter_members, program_members

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
        "deterministic": bool(live and live.manifest.get("deterministic")),
        "images": live.manifest.get("images", {}) if live else {},
        "runner": {
            "bothends": VERSION,
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.release()}",
            "packages": package_versions(),
        },
        "link": {
            "kind": "routed" if spec.routed else "direct",
            "subnet": live.manifest.get("subnet", "") if live else "",
            "addresses": {host: own.first for host, own in live.link.addresses.items()} if live and live.link else {},
            "all_addresses": {host: own.all for host, own in live.link.addresses.items()} if live and live.link else {},
            "totals": result.link_totals,
        },
        "ip": spec.ip[0] if len(spec.ip) == 1 else list(spec.ip),
        "witness": witness,
        "hosts": {
            host: {
                "image": spec.hosts[host].image,
                "address": live.addresses[host].first if live else None,
                "addresses": list(live.addresses[host].all) if live else [],
                "observer": observed[host],
                "calls_proven": host in result.proven,
                "sysctls_set": dict(spec.hosts[host].sysctls),
                "sysctls": result.sysctls.get(host, {}),
                "congestion_control": spec.hosts[host].congestion_control,
                "route": spec.hosts[host].route,
                "offloads": result.offloads.get(host, {}),
                "files": {file.path: f"sha256:{file.digest}" for file in spec.hosts[host].files},
            }
            for host in spec.hosts
        },
        "counters": {host: counter_members(counters) for host, counters in result.counters.items()},
        "taps": {
            host: {"version": result.tcpdump.get(host, ""), "statistics": statistics}
            for host, statistics in result.tap_statistics.items()
        },
        "programs": [
            program_members(program) | {"started": program.started, "ended": program.ended}
            for program in result.programs
        ],
        "failures": result.failures,
        "incomplete": result.incomplete,
        "notes": result.notes,
    }


@functools.cache
def package_versions() -> dict[str, str]:
    """Return the versions of the libraries that have a part in a run."""
    return {package: _version(package) for package in PACKAGES}


def _version(package: str) -> str:
    """Return a package's version; ``metadata.version`` parses the whole file as a mail, 2 ms for each package."""
    try:
        head = metadata.distribution(package).read_text("METADATA") or ""
    except metadata.PackageNotFoundError:  # scapy, where no scenario forges packets (docs/dependencies.md)
        return "not installed"
    said = re.search(r"^Version: *(\S+)", head, re.MULTILINE)
    return said[1] if said else metadata.version(package)
