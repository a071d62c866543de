"""Labs of both versions of IP, and hosts with several addresses: link, names, observers, `invoke up`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.lab.choose_engine import DOCKER, NAMESPACE

from .conftest import ROOT, Invoke

LINKED = """
summary: both versions and several addresses over one link
ip: [6, 4]
link:
  delay: 3ms
  mtu: {size: 1400, icmp: true}
  faults:
    - drop: {from: client, of: udp, nth: 2}
    - forge: {from: client, of: udp, nth: 4, packet: unreachable}
    - forge: {from: client, of: udp, nth: 5, packet: unreachable}
    - forge: {from: client, payload: last, packet: rst, as: server}
server:
  addresses: 2
  steps:
    - socket: {type: udp, ip: 6}
      as: datagrams
    - bind: ":5000"
    - listen: {port: 10011, ip: 6}
    - accept:
      as: four
    - recv_all:
    - accept:
      on: listener
      as: six
    - recv_exact: 3
    - recv: 100
      on: datagrams
    - recv: 100
      on: datagrams
    - recv: 100
      on: datagrams
    - recv: 100
      on: datagrams
    - wait_packet: {from: client, protocol: udp, nth: 4}
    - accept:
      on: listener
      as: last
    - recv_exact: 4
    - recv: 1
      error: ECONNRESET
    - barrier: done
client:
  addresses: 4
  steps:
    - connect: server.v4:10011
      as: four
    - send: {size: 5000}
    - close: four
    - socket: {type: tcp, ip: 6}
      as: six
    - bind: client.4:0
    - connect: server.2:10011
    - send: six
    - close: six
    - socket: {type: udp, ip: 4}
      as: old
    - bind: ":6000"
    - socket: {type: udp, ip: 6}
      as: new
    - setsockopt: {IPV6_V6ONLY: true}
    - bind: ":6000"
    - send: {text: a, to: "server.v4:5000"}
      on: old
    - send: {text: b, to: "server.v4:5000"}
      on: old
    - send: {text: b, to: "server.v6:5000"}
      on: new
    - send: {text: c, to: "server.2.v6:5000"}
      on: new
    - send: {text: d, to: "server.2.v4:5000"}
      on: old
    - sleep: 20ms
    - connect: server.2.v4:10011
      as: last
    - send: last
    - wait: {for: error, timeout: 2s}
    - close: last
    - barrier: done
expect:
  - {packets: {from: client, flags: S, count: 3}}
  - {packets: {from: server, protocol: icmp, cause: link-icmp, count: ">=1"}}
  - {packets: {from: server, cause: link-forged, count: 3}}
  - {packets: {from: server, protocol: icmp, cause: link-forged, count: 1}}
  - {packets: {from: server, protocol: icmpv6, cause: link-forged, count: 1}}
  - {packets: {from: client, protocol: udp, data: b, fate: lost, count: 1}}
  - {crossings: {lost: 4}}
  - {causes: {unknown: 0}}
"""

ASKED_AT_BOTH = """
summary: one socket of both versions answers from whichever address it was asked at
ip: [4, 6]
server:
  addresses: 2
  steps:
    - socket: {type: udp, ip: 6}
    - setsockopt: {IPV6_RECVPKTINFO: true}
    - bind: ":5000"
    - recvmsg: [100]
    - sendmsg: {parts: [four], to: "client.v4:6000", from: server.2.v4}
    - recvmsg: [100]
    - sendmsg: {parts: [six], to: "client.v6:6001", from: server.2.v6}
    - sendmsg: {parts: [both], to: "client.v6:6001", from: server.2.v4}
      error: EINVAL
client:
  steps:
    - socket: udp
      as: four
    - bind: ":6000"
    - connect: server.2.v4:5000
    - send: a
    - recv: 100
    - socket: {type: udp, ip: 6}
      as: six
    - bind: ":6001"
    - connect: server.2.v6:5000
    - send: b
    - recv: 100
expect:
  - {call: recvmsg, host: server, nth: 1, result: 1, args: {pktinfo: {address: server.2}}}
  - {call: recvmsg, host: server, nth: 2, result: 1, args: {pktinfo: {address: server.2.v6}}}
  - {call: sendmsg, host: server, nth: 3, packets: [], errno: EINVAL}
  - {call: recv, nth: 1, data: four}
  - {call: recv, nth: 2, data: six}
  - {causes: {unknown: 0}}
  - {findings: []}
"""

LOOKED_UP = """
summary: a program looks up all names
ip: [4, 6]
server: {addresses: 2, command: sleep 100, until: client-ends}
client:
  addresses: 2
  command: sh -c 'getent ahosts server; getent ahosts server.2; echo {server} {server.2.v6} $WHERE'
  env: {WHERE: "{server.v6}"}
