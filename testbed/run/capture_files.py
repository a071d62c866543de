"""The captures of one run, each read once: the kernel's trace is matched with them, and later they are joined."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.model import Host
from testbed.rundir.layout import RunDirectory

if TYPE_CHECKING:  # NumPy is slow to import: a run needs it only once its captures are there
    from testbed.capture.columns import Capture


class CaptureFiles:
    """The hosts' captures in a run directory; they must not change once one was read."""

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory
        self._read: dict[Host, Capture] = {}

    def of(self, host: Host) -> Capture:
        """Return a host's packets. Raises CaptureError."""
        from testbed.capture.read_file import read

        if host not in self._read:
            self._read[host] = read(self._directory.file(f"{host}.pcap"))
        return self._read[host]
