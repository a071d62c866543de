"""Addresses of labs."""

from __future__ import annotations

import ipaddress
import random
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.lab import addresses
from testbed.lab.addresses import RANGE4, Claims, random_subnet
from testbed.lab.engine import LabHost, LabSpec
from testbed.lab.topology import topology
from testbed.model import HOSTS, Host
from testbed.model.hosts import MOST_ADDRESSES, HostAddresses, by_name, host_lines, names_of

THREE = (*HOSTS, cast("Host", "middle"))


@given(st.integers())
def test_every_subnet_is_ours_and_its_addresses_fit(seed: int) -> None:
    """Inside 198.18.0.0/15 and fd00::/8; gateway, link host and three hosts have different addresses of the subnet."""
    subnet = random_subnet(random.Random(seed), THREE)
    four, six = ipaddress.ip_network(subnet.network4), ipaddress.ip_network(subnet.network6)
    assert four.subnet_of(RANGE4)  # type: ignore[arg-type]
    assert six.subnet_of(ipaddress.ip_network("fd00::/8"))  # type: ignore[arg-type]
    for network, gateway, link, hosts in (
        (four, subnet.gateway4, subnet.link4, subnet.hosts4),
        (six, subnet.gateway6, subnet.link6, subnet.hosts6),
    ):
        own = [address for each in hosts.values() for address in each]
        addresses = [ipaddress.ip_address(address) for address in (gateway, link, *own)]
        assert len(set(addresses)) == 2 + len(THREE) * MOST_ADDRESSES
        assert all(address in network for address in addresses)
        assert network.network_address not in addresses


def test_names_of_the_addresses_of_a_lab() -> None:
    """A bare name is the first version's; /etc/hosts has all addresses under the names without a version."""
    both = HostAddresses.sorted(["fd00::3", "fd00::8", "198.18.0.3", "198.18.0.8"])
    places: dict[Host, HostAddresses] = {"client": HostAddresses({4: ("198.18.0.2",)}), "server": both}
    names = by_name(places)
    assert (names["server"], names["server.v4"], names["server.2"]) == ("fd00::3", "198.18.0.3", "fd00::8")
    assert names_of(places) == {
        "198.18.0.2": "client",
        "fd00::3": "server",
        "fd00::8": "server.2",
        "198.18.0.3": "server.v4",
        "198.18.0.8": "server.2.v4",
    }
    lines = host_lines(places)
    assert lines[0] == ("client", "198.18.0.2")
    assert [address for name, address in lines if name == "server"] == ["fd00::3", "198.18.0.3"]
    assert [address for name, address in lines if name == "server.2.v4"] == ["198.18.0.8"]


@pytest.mark.parametrize("routed", [False, True])
def test_routes_of_several_addresses(*, routed: bool) -> None:
    """The source is the first address of a version, though the kernel might take another; all others are reached."""
    host = LabHost("host", {}, "cubic", addresses=2)
    spec = LabSpec("run", dict.fromkeys(HOSTS, host), (4, 6), routed=routed)
    source = random.Random(1)
    net = topology(spec, lambda: random_subnet(source, HOSTS))
    own, other = (net.addresses[each] for each in HOSTS)
    lines = net.routes("client", host.route)
    assert all(f"src {own.of[6][0]} " in line for line in lines[6])
    if routed:
        assert [line.split()[2] for line in lines[4] + lines[6]] == list(other.all)
    else:
        assert len(lines[4]) == len(lines[6]) == 1


def test_two_labs_at_once_have_different_subnets(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as one of them has it: the kernel's trace tells connections by their addresses."""
    chosen = [random_subnet(random.Random(seed), HOSTS) for seed in (1, 1, 2, 1)]
    monkeypatch.setattr(addresses, "random_subnet", lambda *_: chosen.pop(0))
    one, other = Claims(), Claims()
    first, second = one.choose(HOSTS), other.choose(HOSTS)
    assert first.network4 != second.network4
    one.release()
    assert other.choose(HOSTS).network4 == first.network4
    other.release()


def test_subnets_differ() -> None:
    """Chance spreads over the whole range: 200 draws give more than 190 subnets."""
    source = random.Random(1)
    assert len({random_subnet(source, HOSTS).network4 for _ in range(200)}) > 190
