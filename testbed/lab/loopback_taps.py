"""Taps at the hosts' loopbacks: what a host's programs say to each other, captured beside what goes over the wire.

Nothing is concluded from these captures, so that one which is not complete is a note and no more.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from concurrent.futures import Executor, Future
from pathlib import Path

from testbed.lab.engine import LiveLab
from testbed.lab.tcpdump import SENTINEL_PREFIX, Captured, TcpdumpTap
from testbed.model import Host
from testbed.model.errors import LabError
from testbed.rundir.layout import loopback_file

_LOOPBACK = Captured(interface="lo", buffer="4096")
_ADDRESS = "127.0.0.1"


class LoopbackTaps:
    """The taps of those ``hosts`` whose loopback is captured; a host that sent itself nothing leaves no file."""

    def __init__(self, live: LiveLab, directory: Path, hosts: Collection[Host]) -> None:
        self._live = live
        self._taps = {
            host: TcpdumpTap(
                host,
                agent,
                directory / loopback_file(host),
                captured=_LOOPBACK,
                program=live.capturing,
            )
            for host, agent in live.taps.items()
            if host in hosts
        }
        self._proven: set[Host] = set()
        self._refused: dict[Host, str] = {}

    def begin(self, pool: Executor) -> list[Future[None]]:
        """Start them; each answer is there when one listens, or cannot."""
        return [pool.submit(self._start, tap) for tap in self._taps.values()]

    def _start(self, tap: TcpdumpTap) -> None:
        try:
            tap.start()
        except LabError as error:
            self._refused[tap.host] = f"loopback: {error}"

    def prove(self, timeout: float) -> None:
        """Send each host's loopback a datagram and wait until it was captured, and so all before it."""
        for host, tap in self._listening().items():
            text = f"{SENTINEL_PREFIX} loopback {secrets.token_hex(8)}"
            tap.expect([text])
            try:
                self._live.hosts[host].send_sentinel(_ADDRESS, text)
            except LabError:
                continue
            if tap.wait_seen(timeout):
                self._proven.add(host)

    def stop(self) -> list[str]:
        """End them; return what there is to note."""
        notes = list(self._refused.values())
        for host, tap in self._listening().items():
            try:
                tap.stop()
                if tap.died():
                    notes.append(f"loopback: {tap.died()}")
            except LabError as error:
                notes.append(f"loopback: {error}")
            notes += [f"loopback of the {text}" for text in tap.problems(sentinel_seen=host in self._proven)]
            if host in self._proven and tap.statistics.get("captured") == 1:  # the lab's own datagram
                tap.path.unlink(missing_ok=True)
        return notes

    def _listening(self) -> dict[Host, TcpdumpTap]:
        return {host: tap for host, tap in self._taps.items() if host not in self._refused}
