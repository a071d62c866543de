"""Observers on both engines: what each sees, what it says when it cannot see, and stepping."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.nonempty import nonempty

from .conftest import ROOT, Invoke, both_engines, docker_slow

PROGRAM = """
summary: own program
server:
  image: own-program
  command: [/opt/own-program/server, 10011]
  ready: {{port: 10011}}
client:
  image: own-program
  command: [/opt/own-program/{client}, "{{server}}", 10011]
observe: {{client: {observer}, server: {server}}}
expect:
  - {{ledger: {{client: {{written: 8, sent: 8, arrived: 8, acknowledged: 8, read: 8, content: equal}}}}}}
"""
SOURCE = (ROOT / "compose/own-program/client.c").read_text().splitlines()


def _calls(result: dict[str, Any], *names: str) -> list[dict[str, Any]]:
    return [call for call in result["hosts"]["client"]["calls"] if call["name"] in names]


@both_engines
@pytest.mark.parametrize(
    ("client", "observer", "server"),
    [
        ("client", "strace", "strace"),
        ("client-static", "strace", "probe"),
        ("client", "gdb", "gdb"),
        ("client-static", "gdb", "probe"),
    ],
)
def test_each_observer_yields_the_same_calls(
    client: str, observer: str, server: str, invoke: Invoke, scenario: Callable[[str], str]
) -> None:
    """Names, bytes, digests, and for every packet a cause, whether the program is static or not."""
    done = invoke("run", scenario(PROGRAM.format(client=client, observer=observer, server=server)), "--json")
    assert done.code == 0, done.out + done.err
    result = done.json
    calls = _calls(result, "socket", "connect", "send", "close", "exit")
    assert [call["name"] for call in calls] == ["socket", "connect", "send", "send", "send", "close", "exit"]
    sends = [call for call in calls if call["name"] == "send"]
    assert [bytes.fromhex(call["data"]) for call in sends] == [b"c", b"c", b"string"]
    assert all(call["packets"] and call["digest"] for call in sends)
    assert not [crossing for crossing in result["crossings"] if crossing["cause"]["kind"] == "unknown"]


@docker_slow
def test_gdb_says_line_and_backtrace(invoke: Invoke, scenario: Callable[[str], str]) -> None:
    """Each call of a program with debug information: its line in the source, and who called the caller."""
    done = invoke("run", scenario(PROGRAM.format(client="client", observer="gdb", server="probe")), "--json")
    for call in nonempty(_calls(done.json, "connect", "send", "close")):
        name, _, line = call["source"].partition(":")
        assert name == "client.c"
        assert f"{call['name']}(" in SOURCE[int(line) - 1]
    for call in nonempty(_calls(done.json, "send")):
        assert [frame.split()[0] for frame in call["args"]["backtrace"][:2]] == ["send_text", "main"]


@docker_slow
def test_gdb_with_stock_programs(invoke: Invoke, scenario: Callable[[str], str]) -> None:
    """curl under gdb and nginx with its worker under strace: every packet has a cause, the ledger adds up."""
    text = (ROOT / "scenarios/curl-nginx.yaml").read_text()
    text = text.replace("observe: {", "observe: {client: gdb, server: strace, ")
    assert "gdb" in text
    done = invoke("run", scenario(text), "--json")
    assert done.code == 0, done.out + done.err
    assert not [crossing for crossing in done.json["crossings"] if crossing["cause"]["kind"] == "unknown"]
    for row in done.json["ledger"]:
        assert len({row[point]["bytes"] for point in ("written", "sent", "arrived", "acknowledged", "read")}) == 1


@docker_slow
def test_steps_under_gdb(invoke: Invoke, scenario: Callable[[str], str]) -> None:
    """The actor: its script comes over standard input, which stays its own."""
    text = (ROOT / "scenarios/connect-send-close.yaml").read_text() + "observe: {client: gdb, server: gdb}\n"
    done = invoke("run", scenario(text))
    assert done.code == 0, done.out + done.err


@docker_slow
def test_a_large_transfer_under_strace(invoke: Invoke, scenario: Callable[[str], str]) -> None:
    """8 MiB: every byte is accounted for, though strace shows only the first of a large write."""
    text = (ROOT / "scenarios/large-transfer.yaml").read_text() + "observe: {client: strace, server: strace}\n"
    done = invoke("run", scenario(text))
    assert done.code == 0, done.out + done.err


@docker_slow
def test_what_the_probe_cannot_see_is_said(invoke: Invoke, scenario: Callable[[str], str]) -> None:
    """A static program under the probe alone: inconclusive, with the reason and the observers that would see it."""
    text = PROGRAM.format(client="client-static", observer="probe", server="probe")
    done = invoke("run", scenario(text), "--no-witness")
    assert done.code == 3
    said = " ".join(done.out.split())
    assert "statically linked" in said
    assert "`strace` or `gdb`" in said


@docker_slow
@pytest.mark.parametrize("words", ['exec "$0" "$1" 10011', '"$0" "$1" 10011; true'], ids=["in its place", "a child"])
def test_a_static_program_behind_a_shell_is_said(words: str, invoke: Invoke, scenario: Callable[[str], str]) -> None:
    """The probe is in the shell, which makes no call: the packets show that somebody did. It passed in silence."""
    text = PROGRAM.format(client="client", observer="probe", server="probe").partition("expect:")[0]
    shell = f"[sh, -c, '{words}', /opt/own-program/client-static, "
    text = text.replace("[/opt/own-program/client, ", shell).replace(", 10011]\nobserve", "]\nobserve")
    done = invoke("run", scenario(text), "--no-witness")
    assert done.code == 3, done.out + done.err
    said = " ".join(done.out.split())
    assert re.search(r"client: the probe saw no call on port \d+, \d packets have no known cause: `strace` would", said)


@both_engines
def test_stepping_shows_each_call_and_its_packets(invoke: Invoke) -> None:
    """Enter, skip, a wrong word, continue: the call with its line before it is made, its packets and causes after."""
    done = invoke("step", "own-program", stdin="\n\nskip to close\nwhat\ncontinue\n")
    assert done.code == 0, done.out + done.err
    text = done.out[: done.out.index("own-program: PASS")]
    assert re.search(r"client: client\.c:\d+ connect\(3, .*:10011\)\n> +=", text)
    connect = text[text.index("connect(3") : text.index("send(3")]
    assert re.search(r"client S  .*opens the connection\n.*server S\..*\n.*client \.  ", connect)
    assert len(re.findall(r"send\(3, 'c', 1\)\n(?:> )?  = 1\n.*client P\. \"c\"", text)) == 2
    assert text.count("> ") == 5
    assert "q(uit)" in text[text.index("close(3)") :]


@docker_slow
def test_stepping_can_be_left(invoke: Invoke) -> None:
    """quit ends the program and the lab at once, and keeps what was captured."""
    done = invoke("step", "own-program", stdin="\nquit\n")
    assert done.code == 0, done.out + done.err
    assert "what was captured is in" in done.out
    assert "send(" not in done.out


@docker_slow
def test_the_effect_of_each_observer_is_compared(invoke: Invoke) -> None:
    """A scenario with expectations runs under all observers, and each is set against none."""
    done = invoke("run", "nagle", "--compare-observers", "--json", "--quiet")
    assert done.code == 0, done.err
    observers = json.loads(done.out)["observers"]
    assert list(observers) == ["none", "probe", "trace", "strace", "gdb"]
    assert observers["none"]["calls"] == 0
    assert all(observers[name]["calls"] > 0 for name in ("probe", "trace", "strace", "gdb"))
