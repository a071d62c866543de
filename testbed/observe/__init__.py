"""Observers: how the socket calls of a program are recorded, and what the actor says of its steps."""
