"""Wireshark's labels beside causes, on the packets of a real kernel and with tshark itself."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from .conftest import Invoke, both_engines

pytestmark = both_engines


@pytest.mark.skipif(shutil.which("tshark") is None, reason="there is no tshark (apt-get install tshark)")
def test_what_tshark_calls_a_keep_alive_is_a_send_sent_again(invoke: Invoke, tmp_path: Path) -> None:
    """The experiment's riddle: tshark labels the frames that we say are byte 0 of send #2 sent by a timer."""
    done = invoke("run", "keepalive-lookalike", "--json")
    assert done.code == 0, done.out + done.err
    result = done.json
    again = [one for one in result["crossings"] if one["cause"]["rule"] in ("tail-loss-probe", "timeout")]
    (send,) = (call for call in result["hosts"]["client"]["calls"] if call["name"] == "send" and call["length"] == 1)
    assert again
    assert all(one["cause"]["calls"] == [send["n"]] for one in again)
    capture = tmp_path / "runs/keepalive-lookalike/latest/client.pcap"
    told = subprocess.run(
        ["tshark", "-r", capture, "-Y", "tcp.analysis.keep_alive", "-T", "fields", "-e", "frame.number"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert [int(line) for line in told.stdout.split()] == [one["at_client"] for one in again]
    assert all("keep_alive" in one["labels"]["client"] for one in again)
    assert not [call for call in result["hosts"]["client"]["calls"] if call["args"].get("name") == "SO_KEEPALIVE"]
    first = f"Wireshark calls #{again[0]['n']} a TCP Keep-Alive; it is byte 0 of send #{send['n']} sent again by a"
    assert any(sentence.startswith(first) for sentence in result["verdict"])
    manifest = json.loads((tmp_path / "runs/keepalive-lookalike/latest/manifest.json").read_text())
    assert manifest["hosts"]["client"]["route"] == "congctl cubic rto_min 5ms"
