"""Addresses of labs."""

from __future__ import annotations

import ipaddress
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.lab import addresses
from testbed.lab.addresses import RANGE4, Claims, random_subnet
from testbed.model import HOSTS


@given(st.integers())
def test_every_subnet_is_ours_and_its_addresses_fit(seed: int) -> None:
    """Inside 198.18.0.0/15 and fd00::/8; gateway and hosts are different addresses of the subnet."""
    subnet = random_subnet(random.Random(seed), HOSTS)
    four, six = ipaddress.ip_network(subnet.network4), ipaddress.ip_network(subnet.network6)
    assert four.subnet_of(RANGE4)  # type: ignore[arg-type]
    assert six.subnet_of(ipaddress.ip_network("fd00::/8"))  # type: ignore[arg-type]
    for network, gateway, hosts in ((four, subnet.gateway4, subnet.hosts4), (six, subnet.gateway6, subnet.hosts6)):
        addresses = [ipaddress.ip_address(address) for address in (gateway, *hosts.values())]
        assert len(set(addresses)) == 3
        assert all(address in network for address in addresses)
        assert network.network_address not in addresses


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
