"""A run in which everything happens that a report must show, as values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from testbed.analysis.analyse import analyse
from testbed.model import (
    Analysis,
    CallRef,
    Check,
    ContentDifference,
    Evidence,
    FieldChange,
    HeaderField,
    Host,
    Labels,
    LedgerPoint,
    OptionBytes,
    PacketRef,
    SocketInfo,
)
from testbed.model.absences import NoPacket, NoPacketReason
from testbed.model.kernel_log import (
    Agreement,
    Assessment,
    KernelEvent,
    KernelEvidence,
    KernelLog,
    Matched,
    SendState,
    StateChange,
)
from testbed.model.ledgers import DifferenceKind
from testbed.pairing.clock import ONE_CLOCK, Clock
from testbed.report.html.page_source import PageSource
from tests.builders.runs import (
    CLIENT,
    META,
    SCENARIO,
    SERVER,
    at,
    expected,
    make_call,
    make_crossing,
    origin,
    with_inputs,
    with_joined,
)

HOSTILE = "<script>alert(1)</script>\"'&`${x}</pre><img src=x onerror=alert(2)>\x00\x1b[31m\u202eevil\u2028\udc80"
"""Markup, quotes, NUL, a terminal escape, a right-to-left override, a line separator, a lone surrogate."""

LABELS: Labels = {"client": {5: ("keep_alive",), 4: ("window_update",)}, "server": {}}
"""Frame 5 of the client's capture is crossing 4, a tail-loss probe."""


EXPECTED = (
    expected(9, "{crossings: {lost: 0}}", {"crossings": {"lost": 0}}),
    expected(10, "{crossings: {appeared: 1}}", {"crossings": {"appeared": 1}}),
)
"""The first is not met, the second is."""


def eventful() -> Analysis:
    """Lost and sent again, a look-alike of a keep-alive, altered, reordered, forged: 14 packets, 5 calls."""
    altered = (FieldChange(HeaderField.TTL, 64, 61), FieldChange(HeaderField.WINDOW, 64240, 1000))
    lost: dict[str, Any] = {"arrived": None, "at_server": None}
    crossings = (
        make_crossing(0, "client", "S", 1, ack=None, options={"mss": 1460, "wscale": 7, "sack_permitted": True}),
        make_crossing(1, "server", "S.", 6.1, options={"wscale": 7, "sack_permitted": True}),
        make_crossing(2, "client", ".", 11.2, seq=1),
        make_crossing(3, "client", "P.", 12, payload=b"c", seq=1),
        make_crossing(4, "client", "P.", 25, payload=b"c", seq=1),
        make_crossing(5, "client", "P.", 30, payload=b"lost!\n", seq=2, start=1, **lost),
        make_crossing(6, "client", "P.", 31, payload=b"late?\n", seq=8, start=7, arrived=at(44)),
        make_crossing(7, "client", "P.", 32, payload=b"soon.\n", seq=14, start=13, arrived=at(38)),
        make_crossing(8, "server", ".", 39, seq=1, ack=2, options={"sack": [[14, 20]]}),
        make_crossing(9, "client", "P.", 45, payload=b"lost!\n", seq=2, start=1),
        make_crossing(10, "server", ".", 51, seq=1, ack=20, changes=altered),
        replace(make_crossing(11, "server", "R", 52, at_server=None, arrived=at(60), raw_seq=77), sent=None),
        make_crossing(12, "client", "F.", 70, seq=20, start=19),
        make_crossing(13, "server", "none", 76, seq=1, ack=None),
    )
    send = {"direction": "out", "args": {"flags": "0"}}
    stopped = {**send, "args": {"flags": "0", "backtrace": ["talk client.c:12", "main client.c:30"]}}
    calls = (
        make_call(
            "client", 0, "connect", 0.9, 11.3, args={"address": "198.18.0.3:10011"}, result=0, source="client.c:9"
        ),
        make_call("client", 1, "send", 11.9, 12.1, data=b"c", source="client.c:12", **stopped),
        make_call("client", 2, "send", 29.9, 30.1, data=b"lost!\n", source="client.c:13", **send),
        make_call("client", 3, "send", 30.8, 32.1, data=b"late?\nsoon.\n", source="client.c:14", **send),
        make_call("client", 4, "close", 69.9, 70.1, source="client.c:15"),
    )
    listener, accepted = SocketInfo(9, "tcp", SERVER), {"accepted": {"fd": 4, "cookie": 2}}
    server = (
        make_call("server", 0, "accept", 16.2, 16.3, result=4, socket=listener, args=accepted),
        make_call("server", 1, "recv", 50.1, 50.3, fd=4, data=b"clost!\n", direction="in"),
        make_call("server", 2, "close", 75.9, 76.1, fd=4),
    )
    inputs = with_joined(origin(), crossings).inputs
    inputs = replace(
        inputs,
        calls={"client": calls, "server": server},
        labels=LABELS,
        sysctls={"client": {"net.ipv4.tcp_early_retrans": "3"}},
    )
    analysis = analyse(inputs, EXPECTED)
    undecided = Check("{call: recv, host: server}", None, "", ("no observer",), f"{SCENARIO}:11")
    return replace(analysis, checks=(*analysis.checks, undecided))


