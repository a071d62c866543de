"""The check that a change of the code changes no value that users see: see ``dev/same_values.py``."""
