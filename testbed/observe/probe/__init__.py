"""The preloaded probe's log as calls."""