def eventful_source(*, labels: bool = False, clock: Clock | None = None) -> PageSource:
    """Return the eventful run as a page shows it."""
    return PageSource(eventful(), META, labels=LABELS if labels else {}, clock=clock or ONE_CLOCK)


def kernel_event(host: Host | None, name: str, ms: float, **fields: int | str) -> KernelEvent:
    """Return an event of the sample's connection."""
    ends = (SERVER, CLIENT) if host == "server" else (CLIENT, SERVER)
    return KernelEvent(at(ms), name, 0, False, host, *ends, 1, 0, fields)


def change(host: Host, ms: float, old: str, new: str, kind: Any, why: Evidence, **more: Any) -> StateChange:
    """Return a state change of the sample's connection."""
    return StateChange(kernel_event(host, "inet_sock_set_state", ms), 0, old, new, kind, why, **more)


def witnessed() -> Analysis:
    """Return the eventful run with a kernel trace: one cause confirmed by each kind of event, one contradicted."""
    analysis = eventful()
    connect, close = CallRef("client", 0, "connect"), CallRef("client", 4, "close")
    assessed = {
        0: Assessment(Agreement.CONFIRMED, ("CLOSE to SYN_SENT: ", connect)),
        4: Assessment(Agreement.CONFIRMED, ("tcp_retransmit_skb in the Open state",)),
        9: Assessment(Agreement.CONTRADICTED, ("tcp_retransmit_skb in the Recovery state",)),
        12: Assessment(Agreement.CONFIRMED, ("ESTABLISHED to FIN_WAIT1: ", close)),
    }
    again = tuple(
        Matched(kernel_event("client", "tcp_retransmit_skb", ms), 0, (packet,)) for packet, ms in ((4, 25.1), (9, 45.1))
    )
    reset = kernel_event("server", "tcp_send_reset", 76.5, reason="TCP_ABORT_ON_CLOSE")
    drop = kernel_event("server", "kfree_skb", 30.2, reason="TCP_OLD_DATA", place="tcp_rcv_established")
    kernel = KernelEvidence(
        KernelLog((), ("tcp/tcp_probe", "skb/kfree_skb"), ("tcp/tcp_bad_csum",), 0, 25),
        tuple(assessed.get(n, Assessment(Agreement.NOT_COVERED)) for n in range(len(analysis.causes))),
        again,
        (Matched(reset, 0, ()),),
        (Matched(drop, 0, (4,)),),
        (
            change("client", 1, "CLOSE", "SYN_SENT", "call", (connect,), calls=(0,)),
            change("client", 11.1, "SYN_SENT", "ESTABLISHED", "packet", ("SYN+ACK ", PacketRef(1)), packets=(1,)),
            change("server", 16.2, "LISTEN", "SYN_RECV", "packet", ("ACK ", PacketRef(2)), packets=(2,)),
            change("client", 70, "ESTABLISHED", "FIN_WAIT1", "call", (close,), calls=(4,)),
            change("server", 90, "CLOSE_WAIT", "CLOSE", "timer", ("a timer: TCP_KEEPALIVE_TIMEOUT",)),
        ),
        {3: SendState(10, None, 5100, 64_240), 12: SendState(1, 5, 0, 64_240)},
        (reset,),
    )
    return replace(analysis, kernel=kernel)


