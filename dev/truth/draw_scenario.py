"""Random scenarios: every step, socket options, several connections, link faults, both families, UDP.

A scenario is drawn from a seed and a number, and is the same for the same two. It is drawn as a plain mapping, the one
that its YAML file holds, so that the shrinker can leave parts out. No step waits without a limit: sockets have
SO_RCVTIMEO and SO_SNDTIMEO, and every step may fail.

It is long because it draws every step and every fault that scenarios have.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from dev.truth.draw_addresses import spread
from dev.truth.draw_packet_info import name_own_addresses
from testbed.model.errors import ScenarioError
from testbed.scenario.load import parse
from testbed.scenario.scenario import Scenario

Document = dict[str, Any]
"""What a scenario's YAML file holds."""

LEFT_OUT: frozenset[str] = frozenset({"exec", "socketpair", "send_fd", "recv_fd", "wait_packet"})
"""Steps that are not drawn: another program, descriptors that are passed over Unix sockets, waits without a limit."""

PORT = 7001
"""Of the first connection's listener; the next ones follow."""

_PATIENCE = {"SO_RCVTIMEO": "700ms", "SO_SNDTIMEO": "700ms"}
_SIZES = (0, 1, 1, 2, 10, 100, 1000, 1448, 1449, 2000, 3000, 5000, 14480, 20000, 50000, 120000)
_PAUSES = (0, 1, 3, 10, 30, 45, 60, 120, 210, 260)
_HOSTS = ("client", "server")

_OPTIONS: Sequence[tuple[str, Sequence[Any]]] = (
    ("TCP_NODELAY", (1, 1, 0)),
    ("TCP_CORK", (1, 1, 0)),
    ("TCP_QUICKACK", (0, 1)),
    ("SO_LINGER", ([1, 0], [0, 0], [1, 1])),
    ("SO_RCVBUF", (2304, 4096, 16384)),
    ("SO_SNDBUF", (4608, 16384)),
    ("SO_RCVLOWAT", (1, 100, 2000)),
    ("SO_KEEPALIVE", (1, 0)),
    ("TCP_USER_TIMEOUT", (0, 500, 1000)),
    ("TCP_NOTSENT_LOWAT", (1, 4096, 16384)),
    ("TCP_MAXSEG", (500, 1000)),
    ("TCP_WINDOW_CLAMP", (2000, 10000)),
    ("SO_MAX_PACING_RATE", (100_000, 1_000_000)),
    ("TCP_LINGER2", (-1, 1)),
    ("SO_OOBINLINE", (1, 0)),
    ("TCP_THIN_LINEAR_TIMEOUTS", (1,)),
    ("TCP_CONGESTION", ("reno", "cubic")),
    ("IP_TOS", (8, 184)),
    ("SO_PRIORITY", (1, 6)),
)
_LISTENER_OPTIONS: Sequence[tuple[str, Sequence[Any]]] = (
    *_OPTIONS,
    ("TCP_DEFER_ACCEPT", (1,)),
    ("TCP_FASTOPEN", (5,)),
)
_SYSCTLS: Sequence[tuple[str, Sequence[int]]] = (
    ("net.ipv4.tcp_sack", (0,)),
    ("net.ipv4.tcp_dsack", (0,)),
    ("net.ipv4.tcp_timestamps", (0,)),
    ("net.ipv4.tcp_early_retrans", (0,)),
    ("net.ipv4.tcp_recovery", (0,)),
    ("net.ipv4.tcp_window_scaling", (0,)),
    ("net.ipv4.tcp_autocorking", (0,)),
    ("net.ipv4.tcp_frto", (0,)),
    ("net.ipv4.tcp_rto_min_us", (20_000,)),
    ("net.ipv4.tcp_slow_start_after_idle", (0,)),
    ("net.ipv4.tcp_syn_retries", (1,)),
)
_FAULT_KINDS = ("drop", "drop", "drop", "hold", "duplicate", "truncate", "corrupt", "forge")
_OF = ("data", "data", "ack", "syn", "synack", "fin", "any")


