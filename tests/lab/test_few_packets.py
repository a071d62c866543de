"""The small buffer of captures of a run with few packets: it holds them all, should tcpdump never get to read one."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from testbed.lab.choose_engine import DOCKER, NAMESPACE, choose
from testbed.lab.engine import LabHost, LabSpec
from testbed.lab.identity import new_run_id
from testbed.lab.pinned_sysctls import DEFAULT_CONGESTION_CONTROL, PINNED
from testbed.lab.session import Session
from testbed.lab.tcpdump import SMALL_BUFFER_KIB, SMALLEST_BUFFER_KIB
from testbed.model import HOSTS
from testbed.scenario.few_packets import FEWEST, MOST


@pytest.mark.parametrize(("most", "buffer"), [(MOST, SMALL_BUFFER_KIB), (FEWEST, SMALLEST_BUFFER_KIB)])
@pytest.mark.parametrize("engine_name", [DOCKER, NAMESPACE])
@pytest.mark.usefixtures("engine", "namespaces")
def test_small_buffer_holds_all_packets_of_a_small_run(
    engine_name: str, most: int, buffer: str, tmp_path: Path
) -> None:
    """Four packets for each step and byte come while both captures are stopped; none is lost."""
    host = LabHost("host", PINNED, DEFAULT_CONGESTION_CONTROL)
    spec = LabSpec(new_run_id(), dict.fromkeys(HOSTS, host), (4,))
    with choose(engine_name).make(lambda _: None) as engine:
        live = engine.bring_up(spec)
        session = Session(live, tmp_path, lambda _: None, capture_buffer=buffer)
        session.start_taps(offloads=False, egress={})
        for tap in live.taps.values():
            tap.signal_all(signal.SIGSTOP)
        for agent in live.hosts.values():
            agent.open_sentinel()
        for number in range(4 * most):
            live.hosts["client"].send_sentinel(live.addresses["server"].first, "x" * (number % 1400 + 1))
        for tap in live.taps.values():
            tap.signal_all(signal.SIGCONT)
        session.settle()
        session.prove()
        session.collect()
    assert session.collected.incomplete == []
    assert all(counted["captured"] > 4 * most for counted in session.collected.tap_statistics.values())
