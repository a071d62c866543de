"""Builders of what tests are about: packets, captures and runs, made up here once and used by all tests.

Bytes, independent of the code under test:

- :mod:`~tests.builders.frames`: packets and capture files byte by byte, as a decoder gets them.
- :mod:`~tests.builders.taps`: two hosts' packets on a link that loses, copies, delays and changes some; both captures.
- :mod:`~tests.builders.transfers`: one TCP transfer as both ends capture it, each fault asked for by segment.
- :mod:`~tests.builders.shared_captures`: real captures from a corpus outside the repository, where it is there.

Columns and values:

- :mod:`~tests.builders.segments`: random TCP segments as Wireshark's labels are made from.
- :mod:`~tests.builders.exchange`: a run as calls and packets on consecutive lines, analysed for real.
- :mod:`~tests.builders.frame_labels`: Wireshark's labels of such a run.

Whole runs, campaigns and an Atlas to report on:

- :mod:`~tests.builders.runs`: the origin's run (three sends, one read), and single calls and packets.
- :mod:`~tests.builders.eventful_run`: a run in which all happens that a report must show, with hostile text.
- :mod:`~tests.builders.campaigns`: campaigns of several scenarios and variants.
- :mod:`~tests.builders.atlases`: an Atlas of two entries.
"""
