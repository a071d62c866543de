"""Make runs of the whole catalogue with one tree, in the ways that differ most in what is recorded."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

_NAMESPACE = "--engine namespace"
_ALL = f"--all --keep all {_NAMESPACE}"
_OBSERVED = "--compare-observers --engine"
_OWN = "many-connections port-reuse threads"  # what the catalogue has not, in scenarios/ beside this file
_SCENARIOS = Path(__file__).parent / "scenarios"
WAYS = {
    "namespace": _ALL,
    "namespace-witness": f"{_ALL} --witness",
    "namespace-strace": f"{_ALL} --set observe.client=strace --set observe.server=strace",
    "namespace-gdb": f"{_ALL} --set observe.client=gdb --set observe.server=gdb",
    "namespace-observers": f"half-close lost-tail lost-ack linger-zero udp-lost both-families delayed-ack cork "
    f"killed-process close-not-drained time-wait sendmsg python-http {_OBSERVED} namespace",
    "docker": "large-transfer mtu-black-hole openssl syn-cookies peer-vanishes close-unread-destroys --engine docker",
    "docker-observers": f"echo server-reads-once lost-middle forged-rst corrupted-segment duplicated-segment "
    f"udp-datagrams ipv6 backlog-full nagle {_OBSERVED} docker",
    "docker-witness": "keepalive-lookalike lost-syn path-mtu udp-fragments tfo zero-window reordered-pair linger-zero "
    "closed-port curl-nginx redis-cli half-close self-connect both-families-loss --engine docker --witness --jobs 2 "
    "--keep all",
    "namespace-own": f"{_OWN} {_NAMESPACE} --witness --keep all --set observe.client=probe,strace,gdb "
    "--set observe.server=probe,none",
    "docker-own": f"{_OWN} --engine docker",
}
"""Folder -> what `invoke run` is given. Where expectations fail under another observer, that is wanted."""


def make(tree: Path, place: Path, say: Callable[[str], None]) -> None:
    """Run the catalogue of a tree in all ways; one that this machine cannot is told and left out."""
    env = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    for folder, words in WAYS.items():
        say(f"{folder}: invoke run {words}")
        arguments = [str(_SCENARIOS / f"{word}.yaml") if word in _OWN.split() else word for word in words.split()]
        command = [sys.executable, "-m", "invoke", "run", *arguments, "--quiet", "--runs", str(place / folder)]
        done = subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True, check=False)
        last = (done.stdout + done.stderr).strip().splitlines()[-1:]
        say(f"{folder}: exit code {done.returncode}, {len(list((place / folder).rglob('manifest.json')))} runs; {last}")
