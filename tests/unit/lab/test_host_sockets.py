"""What is read of several hosts is asked of all before one has answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from testbed.lab import host_sockets
from testbed.lab.agent import AgentRefused

TCP = "  sl  local_address rem_address   st tx_queue\n   0: 00000000:271B 00000000:0000 0A 00000000:00000000 00\n"


class FakeAgent:
    """Has the files of a kernel without IPv6; notes what is asked of it and when the answer is awaited."""

    def __init__(self, name: str, seen: list[str]) -> None:
        self._name = name
        self._seen = seen
        self._files = {"/proc/net/tcp": TCP, "/proc/net/snmp": "Tcp: ActiveOpens InErrs\nTcp: 2 0\n"}

    def begin_file(self, path: str) -> Callable[[], bytes]:
        self._seen.append(f"{self._name} asked")

        def finish() -> bytes:
            self._seen.append(f"{self._name} awaited")
            if path not in self._files:
                raise AgentRefused(path, 2)
            return self._files[path].encode()

        return finish


def test_sockets_and_counters_are_asked_for_before_they_are_awaited() -> None:
    seen: list[str] = []
    agents: list[Any] = [FakeAgent("client", seen), FakeAgent("server", seen)]
    begun = [host_sockets.begin_tcp_sockets(agent) for agent in agents]
    assert seen == ["client asked"] * 2 + ["server asked"] * 2
    assert [[(socket.local_port, socket.state) for socket in finish()] for finish in begun] == [[(10011, "LISTEN")]] * 2
    seen.clear()
    counted = [host_sockets.begin_counters(agent) for agent in agents]
    assert seen == ["client asked"] * 3 + ["server asked"] * 3
    assert [finish() for finish in counted] == [{"TcpActiveOpens": 2}] * 2
