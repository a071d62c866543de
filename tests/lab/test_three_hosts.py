"""Labs take hosts as they are given: one with a third host comes up, records and proves three captures complete."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from testbed.lab.agent import Agent
from testbed.lab.choose_engine import DOCKER, NAMESPACE, choose
from testbed.lab.engine import ACTOR, LabHost, LabSpec
from testbed.lab.identity import new_run_id
from testbed.lab.pinned_sysctls import DEFAULT_CONGESTION_CONTROL, PINNED
from testbed.lab.session import Session
from testbed.model import HOSTS, Host
from testbed.model.hosts import MOST_ADDRESSES

THREE = (*HOSTS, cast("Host", "middle"))


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize(("engine_name", "routed"), [(DOCKER, False), (DOCKER, True), (NAMESPACE, True)])
@pytest.mark.usefixtures("engine", "namespaces")
def test_a_lab_of_three_hosts(engine_name: str, tmp_path: Path, *, routed: bool, many: bool) -> None:
    """On one bridge, and each on a network of its own behind the link host, which here only forwards.

    With as many addresses as a host may have, of both versions of IP, each reaches all of every other host's.
    """
    host = LabHost("host", PINNED, DEFAULT_CONGESTION_CONTROL, addresses=MOST_ADDRESSES if many else 1)
    spec = LabSpec(new_run_id(), dict.fromkeys(THREE, host), (6, 4) if many else (4,), routed=routed)
    with choose(engine_name).make(lambda _: None) as engine:
        live = engine.bring_up(spec)
        assert set(live.hosts) == set(live.taps) == set(live.addresses) == set(live.routes) == set(THREE)
        all_ = [address for own in live.addresses.values() for address in own.all]
        assert len(set(all_)) == len(all_) == len(THREE) * (2 * MOST_ADDRESSES if many else 1)
        session = Session(live, tmp_path, lambda _: None)
        session.start_taps(offloads=False, egress={})
        for name in THREE if many else ():
            others = [address for other, own in live.addresses.items() if other != name for address in own.all]
            _assert_reaches(live.hosts[name], others)
        session.settle()
        session.prove()
        session.collect()
    assert session.collected.incomplete == []
    assert set(session.collected.calls) == set(session.collected.sysctls) == set(THREE)
    assert all((tmp_path / f"{name}.pcap").stat().st_size for name in THREE)


def _assert_reaches(agent: Agent, addresses: list[str]) -> None:
    """A connection to a port on which nothing listens is refused by the host that has the address."""
    lines = []
    for n, address in enumerate(addresses):
        family = "inet6" if ":" in address else "inet"
        lines.append(f"{n} socket as=s{n} family={family} type=stream")
        lines.append(f"{n} connect sock=s{n} addr={address} port=4711 expect=ECONNREFUSED")
    agent.run(ACTOR, text="\n".join([*lines, "end", ""]))
