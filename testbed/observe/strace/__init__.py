"""A trace of strace as calls."""
