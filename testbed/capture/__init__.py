"""Capture files as columns: ``read(path)`` gives a :class:`Capture`, one NumPy array for each header field."""

from testbed.capture.columns import Capture, Interface
from testbed.capture.read_file import read

__all__ = ["Capture", "Interface", "read"]
