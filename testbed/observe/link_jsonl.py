"""The link's journal read back: ``link.jsonl`` (compose/link/record.h) as values."""

from __future__ import annotations

import json
from collections.abc import Iterable

from testbed.model import HOSTS, Endpoint, Host, LinkAction, LinkFault, LinkJournal, LinkRecord
from testbed.model.errors import CaptureError

_ENDS: dict[str, Host] = {host: host for host in HOSTS}
"""A link has two ends, which its journal names."""


def read_journal(lines: Iterable[str], faults: tuple[LinkFault, ...]) -> LinkJournal:
    """Return the journal; ``faults`` are the exact faults of the plan, in its order.

    Raises CaptureError at a line that is not the journal's; a last line that was cut short is left out.
    """
    records = []
    overflow: dict[Host, int] = dict.fromkeys(HOSTS, 0)
    ended = False
    for number, line in enumerate(lines, 1):
        if not line.endswith("\n"):
            break
        try:
            found = json.loads(line)
            if "event" not in found:
                records.append(_record(found))
            elif found["event"] == "overflow":
                overflow[_ENDS[found["from"]]] += found["count"]
            ended = ended or found.get("event") == "end"
        except (ValueError, KeyError, TypeError) as error:
            raise CaptureError(f"the link's journal cannot be read: line {number}: {error}") from error
    return LinkJournal(tuple(records), faults, overflow, complete=ended)


def _record(found: dict[str, object]) -> LinkRecord:
    values = {
        "n": found["n"],
        "sender": _ENDS[str(found["from"])],
        "time": found["time"],
        "left": found["left"],
        "protocol": found["protocol"],
        "source": Endpoint(str(found["src"]), int(str(found["sport"]))),
        "target": Endpoint(str(found["dst"]), int(str(found["dport"]))),
        "flags": found.get("flags", ""),
        "seq": found.get("seq", 0),
        "length": found["length"],
        "ip_id": found["id"],
        "actions": tuple(map(LinkAction, found["actions"])),  # type: ignore[call-overload]  # a list, or TypeError
        "faults": tuple(found.get("faults", ())),  # type: ignore[arg-type]  # as above
        "made": found.get("made", ""),
        "about": found.get("about"),
        "of": found.get("of"),
        "part": found.get("part", False),
    }
    return LinkRecord(**values)  # type: ignore[arg-type]  # written by our own program
