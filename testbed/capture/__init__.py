"""Capture files as columns: ``read(path)`` gives a :class:`Capture`, one NumPy array for each header field."""

from testbed.capture.columns import Capture, Interface
from testbed.capture.files import read

__all__ = ["Capture", "Interface", "read"]
