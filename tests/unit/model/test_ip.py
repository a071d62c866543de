"""What an ICMP error quotes: bytes of IPv4 and IPv6 packets."""

from __future__ import annotations

import pytest

from testbed.model.ip import UDP, quoted_transport

_HEAD4 = bytes([0x46, *bytes(8), UDP, *bytes(14)])  # 24 bytes, with an option
_PORTS = bytes([0x9C, 0x40, 0x13, 0x88, *bytes(4)])


def _head6(following: int) -> bytes:
    return bytes([0x60, *bytes(5), following, *bytes(33)])


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (_HEAD4 + _PORTS, (UDP, 24)),
        (_head6(UDP) + _PORTS, (UDP, 40)),
        (_head6(44) + bytes([UDP, 255, *bytes(6)]) + _PORTS, (UDP, 48)),
        (_head6(0) + bytes([60, 0, *bytes(6)]) + bytes([UDP, 1, *bytes(14)]) + _PORTS, (UDP, 64)),
        (_head6(0) + bytes([60, 1, *bytes(6)]), (60, 56)),
        (_head6(44), (44, 40)),
    ],
)
def test_extension_headers_are_stepped_over_as_far_as_they_are_quoted(packet: bytes, expected: tuple[int, int]) -> None:
    assert quoted_transport(packet) == expected
