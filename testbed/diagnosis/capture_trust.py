"""What captures themselves lack, as columns show it: cut packets, packets that a tap dropped or saw twice, clocks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from testbed.diagnosis.trust import needing
from testbed.model import HOSTS
from testbed.model.findings import Distrust, Doubt, FindingName, Need
from testbed.pairing.captured_twice import captured_twice
from testbed.pairing.compare_captures import Comparison
from testbed.pairing.fates import RowFate

_BACK = 1_000_000_000
"""Least time (ns) by which a clock goes back from one packet to the next where it was set: taps mix up less."""

_BY_CONTENT = (FindingName.PAYLOAD_ALTERED, FindingName.CHECKSUM_ERROR, FindingName.SLOW_NAME_RESOLUTION)
_BY_DELAY = (FindingName.BUFFERBLOAT, FindingName.RATE_LIMIT, FindingName.REORDERING)


def capture_doubts(compared: Comparison, *, both_ends: bool) -> Iterator[Doubt]:
    """Yield why captures are not to be trusted in every respect; one capture is compared with itself."""
    table = compared.table
    missed = table.fate == RowFate.NOT_CAPTURED
    for host, packets, items in zip(HOSTS[: 1 + both_ends], compared.packets, (table.one, table.two), strict=False):
        cut = int(np.count_nonzero(packets.captured < packets.framed))
        if cut:
            yield Doubt(Distrust.TRUNCATED, host, cut, _BY_CONTENT)
        dropped = int(np.count_nonzero(missed & (items < 0))) + (packets.partial is not None)
        if dropped:
            yield Doubt(Distrust.DROPPED, host, dropped, needing(Need.BOTH_ENDS))
        doubled = int(np.count_nonzero(captured_twice(packets)))
        if doubled:
            yield Doubt(Distrust.DUPLICATED, host, doubled, (FindingName.DUPLICATED,))
        back = int(np.count_nonzero(np.diff(packets.time) < -_BACK))
        if back:
            yield Doubt(Distrust.CLOCK_STEP, host, back, _BY_DELAY)
    steps = len(compared.clock.pieces) - 1
    if both_ends and steps > 0:
        yield Doubt(Distrust.CLOCK_STEP, None, steps, _BY_DELAY)
