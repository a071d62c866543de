"""The Atlas: what each socket call put on the wire, measured by running the catalogue."""
