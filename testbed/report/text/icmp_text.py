"""ICMP errors in words (RFC 792, RFC 1812 section 5.2.7, RFC 4443 section 3)."""

from __future__ import annotations

from testbed.pairing.flow_summary import NAMES
from testbed.pairing.icmp_errors import ErrorsAbout, IcmpError

_NAMES: dict[tuple[bool, int], str] = {
    (False, 3): "destination unreachable",
    (False, 4): "source quench",
    (False, 5): "redirect",
    (False, 11): "time exceeded",
    (False, 12): "parameter problem",
    (True, 1): "destination unreachable",
    (True, 2): "packet too big",
    (True, 3): "time exceeded",
    (True, 4): "parameter problem",
}
_CODES: dict[tuple[bool, int, int], str] = {
    (False, 3, 0): "network",
    (False, 3, 1): "host",
    (False, 3, 2): "protocol",
    (False, 3, 3): "port",
    (False, 3, 4): "fragmentation needed",
    (False, 3, 9): "network administratively prohibited",
    (False, 3, 10): "host administratively prohibited",
    (False, 3, 13): "communication administratively prohibited",
    (False, 11, 0): "TTL used up on the way",
    (False, 11, 1): "fragments missing",
    (True, 1, 0): "no route",
    (True, 1, 1): "administratively prohibited",
    (True, 1, 3): "address",
    (True, 1, 4): "port",
    (True, 3, 0): "hop limit used up on the way",
    (True, 3, 1): "fragments missing",
}


def error_text(error: IcmpError) -> str:
    """Return ``destination unreachable (fragmentation needed, MTU 1,400) from 198.51.100.1``."""
    name = _NAMES.get((error.six, error.type), f"type {error.type}")
    usual = "" if (error.six, error.type) == (True, 2) else f"code {error.code}"
    parts = [_CODES.get((error.six, error.type, error.code), usual)]
    if error.mtu is not None:
        parts.append(f"MTU {error.mtu:,}")
    told = ", ".join(part for part in parts if part)
    return f"{name}{f' ({told})' if told else ''} from {error.by}"


def errors_text(about: ErrorsAbout) -> str:
    """Return what was said about a flow, how often at which tap, and whether its quote is wrong."""
    counts = [f"{count:,} at the {name}" for name, count in zip(NAMES, about.packets, strict=True) if count]
    told = f"{error_text(about.error)}, {' and '.join(counts)}"
    if about.misquoted:
        told += "; what lies between rewrites the flow, but not what the error quotes, so that its sender cannot tell"
    return told
