"""What a host sends to itself is captured beside what it sends to others, on every engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.capture.read_file import read
from testbed.lab.choose_engine import DOCKER, NAMESPACE, UML

from .conftest import Invoke

SCENARIO = """\
summary: A server before a server of its own
server:
  image: programs
  command: [python3, -c, "{code}"]
  ready: {{port: 5000}}
client:
  steps:
    - connect: server:5000
    - send: hello
    - recv_all:
    - close:
expect:
  - {{ledger: {{server: {{written: 5, read: 5}}}}}}
"""
CODE = (
    "import socket;"
    "back = socket.create_server(('127.0.0.1', 7000));"
    "front = socket.create_server(('', 5000));"
    "client, _ = front.accept();"
    "ahead = socket.create_connection(('127.0.0.1', 7000));"
    "behind, _ = back.accept();"
    "ahead.sendall(client.recv(100));"
    "client.sendall(behind.recv(100).upper())"
)


@pytest.mark.parametrize("invoke", [DOCKER, NAMESPACE, UML], indirect=True)
def test_a_proxy_and_what_is_behind_it(invoke: Invoke, tmp_path: Path) -> None:
    """Both ends' calls and every packet once; none of the lab's own, and no file of a host that sent itself nothing."""
    (tmp_path / "proxy.yaml").write_text(SCENARIO.format(code=CODE))
    done = invoke("run", str(tmp_path / "proxy.yaml"), "--json", "--report")
    assert done.code == 0, done.err
    run = tmp_path / "runs/proxy/latest"
    looped = done.json["hosts"]["server"]["loopback"]
    assert done.json["hosts"]["client"]["loopback"] is None
    assert looped["bytes"] == 5
    assert [packet["flags"] for packet in looped["packets"]][:3] == ["S", "S.", "."]
    assert [packet["payload"] for packet in looped["packets"] if packet["length"]] == [b"hello".hex()]
    assert {port for packet in looped["packets"] for port in (packet["source"], packet["destination"])} > {
        "127.0.0.1:7000"
    }
    assert not (run / "client.loopback.pcap").exists()
    assert len(read(run / "server.loopback.pcap")) == looped["total"] + 1, "each once, and the lab's proof"
    annotated = read(run / "annotated.pcapng")
    assert [one.name for one in annotated.interfaces] == ["client", "server", "server loopback"]
    assert (annotated.interface == 2).sum() == looped["total"]
    assert "server to itself, over its loopback" in (run / "report.html").read_text()
