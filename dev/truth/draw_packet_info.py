"""Drawn datagrams that say to which address of their host they came, or from which one they leave.

By a generator of random numbers of their own, so that all else of a scenario stays what it was.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

_OFTEN = 0.6
"""How many of the sockets and of the sends that can be changed are."""
_LARGEST = 100
"""Bytes: a message is written out, unlike a send."""


def name_own_addresses(document: dict[str, Any], chance: random.Random) -> None:
    """Change datagrams of hosts with several addresses in place: recv to recvmsg, send to sendmsg with an address."""
    for host in ("client", "server"):
        if document[host].get("addresses", 1) > 1:
            document[host]["steps"] = list(_steps(document[host]["steps"], host, document.get("ip", 4), chance))


def _steps(steps: list[dict[str, Any]], host: str, ip: Any, chance: random.Random) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - as in the file
    told: set[str] = set()
    for step in steps:
        made = step.get("socket")
        kind = made if isinstance(made, dict) else {"type": made}
        sending = step.get("send")
        if kind["type"] == "udp":
            yield step
            if chance.random() < _OFTEN:
                told.add(step["as"])
                option = "IP_PKTINFO" if kind.get("ip", ip) == 4 else "IPV6_RECVPKTINFO"
                yield {"setsockopt": {option: True}, "on": step["as"]}
        elif isinstance(step.get("recv"), int) and step["on"] in told:
            yield {**{key: value for key, value in step.items() if key != "recv"}, "recvmsg": [step["recv"]]}
        elif isinstance(sending, dict) and "to" in sending and sending.get("size", _LARGEST + 1) <= _LARGEST:
            yield _from_own_address(step, host, chance) if chance.random() < _OFTEN else step
        else:
            yield step


def _from_own_address(step: dict[str, Any], host: str, chance: random.Random) -> dict[str, Any]:
    """Return the step as one that names an address of its host, of the version of IP of the one that it sends to."""
    sending = {key: value for key, value in step["send"].items() if key != "size"}
    version = next((f".v{version}" for version in (4, 6) if f".v{version}:" in sending["to"]), "")
    source = host + chance.choice(("", ".2")) + version
    sendmsg = {"parts": ["x" * step["send"]["size"]], **sending, "from": source}
    return {"sendmsg": sendmsg, **{key: value for key, value in step.items() if key != "send"}}
