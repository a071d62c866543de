"""The manifest of a run of programs that were watched."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from testbed.lab.collected import Collected
from testbed.lab.engine import LabHost, LabSpec, LiveLab
from testbed.model import HOSTS, Host
from testbed.model.hosts import HostAddresses, IpVersion
from testbed.run import build_manifest
from testbed.rundir.layout import RunDirectory

KNOWN_FROM = "connections that were open before watching began are known from there on only"


def watched_manifest(
    directory: RunDirectory,
    targets: Mapping[Host, tuple[str, str]],
    addresses: Mapping[Host, list[str]],
    collected: Collected,
    *,
    started: datetime,
    engine: Mapping[str, Any],
    witness: str = "none",
) -> dict[str, Any]:
    """Put it together; ``targets`` are the ends as they were named, and what that is."""
    version: IpVersion = 6 if all(":" in address for own in addresses.values() for address in own) else 4
    hosts = {host: LabHost(image=targets[host][0], sysctls={}, congestion_control="") for host in HOSTS}
    known = {host: HostAddresses.sorted(own) for host, own in addresses.items()}
    live = LiveLab(
        hosts={},
        taps={},
        addresses=known,
        routes={},
        manifest={"engine": dict(engine)},
    )
    made = build_manifest.build(
        scenario={
            "name": directory.scenario,
            "summary": f"{targets['client'][0]} and {targets['server'][0]}, as they were watched",
            "by_hand": True,
        },
        spec=LabSpec(directory.run_id, hosts, (version,)),
        started=started,
        observed=collected.observers,
        live=live,
        collected=collected,
        error="",
        witness=witness,
    )
    for host in addresses:
        made["hosts"][host]["watched"] = dict(zip(("target", "what"), targets[host], strict=True))
    return made
