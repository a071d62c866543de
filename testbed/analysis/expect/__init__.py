"""Expectations checked against a run. Pure."""
