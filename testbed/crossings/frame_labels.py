"""Wireshark's labels of the frames of a capture, by frame number, as pages show them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from testbed.pairing.flow_table import find_flows
from testbed.pairing.packet_table import PacketTableBuilder
from testbed.wireshark.label_names import label_names

if TYPE_CHECKING:
    from testbed.capture.columns import Capture


def wire_labels(capture: Capture) -> dict[int, tuple[str, ...]]:
    """Return the labels of every frame that has any; frames count from 1, as Wireshark's do."""
    builder = PacketTableBuilder()
    builder.add(np.arange(len(capture)), capture)
    packets = builder.finish()
    labels = find_flows(packets).labels
    return {int(packets.frame[item]) + 1: label_names(int(labels[item])) for item in np.flatnonzero(labels).tolist()}