"""

WITHIN = """
summary: a host connects one of its addresses to another
ip: [4, 6]
server:
  image: programs
  addresses: 2
  env: {SECOND: "{server.2}"}
  command:
    - python3
    - -c
    - |
      import os, socket
      listener = socket.create_server((os.environ["SECOND"], 7000))
      socket.create_connection((os.environ["SECOND"], 7000), source_address=("server", 0)).sendall(b"x")
client:
  steps: [{connect: "server:80", error: ECONNREFUSED}, {close: }]
expect:
  - {call: connect, host: server, packets: [], why: same-host}
"""


@pytest.mark.usefixtures("namespaces")
def test_what_a_host_sends_to_another_of_its_addresses_is_no_riddle(
    invoke: Invoke, scenario: Callable[[str], str]
) -> None:
    """No packet of it is expected on the wire, and the kernel's events of it are explained."""
    done = invoke("run", scenario(WITHIN), "--engine", NAMESPACE)
    assert done.code == 0, done.out + done.err
    assert "nothing explains" not in done.out


@pytest.mark.usefixtures("engine", "namespaces")
@pytest.mark.parametrize("engine_name", [DOCKER, NAMESPACE])
def test_a_link_knows_all_addresses(engine_name: str, invoke: Invoke, scenario: Callable[[str], str]) -> None:
    """Its faults count packets of a host, whatever their addresses; what it makes is of the packet's own addresses."""
    done = invoke("run", scenario(LINKED), "--engine", engine_name, "--json")
    assert done.code == 0, done.out + done.err
    assert done.json["outcome"] == "pass"


@pytest.mark.usefixtures("engine", "namespaces")
@pytest.mark.parametrize("engine_name", [DOCKER, NAMESPACE])
def test_a_socket_answers_from_the_address_at_which_it_was_asked(
    engine_name: str, invoke: Invoke, scenario: Callable[[str], str]
) -> None:
    """Of either version on a socket of IPv6: an address of IPv4 is IPv4-mapped in the control message."""
    done = invoke("run", scenario(ASKED_AT_BOTH), "--engine", engine_name, "--json")
    assert done.code == 0, done.out + done.err
    assert done.json["outcome"] == "pass"


@pytest.mark.usefixtures("engine", "namespaces")
@pytest.mark.parametrize("engine_name", [DOCKER, NAMESPACE])
def test_a_name_is_looked_up_as_the_addresses_of_both_versions(
    engine_name: str, invoke: Invoke, scenario: Callable[[str], str], tmp_path: Path
) -> None:
    """Each in its order, as in /etc/hosts; braces name one."""
    done = invoke("run", scenario(LOOKED_UP), "--engine", engine_name, "--json")
    assert done.code == 0, done.out + done.err
    run = tmp_path / "runs" / "made-by-test" / "latest"
    own = json.loads((run / "manifest.json").read_text())["hosts"]["server"]["addresses"]
    words = (run / "client.out").read_text().split()
    looked_up = {word for word in words if word in own}
    assert looked_up == set(own)
    assert words[-3:] == [own[0], own[3], own[2]]


@pytest.mark.usefixtures("namespaces")
@pytest.mark.parametrize("observer", ["probe", "strace", "trace", "gdb"])
def test_each_observer_knows_the_sockets_of_a_listener_of_both_versions(
    observer: str, invoke: Invoke, scenario: Callable[[str], str]
) -> None:
    """IPv4-mapped addresses are those that packets bear."""
    for name in (
        "dual-stack-listener",
        "answer-from-wrong-address",
        "answer-from-right-address",
        "source-address-by-bind",
    ):
        text = (ROOT / "scenarios" / f"{name}.yaml").read_text()
        text = text.replace(", content: equal", "")  # which the kernel's trace does not see
        text = re.sub(", data: from the [a-z]+}$", "}", text, flags=re.MULTILINE)  # as little
        if observer != "probe":
            text = re.sub(r", args: {pktinfo: {.*?}}", "", text)  # which the probe alone records
        observed = text + f"observe: {{client: {observer}, server: {observer}}}\n"
        done = invoke("run", scenario(observed), "--engine", NAMESPACE, "--json")
        assert done.code == 0, done.out + done.err


@pytest.mark.usefixtures("namespaces")
def test_a_lab_by_hand_says_all_addresses(invoke: Invoke, scenario: Callable[[str], str]) -> None:
    """Each under its shortest name."""
    done = invoke("up", scenario(LINKED), "--engine", NAMESPACE)
    try:
        assert done.code == 0, done.err
        assert [word for word in done.out.split() if word.startswith(("client", "server"))][:6] == [
            "client",
            "client.2",
            "client.3",
            "client.4",
            "client.v4",
            "client.2.v4",
        ]
        assert "server.2.v4 198.1" in done.out
    finally:
        ended = invoke("down")
    assert ended.code == 0, ended.out + ended.err
