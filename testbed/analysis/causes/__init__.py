"""Why each packet exists: the rules. Pure."""
