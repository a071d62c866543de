"""dump, the program that captures in a kernel of our own: it writes and says what tcpdump does."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.capture.read_file import read

SENT = 300
INSIDE = """
import os, pathlib, signal, socket, subprocess, sys, time
pathlib.Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")
for words in ("add v1 type veth peer name v2", "set v1 up", "set v2 up"):
    subprocess.run(["ip", "link", *words.split()], check=True)
started = []
for name, words in (("dump", [sys.argv[2], "v2"]), ("tcpdump", sys.argv[3:])):
    out, err = open(name + ".pcap", "wb"), open(name + ".err", "wb")
    started.append(subprocess.Popen(words, stdout=out, stderr=err))
    while b"listening on" not in pathlib.Path(name + ".err").read_bytes():
        assert started[-1].poll() is None, pathlib.Path(name + ".err").read_text()
        time.sleep(0.01)
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])  # the kernel gives packets of one processor in one order
ends = []
for name in ("v1", "v2"):
    ends.append(socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
    ends[-1].bind((name, 0))
for number in range(int(sys.argv[1])):
    ends[number % 2].send(bytes(12) + bytes([8, 0]) + number.to_bytes(4, "big") * (number + 1))
ends[0].send(bytes(60) + b"the end")
until = time.monotonic() + 20
while not all(pathlib.Path(name + ".pcap").read_bytes().endswith(b"the end") for name in ("dump", "tcpdump")):
    assert time.monotonic() < until
    time.sleep(0.1)
for process in started:
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
"""
TCPDUMP = ("-i", "v2", "-n", "-p", "-U", "-s", "0", "-B", "32768", "--immediate-mode", "--time-stamp-precision=nano")


@pytest.mark.skipif(shutil.which("tcpdump") is None, reason="no tcpdump on this machine to compare with")
def test_it_captures_what_tcpdump_does(programs: Path, tmp_path: Path) -> None:
    """The same packets, byte for byte, in the same order; the statistics in the same words."""
    unshared = ["unshare", "--user", "--map-user=1000", "--keep-caps", "--net", sys.executable, "-c", INSIDE]
    words = [*unshared, str(SENT), str(programs / "tools" / "dump"), "tcpdump", *TCPDUMP, "-w", "-"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    ours, theirs = (_records((tmp_path / f"{name}.pcap").read_bytes()) for name in ("dump", "tcpdump"))
    assert (tmp_path / "dump.pcap").read_bytes()[:24] == (tmp_path / "tcpdump.pcap").read_bytes()[:24]
    assert len(ours) == SENT + 1
    assert ours == theirs
    assert len(read(tmp_path / "dump.pcap").time_ns) == len(ours)
    said = (tmp_path / "dump.err").read_text()
    assert "listening on v2, link-type EN10MB (Ethernet), snapshot length 262144 bytes" in said
    counts = {what: int(count) for count, what in re.findall(r"^(\d+) packets (.*)$", said, re.MULTILINE)}
    assert counts == {"captured": len(ours), "received by filter": len(ours), "dropped by kernel": 0}


def _records(capture: bytes) -> list[bytes]:
    found = []
    at = 24
    while at < len(capture):
        kept, length = (int.from_bytes(capture[at + n : at + n + 4], "little") for n in (8, 12))
        assert kept == length
        found.append(capture[at + 16 : at + 16 + kept])
        at += 16 + kept
    return found
