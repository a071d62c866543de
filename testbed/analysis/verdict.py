"""What became of the data, in plain sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from testbed.model import Cause, Crossing, Fate, Flow, Host, Joined, LedgerRow, peer_of

MOST_FLOWS = 3
"""With more flows than this the verdict gives totals and the worst flows only."""


def verdict(joined: Joined, ledger: Sequence[LedgerRow], causes: Sequence[Cause]) -> tuple[str, ...]:
    """Return one or more sentences; ``ledger`` is of the same run, ``causes`` are aligned with the crossings."""
    if not joined.crossings:
        return ("no packet went between the two hosts",)
    if not joined.flows:
        return (f"{len(joined.crossings)} packets crossed, none of them of TCP or UDP",)
    packets: dict[int, list[Crossing]] = {flow.index: [] for flow in joined.flows}
    for crossing in joined.crossings:
        if crossing.flow is not None:
            packets[crossing.flow].append(crossing)
    rows: dict[int, list[LedgerRow]] = {flow.index: [] for flow in joined.flows}
    for row in ledger:
        rows[row.flow].append(row)
    several = len(joined.flows) > 1
    if len(joined.flows) <= MOST_FLOWS:
        return tuple(
            sentence
            for flow in joined.flows
            for sentence in _of_flow(flow, rows[flow.index], packets[flow.index], causes, named=several)
        )
    worst = sorted(joined.flows, key=lambda flow: -_trouble(rows[flow.index], packets[flow.index], causes))
    sentences = list(_totals(joined, ledger, packets, causes))
    for flow in worst[:MOST_FLOWS]:
        if _trouble(rows[flow.index], packets[flow.index], causes):
            sentences += _of_flow(flow, rows[flow.index], packets[flow.index], causes, named=True)
    return tuple(sentences)


def _of_flow(
    flow: Flow, rows: list[LedgerRow], packets: list[Crossing], causes: Sequence[Cause], *, named: bool
) -> list[str]:
    where = f"{flow.client} - {flow.server}: " if named else ""
    unopened = _unopened(flow, packets, causes) if flow.protocol == "tcp" else None
    if unopened is not None:
        return [where + unopened]
    busy = [row for row in rows if _moved(row)]
    if not busy:
        return [f"{where}the connection was opened, no data was sent; {_ending(packets)}"]
    sentences = []
    for row in busy:
        direction = f"{row.sender} to {peer_of(row.sender)}: " if len(busy) > 1 else ""
        describe = _datagrams if flow.protocol == "udp" else _bytes
        sentences.append(where + direction + describe(row, packets, causes))
    return sentences


def _unopened(flow: Flow, packets: list[Crossing], causes: Sequence[Cause]) -> str | None:
    """Return why a connection never opened, None if it did (or if its opening was not captured)."""
    for packet in packets:
        if causes[packet.n].rule == "closed-port":
            if packet.fate is Fate.LOST:
                break
            refuser = packet.sender
            own = flow.endpoint(refuser)
            listening = "nothing listened on" if "nothing" in causes[packet.n].evidence else "nobody took it on"
            return f"the {refuser} refused the connection: {listening} {own} (RST)"
    if "S" not in packets[0].flags:
        return None
    opener = packets[0].sender
    if any(packet.ack is not None and "R" not in packet.flags for packet in packets if packet.sender == opener):
        return None
    peer = peer_of(opener)
    answers = [packet for packet in packets if packet.sender == peer]
    if any(packet.fate is not Fate.LOST for packet in answers):
        if any("S" in packet.flags for packet in answers) and any("R" in packet.flags for packet in packets):
            return f"the connection never opened: the {opener} had given it up before the {peer}'s answer came (RST)"
        return None
    if answers:
        return f"the connection never opened: the {peer}'s {_some(len(answers), 'answer')} did not arrive"
    syns = [packet for packet in packets if "S" in packet.flags]
    lost = sum(packet.fate is Fate.LOST for packet in syns)
    fate = "none of them arrived" if lost == len(syns) else "it did not answer"
    return f"the connection never opened: {_some(len(syns), 'SYN')} to the {peer}, {fate}"


def _some(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _ending(packets: list[Crossing]) -> str:
    resets = [packet for packet in packets if "R" in packet.flags]
    if resets:
        return f"the {resets[0].sender} broke it off (RST)"
    closed = {packet.sender for packet in packets if "F" in packet.flags}
    if len(closed) == 2:
        return "both ends closed it"
    return f"only the {next(iter(closed))} closed it" if closed else "it is still open"


def _bytes(row: LedgerRow, packets: list[Crossing], causes: Sequence[Cause]) -> str:
    receiver = peer_of(row.sender)
    points = _points(row, datagrams=False)
    total = points[0][1]
    count = f"{total:,} byte{'s' * (total != 1)}"
    every = f"all {count}" if total > 1 else f"the {count}"
    read, arrived = row.read.bytes, row.arrived.bytes or 0
    blind = "" if read is not None else f"; what the {receiver}'s program read was not observed"
    if row.lost_at is None and not row.unread:
        verb = "were" if total > 1 else "was"
        done = _listed([name for name, _ in points])
        equal = "contents are equal" if row.difference is None else f"but contents differ: {row.difference}"
        return f"{every} {verb} {done}; {equal}{blind}"
    if arrived >= total:
        refused = _refused(row, packets, causes)
        unread = (row.unread or 0) - refused
        text = f"{every} reached the {receiver}" + ("" if refused else "'s socket")
        if refused:
            text += f"; no socket took {'them' if refused == total else f'the last {refused:,}'} (RST)"
        if read is not None and unread > 0:
            closed = _closed_unread(packets, causes, receiver)
            some = f"{read:,}" if read else "none"
            text += f"; the {receiver} program read {some} and {closed} {unread:,} unread"
        elif refused:
            text += f"; the {receiver} program read {read:,}" if read else ""
        else:
            text += f", {row.acknowledged.bytes:,} were acknowledged as far as the {row.sender} saw"
    else:
        text = _shortfall(row.sender, points, "byte")
        if read is not None and row.unread:
            text += f"; {row.unread:,} that arrived were not read"
    return text + blind + (f"; contents differ: {row.difference}" if row.difference else "")


def _datagrams(row: LedgerRow, packets: list[Crossing], causes: Sequence[Cause]) -> str:
    del packets, causes
    receiver = peer_of(row.sender)
    points = _points(row, datagrams=True)
    total = points[0][1]
    blind = "" if row.read.datagrams is not None else f"; what the {receiver}'s program read was not observed"
    if all(number == total for _, number in points):
        every = f"all {total:,} datagrams were" if total > 1 else "the datagram was"
        equal = "contents are equal" if row.difference is None else f"but contents differ: {row.difference}"
        return f"{every} {_listed([name for name, _ in points])}; {equal}{blind}"
    text = _shortfall(row.sender, points, "datagram")
    return text + blind + (f"; contents differ: {row.difference}" if row.difference else "")


def _shortfall(sender: Host, points: list[tuple[str, int]], unit: str) -> str:
    receiver = peer_of(sender)
    steps = {
        "sent": f"left the {sender}",
        "arrived": f"reached the {receiver}",
        "acknowledged": "were acknowledged",
        "read": f"were read by the {receiver} program",
    }
    first, total = points[0]
    text = f"{total:,} {unit}{'s' * (total != 1)} {'was' if total == 1 else 'were'} {first}"
    before = total
    for name, number in points[1:]:
        if number != before:
            text += f", {number:,} {steps[name]}"
        before = number
    return text


def _points(row: LedgerRow, *, datagrams: bool) -> list[tuple[str, int]]:
    named = (
        ("written", row.written),
        ("sent", row.sent),
        ("arrived", row.arrived),
        ("acknowledged", row.acknowledged),
        ("read", row.read),
    )
    found = [(name, count.datagrams if datagrams else count.bytes) for name, count in named]
    return [(name, number) for name, number in found if number is not None]


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _refused(row: LedgerRow, packets: list[Crossing], causes: Sequence[Cause]) -> int:
    """Return how many of the last bytes came when no socket was there: a RST answered them, and no ACK covers them."""
    answered = {n for packet in packets if causes[packet.n].rule == "reset-answer" for n in causes[packet.n].packets}
    late = [
        packet.start for packet in packets if packet.n in answered and packet.sender == row.sender and packet.length
    ]
    reached = max(row.acknowledged.bytes or 0, row.read.bytes or 0)
    return max((row.arrived.bytes or 0) - max(min(late), reached), 0) if late else 0


def _closed_unread(packets: list[Crossing], causes: Sequence[Cause], receiver: Host) -> str:
    rules = {causes[packet.n].rule for packet in packets if packet.sender == receiver}
    if "reset-unread" in rules:
        return "closed with"
    return "ended with" if "reset-exit" in rules else "left"


def _moved(row: LedgerRow) -> bool:
    if row.sent.datagrams is not None:
        return bool(row.sent.datagrams or row.written.datagrams or row.arrived.datagrams)
    return bool(row.sent.bytes or row.written.bytes or row.arrived.bytes)


def _trouble(rows: list[LedgerRow], packets: list[Crossing], causes: Sequence[Cause]) -> int:
    """Rank flows: content that differs, then bytes lost on the way or unread, then refused connections."""
    missing = sum(max((row.written.bytes or row.sent.bytes or 0) - (row.arrived.bytes or 0), 0) for row in rows)
    unread = sum(row.unread or 0 for row in rows)
    differs = any(row.difference for row in rows)
    refused = any(causes[packet.n].rule == "closed-port" for packet in packets)
    return (differs << 62) + (missing << 1) + unread + refused


def _totals(
    joined: Joined, ledger: Sequence[LedgerRow], packets: dict[int, list[Crossing]], causes: Sequence[Cause]
) -> list[str]:
    kinds = Counter(flow.protocol for flow in joined.flows)
    counted = " and ".join(
        f"{number} {'connections' if protocol == 'tcp' else 'UDP conversations'}" for protocol, number in kinds.items()
    )
    refused = sum(
        any(causes[packet.n].rule == "closed-port" for packet in packets[flow.index]) for flow in joined.flows
    )
    sentences = [counted + (f", {refused} of them refused" if refused else "")]
    for sender in ("client", "server"):
        rows = [row for row in ledger if row.sender == sender and _moved(row)]
        if not rows:
            continue
        sums = []
        for name in ("written", "sent", "arrived", "acknowledged", "read"):
            numbers = [getattr(row, name).bytes for row in rows]
            if None not in numbers:
                sums.append((name, sum(numbers)))
        same = all(number == sums[0][1] for _, number in sums)
        text = (
            f"all {sums[0][1]:,} bytes were {_listed([name for name, _ in sums])}"
            if same
            else ", ".join(f"{number:,} {name}" for name, number in sums)
        )
        differing = sum(row.difference is not None for row in rows)
        equal = f"contents differ on {differing}" if differing else "contents are equal"
        sentences.append(f"{sender} to {peer_of('client' if sender == 'client' else 'server')}: {text}; {equal}")
    return sentences
