"""Observers at work in a lab: probe, gdb, strace."""
