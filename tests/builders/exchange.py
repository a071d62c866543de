"""Made-up runs that read like the protocol: calls and packets on consecutive lines (packetdrill's way).

::

    run = Exchange()
    tcp = run.tcp()
    with tcp.client("connect"):
        tcp("client S")
        tcp("server S.")
    tcp("client .")

Every line is 100 us after the one before and a packet takes 50 us, unless said otherwise. Sequence and ACK numbers are
what a correct stack would send; any of them can be given.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Literal, Self

import xxhash

from testbed.analysis.analyse import analyse
from testbed.model import (
    DATA_PREFIX,
    HOSTS,
    Analysis,
    Call,
    Crossing,
    Endpoint,
    Flow,
    Host,
    Inputs,
    Joined,
    Program,
    ProgramEnd,
    SocketInfo,
    peer_of,
)
from testbed.model.crossings import Change, FieldChange, HeaderField
from testbed.pairing.change_values import payload_change
from tests.builders.frame_labels import frame_labels

US = 1_000
MS = 1_000_000
START = 1_700_000_000_000_000_000
ADDRESS: dict[Host, str] = {"client": "198.18.0.2", "server": "198.18.0.3"}
_OUT = {"send", "sendto", "sendmsg", "sendmmsg", "write", "writev", "sendfile", "splice"}
_IN = {"recv", "recvfrom", "recvmsg", "recvmmsg", "read", "readv"}


class OpenCall:
    """A call that was made; used with ``with``, it lasts until the block ends."""

    def __init__(self, run: Exchange, fields: dict[str, Any]) -> None:
        self.run, self.fields = run, fields

    def __enter__(self) -> Self:
        self.fields["end"] = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.returns()

    def returns(self) -> None:
        """Let the call return now."""
        self.run.now += 100 * US
        self.fields["end"] = self.run.now

    @property
    def n(self) -> int:
        """The call's number among its host's."""
        order = sorted(self.run.made[self.fields["host"]], key=lambda each: each.fields["start"])
        return order.index(self)


class Exchange:
    """A run in the making."""

    def __init__(self, **observed: str) -> None:
        self.now = START
        self.made: dict[Host, list[OpenCall]] = {"client": [], "server": []}
        self.flows: list[Flow] = []
        self.packets: list[dict[str, Any]] = []
        self.observed: dict[Host, str] = {
            "client": observed.get("client", "probe"),
            "server": observed.get("server", "probe"),
        }
        self.cookies = 0

    def pause(self, milliseconds: float) -> None:
        """Let time pass."""
        self.now += int(milliseconds * MS)

    def tcp(self, port: int = 40000, server_port: int = 10011, **options: Any) -> Tcp:
        """Begin a connection from this client port."""
        return Tcp(self, port, server_port, **options)

    def udp(self, port: int = 40000, server_port: int = 5000) -> Udp:
        """Begin a UDP conversation."""
        return Udp(self, port, server_port)

    def call(self, host: Host, name: str, data: bytes | int | None = None, **given: Any) -> OpenCall:
        """Make a call; ``data`` is what it wrote or read (or how many bytes, unseen)."""
        self.now += 100 * US
        direction: Literal["out", "in"] | None = "out" if name in _OUT else "in" if name in _IN else None
        content = data if isinstance(data, bytes) else b""
        length = len(content) if isinstance(data, bytes) else data or 0
        fields: dict[str, Any] = {
            "host": host,
            "pid": 100,
            "program": "actor",
            "name": name,
            "fd": 3,
            "args": {},
            "start": self.now,
            "end": self.now + 10 * US,
            "result": length,
            "direction": direction,
            "length": length,
            "data": content[:DATA_PREFIX],
            "digest": xxhash.xxh3_64_hexdigest(content) if isinstance(data, bytes) and direction else None,
        }
        fields.update(given)
        fields.setdefault("tid", fields["pid"])
        if fields.get("errno"):
            fields.update(result=-1, length=0, data=b"", digest=None)
        made = OpenCall(self, fields)
        self.made[host].append(made)
        return made

    def joined(self) -> Joined:
        """Return the packets as two captures would show them."""
        self.packets.sort(key=lambda packet: packet["sent"] if packet["sent"] is not None else packet["arrived"])
        frames = dict.fromkeys(HOSTS, 0)
        crossings = []
        for n, packet in enumerate(self.packets):
            sender: Host = packet["sender"]
            for host, seen in ((sender, packet["sent"]), (peer_of(sender), packet["arrived"])):
                frames[host] += seen is not None
                packet[f"at_{host}"] = frames[host] if seen is not None else None
            crossings.append(Crossing(n=n, **packet))
        return Joined(tuple(self.flows), tuple(crossings), frames, {"client": {}, "server": {}})

    def calls(self) -> dict[Host, tuple[Call, ...]]:
        """Return the calls of both hosts as observers would have logged them; none for one that has no observer."""
        found: dict[Host, tuple[Call, ...]] = {}
        for host in HOSTS:
            made = sorted(self.made[host], key=lambda each: each.fields["start"])
            calls = tuple(Call(n=n, **each.fields) for n, each in enumerate(made))
            found[host] = calls if self.observed[host] != "none" else ()
        return found

    def inputs(self, **given: Any) -> Inputs:
        """Return all that an analysis gets."""
        programs = tuple(Program(host, ("actor",), "base", ProgramEnd(0), START, self.now) for host in HOSTS)
        fields: dict[str, Any] = {"programs": programs, "output": {"client": "", "server": ""}, **given}
        joined = self.joined()
        fields.setdefault("labels", frame_labels(joined))
        return Inputs(joined=joined, calls=self.calls(), observed=self.observed, **fields)

    def analysis(self, expectations: Any = (), **given: Any) -> Analysis:
        """Analyse the run."""
        return analyse(self.inputs(**given), expectations)


class Tcp:
    """One connection; call it to let a packet go, use ``client`` and ``server`` to make calls on its sockets."""

    def __init__(
        self, run: Exchange, port: int, server_port: int, *, isn: tuple[int, int] = (1000, 5000), cookies: bool = True
    ) -> None:
        self.run = run
        self.ends: dict[Host, Endpoint] = {
            "client": Endpoint(ADDRESS["client"], port),
            "server": Endpoint(ADDRESS["server"], server_port),
        }
        self.index = len(run.flows)
        self.isn: dict[Host, int] = {"client": isn[0], "server": isn[1]}
        run.flows.append(Flow(self.index, "tcp", self.ends["client"], self.ends["server"], *isn))
        run.cookies += 2
        self.cookie: dict[Host, int] = {
            "client": run.cookies - 1 if cookies else 0,
            "server": run.cookies if cookies else 0,
        }
        self.next: dict[Host, int] = {"client": 0, "server": 0}
        self.edge: dict[Host, int] = {"client": 0, "server": 0}  # what the peer got in order

    def __call__(self, text: str, data: bytes = b"", **given: Any) -> int:
        """Let a packet go and return its place among the packets made so far.

        ``text`` is the host and tcpdump's flags. ``lost``, ``appeared`` (never left), ``delay`` (ns), ``at`` (ns
        since now), ``altered`` (other bytes arrive) and ``bad_checksum`` say what became of it; other names are fields
        of a crossing.
        """
        run = self.run
        run.now += 100 * US
        sender: Host = "client" if text.startswith("client") else "server"
        flags = text.split()[1]
        peer = peer_of(sender)
        seq = given.pop("seq", self.next[sender])
        lost, appeared = given.pop("lost", False), given.pop("appeared", False)
        delay, altered = given.pop("delay", 50 * US), given.pop("altered", None)
        end = seq + len(data) + ("S" in flags) + ("F" in flags)
        if not appeared:
            self.next[sender] = max(self.next[sender], end)
        if not lost and seq <= self.edge[sender]:
            self.edge[sender] = max(self.edge[sender], end)
        ack = given.pop("ack", self.edge[peer]) if "." in flags else None
        changes: tuple[Change, ...] = () if altered is None else (payload_change(data, altered),)
        if given.pop("bad_checksum", False):
            changes += (FieldChange(HeaderField.CHECKSUM, 1, 2),)
        packet: dict[str, Any] = {
            "flow": self.index,
            "sender": sender,
            "protocol": "tcp",
            "flags": flags,
            "seq": seq,
            "ack": ack,
            "raw_seq": (self.isn[sender] + seq) % 2**32,
            "window": 500,
            "start": max(seq + ("S" in flags) - 1, 0),
            "length": len(data),
            "payload": data,
            "sent": None if appeared else run.now,
            "arrived": None if lost else run.now + delay,
            "changes": changes,
            "options": {"sack_permitted": True, "mss": 1460} if "S" in flags else {},
        }
        packet.update(given)
        run.packets.append(packet)
        return len(run.packets) - 1

    def client(self, name: str, data: bytes | int | None = None, **given: Any) -> OpenCall:
        """Make a call on the client's socket."""
        return self._call("client", name, data, given)

    def server(self, name: str, data: bytes | int | None = None, **given: Any) -> OpenCall:
        """Make a call on the server's socket."""
        return self._call("server", name, data, given)

    def _call(self, host: Host, name: str, data: bytes | int | None, given: dict[str, Any]) -> OpenCall:
        if name in ("listen", "accept"):
            child = {
                "fd": 4,
                "cookie": self.cookie[host],
                "local": str(self.ends[host]),
                "peer": str(self.ends[peer_of(host)]),
            }
            given.setdefault("args", {"accepted": child} if name == "accept" and self.cookie[host] else {})
            given.setdefault("result", 4 if name == "accept" else 0)
            given.setdefault("socket", SocketInfo(900 if self.cookie[host] else 0, "tcp", self.ends[host]))
            return self.run.call(host, name, data, **given)
        if host == "server":
            given.setdefault("fd", 4)
        given.setdefault("socket", SocketInfo(self.cookie[host], "tcp", self.ends[host], self.ends[peer_of(host)]))
        return self.run.call(host, name, data, **given)

    def opened(self) -> Tcp:
        """Open the connection as usual: listen, connect, accept."""
        if not any(made.fields["name"] == "listen" for made in self.run.made["server"]):
            self.server("listen")
        with self.client("connect"):
            self("client S")
            self("server S.")
        self("client .")
        self.server("accept")
        return self


