"""What a scenario expects of a run, as written."""
