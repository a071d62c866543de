"""iperf3 between the two hosts of a bare lab of namespaces: no captures, no observers, offloads off as in every run."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from testbed.lab.agent import Agent
from testbed.lab.engine import INTERFACE, Engine, LabHost, LabSpec, LiveLab
from testbed.lab.host_sockets import is_bound
from testbed.lab.identity import new_run_id
from testbed.lab.pinned_sysctls import DEFAULT_CONGESTION_CONTROL, PINNED
from testbed.lab.running_program import Readiness
from testbed.model import HOSTS
from testbed.model.errors import LabError, LabTimeout

PORT = 5201
TIMEOUT = 60.0
"""Seconds that one transfer may take."""
_LISTENS = Readiness("ports", (PORT,))


def bring_up(engine: Engine, witness: Sequence[str] = (), run_id: str = "") -> LiveLab:
    """Make the lab."""
    host = LabHost("host", PINNED, DEFAULT_CONGESTION_CONTROL)
    live = engine.bring_up(LabSpec(run_id or new_run_id(), dict.fromkeys(HOSTS, host), (4,), witness=tuple(witness)))
    for tap in live.taps.values():
        tap.turn_off_offloads(INTERFACE)
    return live


def serve(server: Agent, preload: Sequence[str] = ()) -> Callable[[], Any]:
    """Start a server for one transfer and wait until it listens; what is returned waits for its end.

    Raises LabTimeout.
    """
    ended = server.begin([*preload, "iperf3", "--server", "--one-off"])
    deadline = time.monotonic() + TIMEOUT
    while not is_bound(server, _LISTENS):
        if time.monotonic() > deadline:
            raise LabTimeout(f"iperf3 does not listen after {TIMEOUT:g} s")
        time.sleep(0.005)
    return ended


def rate(report: str) -> float:
    """Return what the receiver counted, in bits a second, from iperf3's JSON. Raises LabError if it tells none."""
    try:
        return float(json.loads(report)["end"]["sum_received"]["bits_per_second"])
    except (ValueError, LookupError) as error:
        raise LabError("iperf3 reports no throughput", last_output=report) from error
