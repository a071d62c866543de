"""What steps compile to is a script that the real actor takes."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import TypeAdapter

from testbed.model import HOSTS
from testbed.model.hosts import HostAddresses, IpVersion, by_name
from testbed.scenario.load import load
from testbed.scenario.steps.actor_script import actor_script
from testbed.scenario.steps.all_steps import written
from testbed.scenario.steps.step import STEPS, AnyStep
from tests.nonempty import nonempty

ROOT = Path(__file__).parents[2]

ALL_STEPS: list[dict[str, Any]] = [
    {"listen": 10011},
    {"accept": None, "error": "EAGAIN"},
    {"accept": None},
    {"close": "conn"},
    {"socket": {"type": "tcp", "nonblocking": True}, "as": "plain"},
    {"bind": "client:0"},
    {"listen": {"backlog": 1}},
    {"listen": {"port": 10012, "ip": 6}, "as": "six"},
    {"close": "six"},
    {"connect": "server:80", "as": "c", "error": "ECONNREFUSED"},
    {"setsockopt": {"TCP_NODELAY": 1, "SO_LINGER": [1, 0], "SO_RCVTIMEO": "2s", "TCP_CONGESTION": "reno"}},
    {"getsockopt": "TCP_INFO"},
    {"send": {"bytes": "00ff", "flags": ["MSG_MORE", "MSG_OOB"]}},
    {"send": {"size": "8MiB", "chunk": "64KiB"}},
    {"sendmsg": ["a", "", "bc"]},
    {"recv": {"size": 5, "flags": ["MSG_PEEK", "MSG_DONTWAIT"]}},
    {"recv_exact": {"size": 9, "chunk": 3}, "error": "EOF"},
    {"recv_all": {"chunk": 10}},
    {"on_readable": {"read": "once", "size": 1, "timeout": "2s"}, "error": "TIMEOUT"},
    {"on_readable": "drain"},
    {"shutdown": "both", "error": "any"},
    {"socket": "udp", "as": "u"},
    {"send": {"text": "", "to": "server:5000"}},
    {"sleep": "5ms"},
    {"barrier": "all-sent"},
    {"writev": ["a", "b"], "on": "c"},
    {"sendfile": "1KiB", "on": "c"},
    {"wait": {"for": "writable", "timeout": "1s"}, "on": "c"},
    {"on_readable": {"read": "each", "by": "epoll-edge"}, "on": "c"},
    {"dup": "c", "as": "d"},
    {"disconnect": None, "on": "d"},
    {"sendmmsg": {"messages": ["a", "b"], "partial": True}, "on": "c"},
    {"splice": {"size": 9, "from": "c", "to": "d"}},
    {"splice": {"size": 9, "from": "c"}},
    {"splice": 9},
    {"readv": [1, 2], "on": "c"},
    {"recvmsg": [1, 2], "on": "c"},
    {"recvmmsg": {"messages": 3, "flags": ["MSG_WAITFORONE"]}, "on": "c"},
    {"wait": {"sockets": {"c": "readable", "d": "writable"}, "by": "select", "timeout": "1s"}},
    {"on_readable": {"read": "once", "by": "epoll", "sockets": ["c", "d"]}},
    {"socketpair": ["p", "q"]},
    {
        "fork": "child",
        "steps": [
            {"recv_fd": "tcp", "on": "q"},
            {"close": "c"},
            {"exec": {"command": ["cat", "a b"], "stdin": "passed", "exit": "any"}},
        ],
    },
    {"send_fd": "c", "on": "p"},
    {"repeat": 3, "steps": [{"accept": None, "as": "again", "error": "EAGAIN"}, {"send": "x", "on": "c"}]},
    {"waitpid": "child"},
    {"wait_packet": {"from": "client", "has": "F"}},
    {"exit": 3},
    {"kill": "SIGKILL"},
    {"link": {"delay": "5ms"}},
]


def complaints(actor_program: Path, script: str) -> list[str]:
    """What the actor says of a script, to which a line is added that keeps it from running."""
    stopped = script.removesuffix("end\n") + "0 no-such-step\nend\n"
    done = subprocess.run([str(actor_program)], input=stopped, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2, done
    return done.stderr.splitlines()


@pytest.mark.parametrize("family", ["inet", "inet6"])
def test_each_kind_of_step_is_taken(actor_program: Path, family: Any) -> None:
    """Only the line that was added is refused."""
    addresses = {"inet": "198.18.0.3", "inet6": "fd00::3"}
    steps = TypeAdapter(tuple[AnyStep, ...]).validate_python(ALL_STEPS)
    assert {each.step.key for each in written(steps)} == set(STEPS)
    both = {"client": addresses[family], "server": addresses[family]}
    script = actor_script(steps, family=family, addresses=both, seed=1)
    said = complaints(actor_program, script)
    assert len(said) == 1
    assert "no-such-step" in said[0]


@pytest.mark.parametrize("path", sorted((ROOT / "scenarios").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_steps_are_taken(actor_program: Path, path: Path) -> None:
    """Only the line that was added is refused."""
    scenario = load(path)
    own: dict[IpVersion, tuple[str, ...]] = {4: ("198.18.0.2",) * 4, 6: ("fd00::2",) * 4}
    both = by_name(dict.fromkeys(HOSTS, HostAddresses({version: own[version] for version in scenario.ip})))
    for host in nonempty(scenario.hosts.values()):
        if host.steps:
            family: Literal["inet", "inet6"] = "inet" if scenario.ip[0] == 4 else "inet6"
            said = complaints(actor_program, actor_script(host.steps, family=family, addresses=both, seed=1))
            assert len(said) == 1
