"""The run directory: the seam between making a run and working out what it means."""
