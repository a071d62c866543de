"""The captures of both hosts of a run as one list of crossings. Pure."""
