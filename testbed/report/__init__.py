"""Reports: one :class:`testbed.model.Analysis` as a terminal summary or as ``result.json``."""