class Udp:
    """One UDP conversation."""

    def __init__(self, run: Exchange, port: int, server_port: int) -> None:
        self.run = run
        self.ends: dict[Host, Endpoint] = {
            "client": Endpoint(ADDRESS["client"], port),
            "server": Endpoint(ADDRESS["server"], server_port),
        }
        self.index = len(run.flows)
        run.flows.append(Flow(self.index, "udp", self.ends["client"], self.ends["server"]))
        self.count: dict[Host, int] = {"client": 0, "server": 0}

    def __call__(
        self,
        sender: Host,
        data: bytes,
        *,
        lost: bool = False,
        altered: bytes | None = None,
        bad_checksum: bool = False,
    ) -> None:
        """Let a datagram go."""
        run = self.run
        run.now += 100 * US
        changes: tuple[Change, ...] = () if altered is None else (payload_change(data, altered),)
        if bad_checksum:
            changes += (FieldChange(HeaderField.CHECKSUM, 1, 2),)
        run.packets.append(
            {
                "flow": self.index,
                "sender": sender,
                "protocol": "udp",
                "flags": "",
                "seq": 0,
                "ack": None,
                "raw_seq": 0,
                "window": 0,
                "start": self.count[sender],
                "length": len(data),
                "payload": data,
                "sent": run.now,
                "arrived": None if lost else run.now + 50 * US,
                "changes": changes,
            }
        )
        self.count[sender] += 1

    def client(self, name: str, data: bytes | None = None, **given: Any) -> OpenCall:
        """Make a call on the client's socket, which is connected."""
        given.setdefault("socket", SocketInfo(1, "udp", self.ends["client"], self.ends["server"]))
        return self.run.call("client", name, data, **given)

    def server(self, name: str, data: bytes | None = None, **given: Any) -> OpenCall:
        """Make a call on the server's socket, which is bound to all addresses and not connected."""
        local = Endpoint("0.0.0.0", self.ends["server"].port)  # noqa: S104 - a wildcard as the kernel names it
        given.setdefault("socket", SocketInfo(2, "udp", local))
        return self.run.call("server", name, data, **given)