def draw_scenario(seed: int, number: int) -> Document:
    """Return the scenario of this number: the first draw that the scenario models take."""
    for attempt in range(100):
        document = _Drawing(random.Random(f"{seed}/{number}/{attempt}")).document()  # noqa: S311 - not for secrecy
        spread(document, random.Random(f"{seed}/{number}/{attempt}/addresses"))  # noqa: S311 - as above
        name_own_addresses(document, random.Random(f"{seed}/{number}/{attempt}/pktinfo"))  # noqa: S311 - as above
        try:
            as_scenario(document, "drawn")
        except ScenarioError:
            continue
        return document
    raise AssertionError(f"no valid scenario in 100 draws of {seed}/{number}")


def as_scenario(document: Mapping[str, Any], name: str) -> Scenario:
    """Return a document as a scenario. Raises ScenarioError."""
    return parse(as_yaml(document).encode(), name=name, path=Path(f"{name}.yaml"), shown=name)


def as_yaml(document: Mapping[str, Any]) -> str:
    """Return a document as the text of a scenario file."""
    text: str = yaml.safe_dump(dict(document), sort_keys=False, default_flow_style=None, width=140)
    return text


class _Drawing:
    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.steps: dict[str, list[Document]] = {"client": [], "server": []}
        self.barriers = 0
        self.copies = 0

    def document(self) -> Document:
        self._connections()
        if self._happens(0.12):
            self._datagrams()
        for host in _HOSTS:
            self._end(host)
        document: Document = {"summary": "drawn", "timeout": "12s"}
        if self._happens(0.25):
            document["ip"] = 6
        link = self._link()
        if link:
            document["link"] = link
        for host in ("server", "client"):
            spec: Document = {}
            if self._happens(0.2):
                name, values = self.chance.choice(_SYSCTLS)
                spec["sysctl"] = {name: self.chance.choice(values)}
            if self._happens(0.04):
                spec["route"] = {"rto_min": "5ms"}
            if self._happens(0.03):
                spec["egress"] = self.chance.choice(["2Mbit", "20Mbit"])
            spec["steps"] = self.steps[host]
            document[host] = spec
        return document

    def _happens(self, probability: float) -> bool:
        return self.chance.random() < probability

    def _add(self, host: str, step: Document, *, may_fail: bool = True) -> None:
        self.steps[host].append({**step, "error": "any"} if may_fail else step)

    # connections

    def _connections(self) -> None:
        count = self.chance.choice((1, 1, 1, 1, 1, 2, 2, 3))
        at_once = self._happens(0.5)
        for at in range(count):
            self._listen(at)
        if at_once:
            for at in range(count):
                self._open(at)
            for _ in range(self.chance.randint(1, 4) * count):
                self._act(self.chance.randrange(count))
            for at in self.chance.sample(range(count), count):
                self._finish(at)
        else:
            for at in range(count):
                self._open(at)
                for _ in range(self.chance.randint(1, 6)):
                    self._act(at)
                self._finish(at)

    def _listen(self, at: int) -> None:
        name = f"listener{at}"
        self._add("server", {"socket": "tcp", "as": name}, may_fail=False)
        self._add("server", {"setsockopt": dict(_PATIENCE), "on": name}, may_fail=False)
        if self._happens(0.3):
            self._set("server", name, _LISTENER_OPTIONS)
        self._add("server", {"bind": f":{PORT + at}", "on": name}, may_fail=False)
        listening: Any = {"backlog": 0} if self._happens(0.03) else None
        self._add("server", {"listen": listening, "on": name}, may_fail=False)

    def _open(self, at: int) -> None:
        name = f"sock{at}"
        nonblocking = self._happens(0.1)
        self._add("client", {"socket": {"type": "tcp", "nonblocking": nonblocking}, "as": name}, may_fail=False)
        self._add("client", {"setsockopt": dict(_PATIENCE), "on": name}, may_fail=False)
        if self._happens(0.3):
            self._set("client", name, _OPTIONS)
        if self._happens(0.04):
            sending = {"text": "fast", "flags": ["MSG_FASTOPEN"], "to": f"server:{PORT + at}"}
            self._add("client", {"send": sending, "on": name})
        else:
            self._add("client", {"connect": f"server:{PORT + at}", "on": name})
        if nonblocking:
            self._add("client", {"wait": {"for": "writable", "timeout": "500ms"}, "on": name})
        if self._happens(0.97):
            self._add("server", {"accept": None, "on": f"listener{at}", "as": f"conn{at}"})
        else:
            self._add("server", {"sleep": "30ms"}, may_fail=False)
            self._add("server", {"close": f"listener{at}"})
            self._add("server", {"socket": "tcp", "as": f"conn{at}"}, may_fail=False)

    def _act(self, at: int) -> None:
        """Draw what happens on an open connection."""
        sockets = {"client": f"sock{at}", "server": f"conn{at}"}
        sender = self.chance.choice(_HOSTS)
        peer = "server" if sender == "client" else "client"
        kind = self.chance.random()
        if kind < 0.6:
            count = 0
            for _ in range(self.chance.choice((1, 1, 1, 2, 2, 3))):
                count += self._send(sender, sockets[sender])
                self._pause(sender, 0.25)
            self._pause(peer, 0.2)
            for _ in range(self.chance.choice((0, 1, 1, 1, 2))):
                self._receive(peer, sockets[peer], count)
        elif kind < 0.72:
            self._set(sender, sockets[sender], _OPTIONS)
        elif kind < 0.82:
            self._pause(sender, 1)
        elif kind < 0.89:
            self._barrier()
        elif kind < 0.92:
            how = self.chance.choice(("write", "write", "read", "both"))
            self._add(sender, {"shutdown": how, "on": sockets[sender]})
        elif kind < 0.955:
            self._processes(sender, sockets[sender])
        elif kind < 0.97:
            self._add(sender, {"getsockopt": self.chance.choice(("SO_ERROR", "TCP_INFO")), "on": sockets[sender]})
        elif kind < 0.985:
            waiting = {"for": self.chance.choice(("readable", "writable", "urgent", "error")), "timeout": "50ms"}
            self._add(sender, {"wait": waiting, "on": sockets[sender]})
        else:
            change = {self.chance.choice(("loss", "delay")): self.chance.choice(("10%", "5ms"))}
            if self._happens(0.5):
                change = {"down": "150ms"}
            elif "loss" in change:
                change["loss"] = "10%"
            else:
                change["delay"] = "5ms"
            self._add(sender, {"link": change}, may_fail=False)

    def _processes(self, host: str, name: str) -> None:
        """Draw a second descriptor, a child that has all of them, or a loop."""
        self.copies += 1
        kind = self.chance.random()
        if kind < 0.3:
            self._add(host, {"dup": name, "as": f"copy{self.copies}"}, may_fail=False)
            if self._happens(0.7):
                self._add(host, {"sleep": "20ms"}, may_fail=False)
                self._add(host, {"close": f"copy{self.copies}"})
        elif kind < 0.7:
            child: list[Document] = [{"sleep": self.chance.choice(("5ms", "100ms", "300ms"))}]
            if self._happens(0.5):
                child.insert(0, {"send": "child", "on": name, "error": "any"})
            self._add(host, {"fork": f"child{self.copies}", "steps": child}, may_fail=False)
            if self._happens(0.5):
                self._add(host, {"waitpid": f"child{self.copies}"}, may_fail=False)
        else:
            again = [{"send": "r", "on": name, "error": "any"}]
            self._add(host, {"repeat": self.chance.choice((3, 20)), "steps": again}, may_fail=False)

    def _finish(self, at: int) -> None:
        if self._happens(0.5):
            self._barrier()
        for host in self.chance.sample(_HOSTS, 2):
            name = f"sock{at}" if host == "client" else f"conn{at}"
            if self._happens(0.25):
                self._add(host, {"shutdown": "write", "on": name})
            if self._happens(0.4):
                self._add(host, {"recv_all": self.chance.choice((None, {"chunk": 1000})), "on": name})
            self._pause(host, 0.2)
            if self._happens(0.06):
                self._set(host, name, (("SO_LINGER", ([1, 0], [0, 0])),))
            if self._happens(0.02):
                self._add(host, {"disconnect": None, "on": name})
            if self._happens(0.8):
                self._add(host, {"close": name})

    def _end(self, host: str) -> None:
        self._pause(host, 0.3)
        kind = self.chance.random()
        if kind < 0.06:
            self.steps[host].append({"exit": 0})
        elif kind < 0.1:
            self.steps[host].append({"kill": self.chance.choice(("SIGKILL", "SIGTERM"))})

    # steps

    def _send(self, host: str, name: str) -> int:
        size = self.chance.choice(_SIZES)
        kind = self.chance.random()
        flags = [self.chance.choice(("MSG_MORE", "MSG_MORE", "MSG_DONTWAIT", "MSG_OOB"))] if self._happens(0.2) else []
        if kind < 0.45 or size > 5000:
            sending: Document = {"size": max(size, 1)}
            if self._happens(0.3):
                sending["chunk"] = self.chance.choice((1, 100, 1000, 4000)) if size <= 100 else max(size // 3, 1)
            if flags:
                sending["flags"] = flags
            self._add(host, {"send": sending, "on": name})
        elif kind < 0.7:
            small: Document = {"text": "x" * min(size, 20)}
            if flags:
                small["flags"] = flags
            self._add(host, {"send": small, "on": name})
        elif kind < 0.8:
            parts: Document = {"parts": ["ab", "c" * min(size, 50), "def"]}
            if flags:
                parts["flags"] = flags
            self._add(host, {"sendmsg": parts, "on": name})
        elif kind < 0.83:
            self._add(host, {"splice": {"size": max(size, 1), "to": name}})
        elif kind < 0.86:
            self._add(host, {"sendmmsg": {"messages": ["ab", "c" * min(size, 50)]}, "on": name})
        elif kind < 0.92:
            self._add(host, {"writev": ["ab", "c" * min(size, 50)], "on": name})
        else:
            self._add(host, {"sendfile": max(size, 1), "on": name})
        return size

    def _receive(self, host: str, name: str, expected: int) -> None:
        kind = self.chance.random()
        if kind < 0.55:
            reading: Document = {"size": self.chance.choice((1, 100, 1000, 65536))}
            if self._happens(0.2):
                reading["flags"] = [
                    self.chance.choice(("MSG_PEEK", "MSG_DONTWAIT", "MSG_WAITALL", "MSG_OOB", "MSG_TRUNC"))
                ]
            self._add(host, {"recv": reading, "on": name})
        elif kind < 0.6:
            self._add(host, {"readv": [1, 1000], "on": name})
        elif kind < 0.63:
            self._add(host, {"recvmsg": [10, 1000], "on": name})
        elif kind < 0.85:
            exact = {"size": max(expected + self.chance.choice((0, 0, 0, -1, 1)), 1)}
            self._add(host, {"recv_exact": exact, "on": name})
        else:
            readable = {
                "read": self.chance.choice(("once", "drain", "each")),
                "by": self.chance.choice(("poll", "epoll", "epoll-edge")),
                "timeout": "100ms",
            }
            self._add(host, {"on_readable": readable, "on": name})

    def _set(self, host: str, name: str, options: Sequence[tuple[str, Sequence[Any]]]) -> None:
        for option, values in self.chance.sample(options, min(len(options), self.chance.choice((1, 1, 2)))):
            for value in self.chance.sample(values, self.chance.choice((1, 1, min(2, len(values))))):
                self._add(host, {"setsockopt": {option: value}, "on": name})
                if option == "SO_KEEPALIVE" and value:
                    times = {"TCP_KEEPIDLE": 1, "TCP_KEEPINTVL": 1, "TCP_KEEPCNT": 1}
                    self._add(host, {"setsockopt": times, "on": name}, may_fail=False)
                    if self._happens(0.3):
                        self._add(host, {"sleep": "1300ms"}, may_fail=False)

    def _pause(self, host: str, probability: float) -> None:
        if self._happens(probability):
            self._add(host, {"sleep": f"{self.chance.choice(_PAUSES)}ms"}, may_fail=False)

    def _barrier(self) -> None:
        for host in _HOSTS:
            self._add(host, {"barrier": f"b{self.barriers}"}, may_fail=False)
        self.barriers += 1

    def _datagrams(self) -> None:
        port = 6001
        self._add("server", {"socket": "udp", "as": "port"}, may_fail=False)
        self._add("server", {"setsockopt": {"SO_RCVTIMEO": "200ms"}, "on": "port"}, may_fail=False)
        self._add("server", {"bind": f":{port}", "on": "port"}, may_fail=False)
        self._barrier()
        self._add("client", {"socket": "udp", "as": "peer"}, may_fail=False)
        connected = self._happens(0.5)
        to = f"server:{port if self._happens(0.9) else port + 1}"
        if connected:
            self._add("client", {"connect": to, "on": "peer"})
        for _ in range(self.chance.randint(1, 4)):
            sending: Document = {"size": self.chance.choice((1, 100, 1400, 3000))}
            if not connected:
                sending["to"] = to
            if self._happens(0.2):
                sending["flags"] = ["MSG_MORE"]
            self._add("client", {"send": sending, "on": "peer"})
        for _ in range(self.chance.randint(0, 3)):
            if self._happens(0.2):
                self._add("server", {"recvmmsg": {"messages": 2, "size": 4000}, "on": "port"})
            else:
                self._add("server", {"recv": self.chance.choice((10, 4000)), "on": "port"})
        self._add("client", {"close": "peer"})
        self._add("server", {"close": "port"})

    # the link

    def _link(self) -> Document:
        if self._happens(0.35):
            return {}
        link: Document = {}
        if self._happens(0.75):
            link["delay"] = self.chance.choice(("1ms", "3ms", "10ms", "25ms"))
            if self._happens(0.15):
                link["jitter"] = "1ms"
        for name, values, probability in (
            ("loss", ("2%", "5%", "15%"), 0.12),
            ("duplicate", ("3%",), 0.05),
            ("reorder", ("3%",), 0.06),
            ("corrupt", ("2%",), 0.05),
            ("rate", ("1Mbit", "10Mbit"), 0.06),
            ("mtu", (800, {"size": 1000, "icmp": True}), 0.03),
        ):
            if self._happens(probability):
                link[name] = self.chance.choice(values)
        if "mtu" in link and isinstance(link["mtu"], int):
            link["mtu"] = {"size": 1300}
        faults = [self._fault() for _ in range(self.chance.choice((0, 0, 1, 1, 2, 3)))]
        if faults:
            link["faults"] = faults
        return link or {"topology": "routed"}

    def _fault(self) -> Document:
        kind = self.chance.choice(_FAULT_KINDS)
        fault: Document = {"from": self.chance.choice(_HOSTS), "of": self.chance.choice(_OF)}
        fault["nth"] = self.chance.choice((1, 1, 2, 3, 5))
        if kind == "drop" and self._happens(0.3):
            fault["count"] = self.chance.choice((2, 3))
        elif kind == "hold":
            fault["for"] = self.chance.choice(("2ms", "20ms", "60ms"))
        elif kind == "truncate":
            fault.update(of="data", to=self.chance.choice((0, 1, 500)))
        elif kind == "corrupt":
            fault["checksum"] = self.chance.choice(("keep", "keep", "fix"))
        elif kind == "forge":
            fault["packet"] = self.chance.choice(("rst", "syn", "rst", "too-big"))
            if fault["packet"] != "too-big":
                fault["seq"] = self.chance.choice((0, 0, 10, 5000, 1_000_000))
                if self._happens(0.3):
                    fault["as"] = self.chance.choice(_HOSTS)
        return {kind: fault}
