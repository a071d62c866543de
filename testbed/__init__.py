"""Bothends: what a socket call put on the wire, what the other end saw, and where the bytes went."""

__version__ = "0.1.0"
