"""A scenario on both engines: the same calls, packets, causes and ledger."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROOT, Invoke

pytestmark = pytest.mark.usefixtures("namespaces")

NEVER_THE_SAME = {"iperf3"}
"""What it sends depends on how fast it can: no two runs of it on one engine are the same."""


VARYING = {"curl-nginx", "openssl", "python-http"}
"""Requests that name the server's address, answers with the date, random keys."""


SCENARIOS = sorted({path.stem for path in (ROOT / "scenarios").glob("*.yaml")} - NEVER_THE_SAME)


_CHOSEN_PORT = re.compile(r" ADDRESS:\d+ -")
"""The kernel chose the client's port."""


TRIES = 5


BULK = 64
"""Above this many segments one way TCP's timing decides where they are cut and what is sent again: then the ledger says
that the bytes are the same."""


_ADDRESS = re.compile(r"198\.1[89]\.[0-9]+\.[0-9]+|\[fd[0-9a-f:]+\]")


_ASK = {"poll", "epoll_wait", "select"}


_NUMBERS = {"socket", "accept", "accept4"}
"""Calls that return a descriptor."""


def _calls(result: dict[str, Any], host: str) -> list[Any]:
    """Calls on sockets in order. What is chance is left out: how often one asked in vain, how reads cut a stream."""
    found: list[Any] = []
    for call in result["hosts"][host]["calls"]:
        if call["errno"] == "EAGAIN" or call["name"] in _ASK or not call["socket"] or _is_inside(call):
            continue
        if call["direction"] == "in" and call["length"] and found and found[-1][0] == call["name"]:
            found[-1][1] += call["result"]
        else:
            value = min(call["result"], 0) if call["name"] in _NUMBERS else call["result"]
            found.append([call["name"], value, call["errno"], call["direction"], call["silent"] is None])
    return found


def _is_inside(call: dict[str, Any]) -> bool:
    """Whether a call is on a socket that no packet comes from."""
    return bool(call["socket"]["protocol"] == "other")


def _is_bare_ack(crossing: dict[str, Any]) -> bool:
    return crossing["flags"] == "." and not crossing["length"]


def _packets(result: dict[str, Any], sender: str) -> Any:
    """What a host sent, each packet with its cause; bare ACKs are left out, TCP may send these at any time."""
    sent = [packet for packet in result["crossings"] if packet["sender"] == sender and not _is_bare_ack(packet)]
    names = {call["n"]: call["name"] for call in result["hosts"][sender]["calls"]}
    if sum(1 for packet in sent if packet["length"]) > BULK:
        causes = {(packet["cause"]["kind"], packet["cause"]["rule"]) for packet in sent if packet["length"]}
        return (
            {(kind, rule) for kind, rule in causes if kind == "call"},
            set("".join(packet["flags"] for packet in sent)),
        )
    return [
        (
            *(packet["flags"], packet["length"], packet["fate"], packet["changes"]),
            # An ICMP error holds the headers of the packet that it is about.
            packet["payload"] if packet["protocol"] in {"tcp", "udp"} else "",
            *(packet["cause"]["kind"], packet["cause"]["rule"], [names.get(n) for n in packet["cause"]["calls"]]),
        )
        for packet in sent
    ]


def _ledger(result: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**row, "close": _ADDRESS.sub("ADDRESS", row["close"])} for row in result["ledger"]]


def _without_content(result: dict[str, Any]) -> dict[str, Any]:
    """The same result without what the bytes were and how many, and without what nginx does when it is stopped."""
    for packet in result["crossings"]:
        packet.update(payload="", length=min(packet["length"], 1))
    for host in ("client", "server"):
        for call in result["hosts"][host]["calls"]:
            call["result"] = min(call["result"], 1) if call["direction"] else call["result"]
    for row in result["ledger"]:
        row.update(dict.fromkeys(("written", "sent", "arrived", "acknowledged", "read"), None), close="")
    result["verdict"] = []
    server = result["hosts"]["server"]  # it is stopped at the end: what it still closes by itself is chance
    server["calls"] = [call for call in server["calls"] if call["name"] != "close"]
    return result


def _seen(result: dict[str, Any]) -> list[tuple[str, Any]]:
    """All that is compared, part by part."""
    found: list[tuple[str, Any]] = []
    for host in ("client", "server"):
        found += [(f"calls of {host}", _calls(result, host)), (f"packets of {host}", _packets(result, host))]
    found += [("ledger", _ledger(result)), ("checks", [check["ok"] for check in result["checks"]])]
    verdict = [_CHOSEN_PORT.sub(" ADDRESS -", _ADDRESS.sub("ADDRESS", f" {line}")) for line in result["verdict"]]
    return [*found, ("verdict", verdict)]


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_same_as_docker(name: str, invoke: Invoke) -> None:
    """Calls, flags, payload segments, causes and ledger of a scenario are the same on both engines, times aside.

    Where two things race (a close and an ICMP error on its way), an engine itself gives now this, now that: then what
    one gives in a few runs must be among what the other gives.
    """
    seen: dict[str, list[list[Any]]] = {"docker": [], "namespace": []}
    for _ in range(TRIES):
        for engine, views in seen.items():
            done = invoke("run", name, "--json", "--engine", engine)
            assert done.code == 0, done.err
            results = _results(done.json)
            assert {result["run"]["engine"] for result in results} == {engine}
            views.append([_seen(_without_content(each) if name in VARYING else each) for each in results])
        by_variant = [zip(*views, strict=True) for views in seen.values()]
        if all(any(view in docker for view in own) for docker, own in zip(*by_variant, strict=True)):
            return
    assert seen["namespace"][-1] == seen["docker"][-1]


def _results(printed: dict[str, Any]) -> list[dict[str, Any]]:
    """What a run prints, or what each variant of a matrix left."""
    if "variants" not in printed:
        return [printed]
    runs = Path(printed["directory"]) / "runs"
    kept = [variant["kinds"][0]["kept"][0] for variant in printed["variants"]]
    return [json.loads((runs / each / "result.json").read_text()) for each in kept]
