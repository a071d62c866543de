"""The steps of a host: as written, checked, and compiled into the actor's script."""
