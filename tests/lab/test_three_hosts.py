"""Labs take hosts as they are given: one with a third host comes up, records and proves three captures complete."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from testbed.lab.choose_engine import DOCKER, NAMESPACE, choose
from testbed.lab.engine import LabHost, LabSpec
from testbed.lab.identity import new_run_id
from testbed.lab.pinned_sysctls import DEFAULT_CONGESTION_CONTROL, PINNED
from testbed.lab.session import Session
from testbed.model import HOSTS, Host

THREE = (*HOSTS, cast("Host", "middle"))


@pytest.mark.parametrize(("engine_name", "routed"), [(DOCKER, False), (DOCKER, True), (NAMESPACE, True)])
@pytest.mark.usefixtures("engine", "namespaces")
def test_a_lab_of_three_hosts(engine_name: str, tmp_path: Path, *, routed: bool) -> None:
    """On one bridge, and each on a network of its own behind the link host, which here only forwards."""
    host = LabHost("host", PINNED, DEFAULT_CONGESTION_CONTROL)
    spec = LabSpec(new_run_id(), dict.fromkeys(THREE, host), 4, routed=routed)
    with choose(engine_name).make(lambda _: None) as engine:
        live = engine.bring_up(spec)
        assert set(live.hosts) == set(live.taps) == set(live.addresses) == set(live.routes) == set(THREE)
        assert len(set(live.addresses.values())) == len(THREE)
        session = Session(live, tmp_path, lambda _: None)
        session.start_taps(offloads=False, egress={})
        session.settle()
        session.prove()
        session.collect()
    assert session.collected.incomplete == []
    assert set(session.collected.calls) == set(session.collected.sysctls) == set(THREE)
    assert all((tmp_path / f"{name}.pcap").stat().st_size for name in THREE)
