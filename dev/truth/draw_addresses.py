"""Drawn scenarios of both versions of IP and with several addresses: some of those that were drawn without are changed.

By a generator of random numbers of their own, so that the others stay what they were.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

_BOTH = 0.12
"""How many scenarios have both versions of IP."""
_SEVERAL = 0.12
"""How many have hosts with several addresses."""


def spread(document: dict[str, Any], chance: random.Random) -> None:
    """Change a drawn document in place, mostly not at all."""
    drawn = _Addresses(chance, both=chance.random() < _BOTH, several=chance.random() < _SEVERAL)
    if drawn.both:
        document["ip"] = chance.choice(([4, 6], [6, 4]))
    for host in ("client", "server") if drawn.both or drawn.several else ():
        if drawn.several:
            document[host]["addresses"] = chance.choice((2, 2, 4))
        document[host]["steps"] = list(drawn.steps(document[host]["steps"], host))


class _Addresses:
    def __init__(self, chance: random.Random, *, both: bool, several: bool) -> None:
        self.chance, self.both, self.several = chance, both, several
        self.versions: dict[str, int] = {}

    def steps(self, steps: list[dict[str, Any]], host: str) -> Iterator[dict[str, Any]]:
        """Yield a host's steps with sockets of a version, and names of addresses that such can use."""
        for step in steps:
            if "socket" in step:
                yield from self._socket(step, host)
            elif "bind" in step and self.several and self.chance.random() < 0.3:
                yield {**step, "bind": self._name(host, step["on"]) + step["bind"]}
            elif "connect" in step:
                peer, _, port = step["connect"].partition(":")
                yield {**step, "connect": f"{self._name(peer, step['on'])}:{port}"}
            elif isinstance(step.get("send"), dict) and "to" in step["send"]:
                peer, _, port = step["send"]["to"].partition(":")
                yield {**step, "send": {**step["send"], "to": f"{self._name(peer, step['on'])}:{port}"}}
            else:
                yield step

    def _socket(self, step: dict[str, Any], host: str) -> Iterator[dict[str, Any]]:
        if self.both:
            version = self.versions[step["as"]] = self.chance.choice((4, 6))
            made = step["socket"] if isinstance(step["socket"], dict) else {"type": step["socket"]}
            step = {**step, "socket": {**made, "ip": version}}
        yield step
        if self.several and host == "client" and self.chance.random() < 0.3:
            yield {"bind": f"{self._name(host, step['as'])}:0", "on": step["as"]}

    def _name(self, host: str, socket: str) -> str:
        second = ".2" if self.several and self.chance.random() < 0.5 else ""
        if not self.both:
            return host + second
        return f"{host}{second}.v{4 if self.versions[socket] == 4 else self.chance.choice((4, 6, 6))}"
