"""The logs of Windows programs (compose/winprobe) as calls."""
