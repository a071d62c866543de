"""What a run means, worked out from values alone: no files, no Docker, no sockets, no clock.

``analyse.analyse`` does it all. Its parts: ``join`` (both captures as one), ``streams`` (which bytes each call moved),
``causes`` (why each packet exists), ``silent`` (calls without packets), ``ledger`` (how far every byte got),
``expectations`` and ``verdict``.
"""
