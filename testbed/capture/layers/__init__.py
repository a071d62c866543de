"""Protocol layers decoded for many packets at once."""
