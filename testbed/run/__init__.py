"""Make a run, and evaluate a run directory: the input and output around labs and analysis."""
