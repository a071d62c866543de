"""The origin's run as values: three sends, 8 bytes on the wire in two segments, a server that reads 1."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import xxhash
from pydantic import TypeAdapter

from testbed import model
from testbed.analysis.analyse import analyse
from testbed.model import (
    Analysis,
    Call,
    Cause,
    CauseName,
    Crossing,
    Endpoint,
    Flow,
    Host,
    Inputs,
    Joined,
    Program,
    ProgramEnd,
    SocketInfo,
)
from testbed.model.expect import Expectation
from testbed.scenario.expect.all_expectations import AnyExpectation, WrittenExpectation

START = 1_700_000_000_000_000_000
MS = 1_000_000
CLIENT = Endpoint("198.18.0.2", 40000)
SERVER = Endpoint("198.18.0.3", 10011)
META = {
    "scenario": "connect-send-close",
    "summary": "Three sends and an immediate close",
    "run_id": "0123abcd",
    "engine": "docker",
    "directory": "runs/connect-send-close/20260101T120000Z-0123abcd",
    "started": "2026-01-01T12:00:00.000+00:00",
    "notes": [],
}


def digest(data: bytes) -> str:
    return xxhash.xxh3_64_hexdigest(data)


def make_call(host: Host, n: int, name: str, start: float, end: float | None, **more: Any) -> Call:
    """Times are ms after START; `data` sets length and digest."""
    own, other = (CLIENT, SERVER) if host == "client" else (SERVER, CLIENT)
    data = more.get("data", b"")
    values: dict[str, Any] = {
        "pid": 7,
        "tid": 7,
        "program": "/usr/bin/actor",
        "fd": 3,
        "args": {},
        "result": len(data),
        "socket": SocketInfo(0xFFFF_FFFF_0000_0001 if host == "client" else 2, "tcp", own, other),
        "length": len(data),
        "digest": digest(data) if data else None,
        **more,
        "data": data[: model.DATA_PREFIX],
    }
    return Call(n, host, name=name, start=at(start), end=None if end is None else at(end), **values)


def at(ms: float) -> int:
    return START + round(ms * MS)


def make_crossing(n: int, sender: Host, flags: str, sent: float, **more: Any) -> Crossing:
    """Crosses in 5 ms unless `arrived` says otherwise; `payload` sets the length."""
    values: dict[str, Any] = {
        "flow": 0,
        "protocol": "tcp",
        "seq": 0,
        "ack": 1,
        "raw_seq": 4_000_000_000,
        "window": 64240,
        "start": 0,
        "payload": b"",
        "arrived": at(sent + 5),
        "at_client": n + 1,
        "at_server": n + 1,
        "ttl": 64,
        **more,
    }
    values.setdefault("length", len(values["payload"]))
    return Crossing(n=n, sender=sender, flags=flags, sent=at(sent), **values)


SCENARIO = "scenarios/connect-send-close.yaml"
_EXPECTATION: TypeAdapter[WrittenExpectation] = TypeAdapter(AnyExpectation)


def expected(line: int, text: str, written: dict[str, Any]) -> Expectation:
    """Return an expectation as a scenario's ``line`` would have it; ``text`` is what its check shows."""
    return _EXPECTATION.validate_python(written).compiled(text, f"{SCENARIO}:{line}")


EXPECTED = (
    expected(9, "segments client", {"segments": {"client": ["c", "cstring"]}}),
    expected(10, "ledger client read", {"ledger": {"client": {"read": 8}}}),
)
"""The first is met, the second not."""


def origin(**changes: Any) -> Analysis:
    """The run of docs' origin over a 5 ms link, analysed for real; `changes` replace members of the analysis."""
    listener, accepted = SocketInfo(9, "tcp", SERVER), {"accepted": {"fd": 4, "cookie": 2}}
    calls: dict[Host, tuple[Call, ...]] = {
        "client": (
            make_call("client", 0, "socket", 0.9, 0.91, result=3),
            make_call("client", 1, "connect", 1, 11.18, args={"address": "198.18.0.3:10011"}),
            make_call("client", 2, "send", 11.22, 11.3, data=b"c", direction="out"),
            make_call("client", 3, "send", 11.4, 11.5, data=b"c", direction="out"),
            make_call("client", 4, "send", 11.6, 11.7, data=b"string", direction="out"),
            make_call("client", 5, "close", 11.8, 11.9),
        ),
        "server": (
            make_call("server", 0, "listen", 0.1, 0.2, socket=listener),
            make_call("server", 1, "accept", 0.3, 16.22, result=4, socket=listener, args=accepted),
            make_call("server", 2, "recv", 16.3, 16.5, fd=4, data=b"c", direction="in"),
            make_call("server", 3, "close", 30, 30.1, fd=4),
        ),
    }
    options = {"mss": 1460, "sack_permitted": True, "tsval": 1, "tsecr": 0}
    crossings = (
        make_crossing(0, "client", "S", 1.1, ack=None, options=options),
        make_crossing(1, "server", "S.", 6.15),
        make_crossing(2, "client", ".", 11.2, seq=1),
        make_crossing(3, "client", "P.", 11.25, seq=1, payload=b"c"),
        make_crossing(4, "server", ".", 16.3, seq=1, ack=2),
        make_crossing(5, "client", "FP.", 21.4, seq=2, start=1, payload=b"cstring", arrived=at(26.4213)),
        make_crossing(6, "server", "R.", 30.05, seq=1, ack=9),
    )
    inputs = Inputs(
        joined=Joined(
            (Flow(0, "tcp", CLIENT, SERVER, 1, 2),),
            crossings,
            {"client": 7, "server": 7},
            {
                "client": {"ARP": 2},
                "server": {},
            },
        ),
        calls=calls,
        observed={"client": "probe", "server": "probe"},
        programs=(
            Program("client", ("actor",), "bothends/host", ProgramEnd(0), at(0), at(12)),
            Program("server", ("actor",), "bothends/host", ProgramEnd(0), at(0), at(31)),
        ),
        output={"client": "", "server": "c\n"},
    )
    return replace(analyse(inputs, EXPECTED), **changes)


def with_inputs(analysis: Analysis, **changes: Any) -> Analysis:
    return replace(analysis, inputs=replace(analysis.inputs, **changes))


def with_joined(analysis: Analysis, crossings: tuple[Crossing, ...], flows: tuple[Flow, ...] | None = None) -> Analysis:
    """Other packets, each with an unknown cause where the sample's causes do not fit; nothing says how it ended."""
    joined = replace(
        analysis.inputs.joined,
        crossings=crossings,
        flows=analysis.inputs.joined.flows if flows is None else flows,
        packets={"client": len(crossings), "server": len(crossings)},
    )
    unknown = Cause(CauseName.UNKNOWN, ("nothing explains it",))
    ledger = tuple(replace(row, close=None) for row in analysis.ledger)
    return replace(with_inputs(analysis, joined=joined), causes=(unknown,) * len(crossings), ledger=ledger)
