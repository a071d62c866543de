"""Steps compile to exactly the lines that docs/protocols.md gives the actor."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import TypeAdapter

from testbed.scenario.steps.actor_script import actor_script
from testbed.scenario.steps.step import STEPS, AnyStep

ADDRESSES = {
    "client": "198.18.0.2",
    "client.2": "198.18.0.5",
    "server": "198.18.0.3",
    "server.v6": "fd00::3",
    "server.2.v6": "fd00::8",
}
TCP = {"socket": "tcp"}
UDP = {"socket": "udp"}
NEW = "0 socket as=sock family=inet type=stream"
NEW_UDP = "0 socket as=sock family=inet type=dgram"


def compiled(*written: dict[str, Any], family: Literal["inet", "inet6"] = "inet", seed: int = 7) -> list[str]:
    steps = TypeAdapter(tuple[AnyStep, ...]).validate_python(written)
    lines = actor_script(steps, family=family, addresses=ADDRESSES, seed=seed).split("\n")
    assert lines[-2:] == ["end", ""]
    return lines[:-2]


CASES: list[tuple[list[dict[str, Any]], list[str]]] = [
    (
        [{"listen": 10011}, {"accept": None}, {"recv_all": None}, {"close": None}, {"close": None}],
        [
            "0 socket as=listener family=inet type=stream",
            "0 setsockopt sock=listener name=SO_REUSEADDR value=1",
            "0 bind sock=listener addr=0.0.0.0 port=10011",
            "0 listen sock=listener backlog=128",
            "1 accept sock=listener as=conn",
            "2 recv_all sock=conn",
            "3 close sock=conn",
            "4 close sock=listener",
        ],
    ),
    (
        [{"connect": "server.2.v6:80"}, {"close": None}, {"listen": {"port": 80, "ip": 6}}],
        [
            "0 socket as=sock family=inet6 type=stream",
            "0 connect sock=sock addr=fd00::8 port=80",
            "1 close sock=sock",
            "2 socket as=listener family=inet6 type=stream",
            "2 setsockopt sock=listener name=SO_REUSEADDR value=1",
            "2 bind sock=listener addr=:: port=80",
            "2 listen sock=listener backlog=128",
        ],
    ),
    (  # an address of IPv4 on a socket of IPv6 is IPv4-mapped
        [
            {"socket": {"type": "udp", "ip": 6}},
            {"bind": "client.2:7"},
            {"dup": "sock"},
            {"send": {"text": "x", "to": "server:5"}, "on": "copy"},
            {"send": {"text": "x", "to": "server.v6:5"}, "on": "sock"},
        ],
        [
            "0 socket as=sock family=inet6 type=dgram",
            "1 bind sock=sock addr=::ffff:198.18.0.5 port=7",
            "2 dup sock=sock as=copy",
            "3 send sock=copy hex=78 addr=::ffff:198.18.0.3 port=5",
            "4 send sock=sock hex=78 addr=fd00::3 port=5",
        ],
    ),
    ([{"connect": "server:80"}], [NEW, "0 connect sock=sock addr=198.18.0.3 port=80"]),
    (
        [{"connect": "server:80", "as": "a"}, {"connect": "server:81", "as": "b"}, {"send": "é", "on": "a"}],
        [
            "0 socket as=a family=inet type=stream",
            "0 connect sock=a addr=198.18.0.3 port=80",
            "1 socket as=b family=inet type=stream",
            "1 connect sock=b addr=198.18.0.3 port=81",
            "2 send sock=a hex=c3a9",
        ],
    ),
    (
        [TCP, {"connect": "server:80", "error": "ECONNREFUSED"}],
        [NEW, "1 connect sock=sock addr=198.18.0.3 port=80 expect=ECONNREFUSED"],
    ),
    (
        [{"socket": {"type": "tcp", "nonblocking": True}, "as": "x"}, {"bind": "client:5000"}],
        ["0 socket as=x family=inet type=stream nonblock=1", "1 bind sock=x addr=198.18.0.2 port=5000"],
    ),
    (
        [
            TCP,
            {"setsockopt": {"TCP_NODELAY": True, "SO_LINGER": [1, 0], "SO_RCVTIMEO": "2s", "TCP_CONGESTION": "reno"}},
        ],
        [
            NEW,
            "1 setsockopt sock=sock name=TCP_NODELAY value=1",
            "1 setsockopt sock=sock name=SO_LINGER value=1,0",
            "1 setsockopt sock=sock name=SO_RCVTIMEO value=2000",
            "1 setsockopt sock=sock name=TCP_CONGESTION value=reno",
        ],
    ),
    ([TCP, {"getsockopt": "TCP_INFO"}], [NEW, "1 getsockopt sock=sock name=TCP_INFO"]),
    (
        [TCP, {"bind": ":0"}, {"listen": {"backlog": 1}}, {"accept": None, "error": "EAGAIN"}, {"accept": None}],
        [
            NEW,
            "1 bind sock=sock addr=0.0.0.0 port=0",
            "2 listen sock=sock backlog=1",
            "3 accept sock=sock as=conn-failed-3 expect=EAGAIN",
            "4 accept sock=sock as=conn",
        ],
    ),
    (
        [TCP, {"send": {"size": "1KiB", "chunk": 100}}, {"send": {"bytes": "00 FF", "flags": ["MSG_MORE", "MSG_OOB"]}}],
        [NEW, "1 send sock=sock size=1024 seed=7 chunk=100", "2 send sock=sock hex=00ff flags=MSG_MORE,MSG_OOB"],
    ),
    (
        [UDP, {"send": {"text": "", "to": "server:5000"}}, {"sendmsg": {"parts": ["a", "bc"], "to": "server:5000"}}],
        [
            NEW_UDP,
            "1 send sock=sock hex= addr=198.18.0.3 port=5000",
            "2 sendmsg sock=sock parts=61,6263 addr=198.18.0.3 port=5000",
        ],
    ),
    (
        [UDP, {"sendmsg": {"parts": ["a"], "to": "server:5000", "from": "client.2"}}],
        [NEW_UDP, "1 sendmsg sock=sock parts=61 from=198.18.0.5 addr=198.18.0.3 port=5000"],
    ),
    (
        [TCP, {"recv": {"size": 5, "flags": ["MSG_PEEK"]}}, {"recv_exact": {"size": 9, "chunk": 3}, "error": "EOF"}],
        [NEW, "1 recv sock=sock size=5 flags=MSG_PEEK", "2 recv_exact sock=sock size=9 chunk=3 expect=EOF"],
    ),
    (
        [TCP, {"on_readable": {"read": "once", "size": 1, "timeout": "2s"}}, {"on_readable": "drain"}],
        [NEW, "1 on_readable sock=sock mode=once size=1 timeout=2000", "2 on_readable sock=sock mode=drain size=65536"],
    ),
    (
        [TCP, {"shutdown": "write"}, {"shutdown": "read"}, {"shutdown": "both", "error": "any"}],
        [
            NEW,
            "1 shutdown sock=sock how=wr",
            "2 shutdown sock=sock how=rd",
            "3 shutdown sock=sock how=rdwr expect=any",
        ],
    ),
    (
        [TCP, {"connect": "server:80"}, {"writev": ["a", "bc"]}, {"sendfile": "1KiB"}, {"wait": "writable"}],
        [
            NEW,
            "1 connect sock=sock addr=198.18.0.3 port=80",
            "2 writev sock=sock parts=61,6263",
            "3 sendfile sock=sock size=1024 seed=7",
            "4 wait sock=sock for=out",
        ],
    ),
    (
        [TCP, {"on_readable": {"read": "each", "by": "epoll-edge", "timeout": "1s"}}, {"exit": 3}],
        [NEW, "1 on_readable sock=sock mode=each size=65536 by=epoll-edge timeout=1000", "2 exit status=3"],
    ),
    (
        [TCP, {"wait": {"for": "error", "timeout": "1s"}}, {"kill": "SIGKILL"}],
        [NEW, "1 wait sock=sock for=error timeout=1000", "2 kill signal=SIGKILL"],
    ),
    (
        [UDP, {"connect": "server:80"}, {"disconnect": None}, {"dup": None, "as": "d"}, {"close": "sock"}],
        [
            NEW_UDP,
            "1 connect sock=sock addr=198.18.0.3 port=80",
            "2 disconnect sock=sock",
            "3 dup sock=sock as=d",
            "4 close sock=sock",
        ],
    ),
    (
        [
            {"connect": "server:80"},
            {"send": {"size": "1MiB", "flags": ["MSG_DONTWAIT"], "partial": True}},
            {"sendmsg": {"parts": ["a"], "partial": True}},
            {"sendmmsg": ["a", "bc"]},
            {"splice": "1KiB"},
            {"splice": {"size": 9, "from": "sock"}},
            {"splice": {"size": 9, "from": "sock", "to": "sock"}, "error": "EAGAIN"},
        ],
        [
            NEW,
            "0 connect sock=sock addr=198.18.0.3 port=80",
            "1 send sock=sock size=1048576 seed=7 flags=MSG_DONTWAIT once=1",
            "2 sendmsg sock=sock parts=61 once=1",
            "3 sendmmsg sock=sock parts=61,6263",
            "4 splice to=sock size=1024 seed=7",
            "5 splice sock=sock size=9",
            "6 splice sock=sock to=sock size=9 expect=EAGAIN",
        ],
    ),
    (
        [TCP, {"readv": [1, "1KiB"]}, {"recvmsg": {"sizes": [3], "flags": ["MSG_ERRQUEUE"]}}, {"recvmmsg": 4}],
        [
            NEW,
            "1 readv sock=sock sizes=1,1024",
            "2 recvmsg sock=sock sizes=3 flags=MSG_ERRQUEUE",
            "3 recvmmsg sock=sock count=4 size=2048",
        ],
    ),
    (
        [
            {"connect": "server:80", "as": "a"},
            {"connect": "server:81", "as": "b"},
            {"wait": {"sockets": {"a": "readable", "b": "writable"}, "by": "select", "timeout": "1s"}},
            {"on_readable": {"read": "each", "size": 5, "by": "epoll", "sockets": ["a", "b"]}},
        ],
        [
            "0 socket as=a family=inet type=stream",
            "0 connect sock=a addr=198.18.0.3 port=80",
            "1 socket as=b family=inet type=stream",
            "1 connect sock=b addr=198.18.0.3 port=81",
            "2 wait_any socks=a:in,b:out by=select timeout=1000",
            "3 serve socks=a,b mode=each size=5 by=epoll",
        ],
    ),
    (
        [
            {"socketpair": ["p", "q"]},
            TCP,
            {
                "fork": "child",
                "steps": [{"recv_fd": "tcp", "on": "q"}, {"exec": {"command": "cat x", "stdin": "passed"}}],
            },
            {"send_fd": "sock", "on": "p"},
            {"repeat": 2, "steps": [{"fork": "x", "steps": [{"kill": "SIGTERM"}]}, {"sleep": "1s"}]},
            {"waitpid": "child"},
            {"link": {"delay": "5ms"}},
        ],
        [
            "0 socketpair as=p and=q",
            "1 socket as=sock family=inet type=stream",
            "2 fork name=child status=0",
            "3 recv_fd sock=q as=passed family=inet type=stream",
            "4 exec parts=636174,78 stdin=passed",
            "2 end_fork",
            "5 send_fd sock=p fd=sock",
            *["7 fork name=x signal=SIGTERM", "8 kill signal=SIGTERM", "7 end_fork", "9 sleep ms=1000"] * 2,
            "10 waitpid name=child",
            "11 barrier name=link.11",
        ],
    ),
    ([{"sleep": "1s"}, {"barrier": "all-sent"}], ["0 sleep ms=1000", "1 barrier name=all-sent"]),
    ([{"wait_packet": "client S"}], ["0 barrier name=packet.0"]),
    ([{"sleep": "1s"}, {"link": {"delay": "5ms"}}], ["0 sleep ms=1000", "1 barrier name=link.1"]),
]


@pytest.mark.parametrize(("steps", "lines"), CASES, ids=lambda case: str(case)[:60])
def test_steps_become_these_lines(steps: list[dict[str, Any]], lines: list[str]) -> None:
    assert compiled(*steps) == lines


def test_each_step_is_in_a_case() -> None:
    used: set[str] = set()

    def look(steps: list[dict[str, Any]]) -> None:
        for step in steps:
            used.update(step)
            look(step.get("steps", []))

    for steps, _ in CASES:
        look(steps)
    assert used >= set(STEPS)


def test_ipv6_has_its_own_family_and_wildcard() -> None:
    assert compiled({"listen": 1}, family="inet6")[0::2] == [
        "0 socket as=listener family=inet6 type=stream",
        "0 bind sock=listener addr=:: port=1",
    ]
