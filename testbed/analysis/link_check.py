"""What the link did to each packet, and whether the two captures show exactly that.

The link sees the packets of a host in the order in which they left it, so that records and crossings of one identity
correspond in order. Where several packets are the same in everything, which of them was dropped can only be counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from testbed.model import (
    HOSTS,
    Crossing,
    Endpoint,
    Evidence,
    Fate,
    Host,
    Joined,
    LinkAction,
    LinkEffect,
    LinkFault,
    LinkJournal,
    LinkOrigin,
    LinkRecord,
    PacketRef,
    peer_of,
)
from testbed.model.ip import is_group

_Key = tuple[Host, str, Endpoint | None, Endpoint | None, str, int, int]
_SHOWN = 5


def match_journal(joined: Joined, journal: LinkJournal) -> tuple[Joined, tuple[str, ...]]:
    """Return the crossings with what the link did to them, and where captures and journal do not agree."""
    problems = _Problems()
    known: dict[int, tuple[LinkRecord, tuple[LinkEffect | LinkOrigin, ...]]] = {}
    by_key: dict[_Key, list[LinkRecord]] = defaultdict(list)
    made: dict[_Key, list[LinkRecord]] = defaultdict(list)
    for record in _whole(journal.records):
        (made if record.made else by_key)[_of_record(record)].append(record)
    sent: dict[_Key, list[Crossing]] = defaultdict(list)
    appeared: dict[_Key, list[Crossing]] = defaultdict(list)
    for crossing in joined.crossings:
        if _to_group(crossing, joined):
            continue  # the link's host is a router of single hosts' packets only: it forwards none of a group's
        (appeared if crossing.sent is None else sent)[_of_crossing(crossing, joined)].append(crossing)
    overflow = dict(journal.overflow)
    for key in dict.fromkeys((*sent, *by_key)):
        for crossing, record in _paired(sent[key], by_key[key], problems, overflow):
            known[crossing.n] = record, _effects(record, journal)
    numbers = {
        (record.sender, record.n): n for n, (record, _) in sorted(known.items(), reverse=True) if record.n is not None
    }
    for key in dict.fromkeys((*appeared, *made)):
        for crossing, record in _matched(appeared[key], made[key], problems):
            known[crossing.n] = record, (_origin(record, journal, numbers),)
    crossings = tuple(
        replace(crossing, link=known[crossing.n][1], made=known[crossing.n][0].made)
        if crossing.n in known
        else crossing
        for crossing in joined.crossings
    )
    for host in HOSTS:
        if journal.overflow[host]:
            problems.note(f"the kernel lost {journal.overflow[host]} packets from the {host} before the link saw them")
    if not journal.complete:
        problems.note("the link's journal has no end")
    return replace(joined, crossings=crossings), tuple(problems.texts())


class _Problems:
    def __init__(self) -> None:
        self.found: list[str] = []

    def note(self, text: str) -> None:
        self.found.append(text)

    def texts(self) -> Iterable[str]:
        yield from self.found[:_SHOWN]
        if len(self.found) > _SHOWN:
            yield f"... and {len(self.found) - _SHOWN} more packets of which captures and link's journal do not agree"


def _whole(records: Iterable[LinkRecord]) -> list[LinkRecord]:
    """Return the records with those of later fragments joined to their first: a packet in pieces is one packet."""
    first: dict[tuple[Host, int], int] = {}
    whole: list[LinkRecord] = []
    for record in sorted(records, key=lambda record: (record.time, record.n or 0)):
        key = (record.sender, record.ip_id)
        if not record.part:
            first[key] = len(whole)
            whole.append(record)
        elif key in first:
            begun = whole[first[key]]
            whole[first[key]] = replace(
                begun,
                left=None if record.left is None else begun.left,
                actions=tuple(dict.fromkeys((*begun.actions, *record.actions))),
                faults=tuple(dict.fromkeys((*begun.faults, *record.faults))),
            )
    return whole


def _of_record(record: LinkRecord) -> _Key:
    ends = (record.source, record.target) if record.protocol in ("tcp", "udp") else (None, None)
    if record.protocol != "tcp":
        return record.sender, record.protocol, *ends, "", 0, 0
    length = 0 if record.made else record.length
    return record.sender, "tcp", *ends, record.flags, record.seq, length


def _of_crossing(crossing: Crossing, joined: Joined) -> _Key:
    ends: tuple[Endpoint | None, Endpoint | None] = None, None
    if crossing.flow is not None:
        flow = joined.flows[crossing.flow]
        ends = flow.endpoint(crossing.sender), flow.endpoint(peer_of(crossing.sender))
    if crossing.protocol != "tcp":
        return crossing.sender, crossing.protocol, *ends, "", 0, 0
    length = 0 if crossing.sent is None else crossing.length
    return crossing.sender, "tcp", *ends, crossing.flags, crossing.raw_seq, length


def _to_group(crossing: Crossing, joined: Joined) -> bool:
    flow = None if crossing.flow is None else joined.flows[crossing.flow]
    return flow is not None and is_group(flow.endpoint(peer_of(crossing.sender)).address)


def _paired(
    crossings: list[Crossing], records: list[LinkRecord], problems: _Problems, overflow: dict[Host, int]
) -> Iterable[tuple[Crossing, LinkRecord]]:
    """Pair what a host sent with what the link saw; of identical packets the lost ones with the dropped ones."""
    if len(crossings) == len(records) and all(
        (crossing.fate is Fate.LOST) == (record.left is None)
        for crossing, record in zip(crossings, records, strict=True)
    ):
        yield from zip(crossings, records, strict=True)
        return
    lost = [crossing for crossing in crossings if crossing.fate is Fate.LOST]
    came = [crossing for crossing in crossings if crossing.fate is not Fate.LOST]
    dropped = [record for record in records if record.left is None]
    passed = [record for record in records if record.left is not None]
    yield from zip(lost, dropped, strict=False)
    yield from zip(came, passed, strict=False)
    for crossing in lost[len(dropped) :]:
        if len(passed) > len(came):
            problems.note(f"#{crossing.n} is lost, but the link let it go")
        elif overflow[crossing.sender]:
            overflow[crossing.sender] -= 1
        else:
            problems.note(f"#{crossing.n} is lost, and it never came to the link")
    for crossing in came[len(passed) :]:
        what = "the link dropped it" if len(dropped) > len(lost) else "the link did not see it"
        problems.note(f"#{crossing.n} arrived, but {what}")
    missing = len(records) - len(crossings)
    if missing > 0:
        record = records[-1]
        problems.note(f"the link saw {missing} packets [{record.flags}] from the {record.sender} that no capture shows")


def _matched(
    crossings: list[Crossing], records: list[LinkRecord], problems: _Problems
) -> Iterable[tuple[Crossing, LinkRecord]]:
    yield from zip(crossings, records, strict=False)
    for crossing in crossings[len(records) :]:
        problems.note(f"#{crossing.n} appeared, but the link did not make it")
    for record in records[len(crossings) :]:
        problems.note(f"the link made a packet ({record.made}) as from the {record.sender} that did not arrive")


def _effects(record: LinkRecord, journal: LinkJournal) -> tuple[LinkEffect, ...]:
    """Return what was done to a packet, a delay that it got over first."""
    faults = _faults(record, journal)
    effects = [
        LinkEffect(action, faults=tuple(fault for fault in faults if fault.action is action))
        for action in record.actions
        if action is not LinkAction.DELAY
    ]
    if record.left is not None and LinkAction.DELAY in record.actions:
        effects.insert(0, LinkEffect(LinkAction.DELAY, record.left - record.time))
    return tuple(effects)


def _origin(record: LinkRecord, journal: LinkJournal, numbers: dict[tuple[Host, int], int]) -> LinkOrigin:
    assert record.made  # noqa: S101 - the caller has looked
    assert record.about is not None  # noqa: S101 - the journal names it for all that the link made
    assert record.of is not None  # noqa: S101 - as above
    return LinkOrigin(record.made, numbers.get((record.about, record.of)), _faults(record, journal))


def _faults(record: LinkRecord, journal: LinkJournal) -> tuple[LinkFault, ...]:
    """Return the faults that met a packet; none where the plan is not known."""
    return tuple(journal.faults[index] for index in record.faults if index < len(journal.faults))


def origin_evidence(origin: LinkOrigin) -> Evidence:
    """Return why the link made a packet, the evidence of its cause."""
    about = PacketRef(origin.of) if origin.of is not None else "a packet"
    if origin.made == "copy":
        return ("made by the link: a copy of ", about)
    if origin.made == "icmp":
        return ("sent by the link: ", about, " is larger than its MTU")
    faults = "; ".join(fault.text for fault in origin.faults)
    return ("forged by the link behind ", about, *((f" ({faults})",) if faults else ()))