def witnessed_source() -> PageSource:
    """Return the witnessed run as a page shows it."""
    return PageSource(witnessed(), META)


def hostile_kernel(packets: int) -> KernelEvidence:
    """Return a kernel trace with hostile text wherever it has any, about each packet and the client's first call."""
    event = KernelEvent(at(1), HOSTILE, 0, False, "client", CLIENT, SERVER, 1, 0, {"reason": HOSTILE, "place": HOSTILE})
    matched = tuple(Matched(event, 0, (n,)) for n in range(packets))
    changed = StateChange(event, 0, HOSTILE, HOSTILE, "unknown", (HOSTILE,), (0,), (0,))
    return KernelEvidence(
        KernelLog((), (HOSTILE,), (HOSTILE,), 1, 1, (HOSTILE,)),
        (Assessment(Agreement.CONTRADICTED, (HOSTILE,)),) * packets,
        *(matched, matched, matched),
        (changed, changed),
        {},
        (event,),
    )


def hostile_difference() -> ContentDifference:
    """Return a difference at a call whose name is hostile."""
    points = LedgerPoint.WRITTEN, LedgerPoint.SENT
    return ContentDifference(*points, DifferenceKind.BYTE, 3, 4, 0x61, 0x62, call=CallRef("client", 0, HOSTILE))


def hostile_source() -> PageSource:
    """Return a run in which every foreign text is hostile."""
    analysis = origin()
    joined = analysis.inputs.joined
    payload = HOSTILE.encode(errors="surrogateescape")
    crossings = tuple(
        replace(
            crossing,
            payload=payload,
            length=len(payload),
            note=(HOSTILE,),
            changes=(FieldChange(HeaderField.OPTIONS, OptionBytes(payload, 0), OptionBytes(b"", 0)),),
        )
        for crossing in joined.crossings
    )
    calls = tuple(
        replace(
            call,
            name=HOSTILE,
            program=HOSTILE,
            source=HOSTILE,
            args={HOSTILE: HOSTILE},
            data=payload[:64],
            errno=HOSTILE,
        )
        for call in analysis.inputs.calls["client"]
    )
    dirty = with_inputs(
        with_joined(analysis, crossings),
        calls={"client": calls, "server": ()},
        observed={"client": HOSTILE, "server": HOSTILE},
        programs=tuple(replace(program, argv=(HOSTILE, HOSTILE)) for program in analysis.inputs.programs),
        output={"client": HOSTILE, "server": "x" * 1_000_000},
        incomplete=(HOSTILE,),
        failures=(HOSTILE,),
    )
    dirty = replace(
        dirty,
        causes=tuple(replace(cause, evidence=(HOSTILE, CallRef("client", 0, HOSTILE))) for cause in analysis.causes),
        no_packet={("client", 0): NoPacket(NoPacketReason.FAILED, errno=HOSTILE)},
        ledger=tuple(replace(row, difference=hostile_difference()) for row in analysis.ledger),
        checks=tuple(Check(HOSTILE, ok, HOSTILE, (HOSTILE,), HOSTILE) for ok in (True, False, None)),
        kernel=hostile_kernel(len(crossings)),
        reasons=(HOSTILE,),
    )
    meta = {**META, "scenario": HOSTILE, "summary": HOSTILE, "notes": [HOSTILE], "engine": HOSTILE, "run_id": HOSTILE}
    printed = {"client.out": HOSTILE * 3, "server.out": "x" * 1_000_000}
    labels: Labels = {"client": dict.fromkeys(range(1, 8), (HOSTILE,)), "server": {}}
    return PageSource(dirty, meta, labels=labels, printed=printed, conditions=((HOSTILE, HOSTILE),))
