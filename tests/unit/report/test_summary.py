"""The summary: plain words, one screen, nothing foreign that acts on the terminal.

It is long because each part of the summary is asked for in runs of its own, with the same few helpers.
"""

from __future__ import annotations

import io
import os
import re
import unicodedata
from dataclasses import replace

import pytest
from rich.console import Console

from testbed.model import (
    Analysis,
    CallRef,
    Cause,
    CauseName,
    Check,
    ContentDifference,
    Count,
    Crossing,
    Delay,
    Endpoint,
    FieldChange,
    Flow,
    HeaderField,
    LedgerPoint,
    LedgerRow,
    Outcome,
    PacketRef,
    Program,
    ProgramEnd,
    SocketInfo,
    StopReason,
)
from testbed.model.absences import NoPacket, NoPacketReason
from testbed.model.kernel_log import Agreement, Assessment, KernelEvidence, KernelLog
from testbed.model.ledgers import DifferenceKind
from testbed.model.loopback import Loopback, LoopbackPacket
from testbed.report.text.run_summary import SCREEN, Extent, console_for, render, summary
from tests.builders.exchange import Exchange
from tests.builders.runs import (
    CLIENT,
    META,
    SERVER,
    at,
    make_call,
    make_crossing,
    origin,
    with_inputs,
    with_joined,
)

EVIL = "\x1b[31mred\x07[bold]x[/bold]\u202egnp.exe\x9b2J\r\n:smile:"
MARKS = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def lines(analysis: Analysis, width: int = 100) -> list[str]:
    """What a console that is no terminal prints; the size is always within one screen."""
    out = io.StringIO()
    render(analysis, META, Console(file=out, width=width))
    shown = out.getvalue().splitlines()
    assert len(shown) <= SCREEN + 2, "more than one screen"
    assert max(map(len, shown)) <= width
    return shown


def one(shown: list[str], start: str) -> str:
    (found,) = [line for line in shown if line.startswith(start)]
    return found


def test_the_headline_names_scenario_outcome_and_directory() -> None:
    shown = lines(origin())
    assert shown[0] == "connect-send-close: FAIL  Three sends and an immediate close"
    assert shown[1].startswith("runs/connect-send-close/20260101T120000Z-0123abcd  (docker; ")


def test_the_ladder_is_the_origins_experiment() -> None:
    """Calls left and right, packets between, in time order, each beside the call it belongs to."""
    held = NoPacket(NoPacketReason.HELD_BY_NAGLE, packet=PacketRef(3))
    shown = lines(origin(no_packet={("client", 3): held}))
    start = next(n for n, line in enumerate(shown) if line.split() == ["ms", "client", "server"])
    ladder = [" ".join(line.split()) for line in shown[start + 1 : shown.index("", start)]]
    assert [line.replace("-", "") for line in ladder] == [
        "0.000 listen()",
        "0.800 socket() = 3",
        "0.900 connect(server:10011) S>",
        "6.050 <S.",
        "11.100 .>",
        '11.120 send("c") = 1 P. "c">',
        '11.300 send("c") = 1',
        "(none: held by Nagle's algorithm, as #3 was not acknowledged)",
        '11.500 send("string") = 6',
        "11.700 close()",
        "16.120 accept() = 4",
        "16.200 <.",
        '16.400 recv() = 1 "c"',
        '21.300 FP. "cstring">',
        "29.900 <R. close()",
    ]


def test_with_room_each_capture_has_a_lane_and_arrivals_tell_their_delay() -> None:
    crossings = (
        make_crossing(0, "client", "S", 1),
        make_crossing(1, "server", "S.", 6, arrived=at(5.9)),
        make_crossing(2, "client", "P.", 12, payload=b"c", arrived=None),
        replace(make_crossing(3, "server", "R", 20, arrived=at(21)), sent=None),
        make_crossing(4, "server", ".", 22, arrived=None),
        replace(make_crossing(5, "client", ".", 23, arrived=at(24)), sent=None),
    )
    shown = [line.text for line in summary(with_inputs(with_joined(origin(), crossings), calls={}), META, 110)]
    start = next(n for n, line in enumerate(shown) if line.startswith("       ms"))
    assert " ".join(shown[start].split()) == "ms client calls client capture server capture server calls"
    assert [line[11:].strip() for line in shown[start + 1 : shown.index("", start)]] == [
        "S ----------> +5.00 ms",
        "-100 us <---------- S.",
        'P. "c" -----x',
        "R <----x",
        "x----- .",
        "x----> .",
    ]
    capture = shown[start].index("client capture") + len("client capture")
    assert [line[:capture].rstrip()[11:].strip() for line in shown[start + 1 : start + 4]] == ["S", "-100 us", 'P. "c"']


def test_what_both_ends_saw_is_counted() -> None:
    shown = lines(origin())
    assert one(shown, "packets") == "packets   7 at client, 7 at server: 7 matched, 0 lost, 0 altered, 0 appeared"
    assert one(shown, "delay     client") == "delay     client to server: min 5.00 ms, median 5.00 ms, max 5.02 ms"
    assert one(shown, "others") == "others    client ARP 2"
    assert not [line for line in shown if line.startswith("causes")]


def test_lost_appeared_and_altered_packets_show() -> None:
    """A lost arrow ends in x, one that nobody sent begins with ?, an altered one says so, unknown causes count."""
    crossings = (
        make_crossing(0, "client", "S", 1, arrived=None),
        make_crossing(1, "server", "S.", 2, arrived=None),
        replace(make_crossing(2, "client", "R", 3), sent=None, arrived=at(3)),
        replace(make_crossing(3, "server", "R", 4), sent=None, arrived=at(4)),
        make_crossing(4, "client", "P.", 5, payload=b"c", changes=(FieldChange(HeaderField.TTL, 64, 63),)),
    )
    shown = lines(with_joined(origin(), crossings))
    arrows = [line.split("  ")[-1].strip() for line in shown if "---" in line]
    assert re.fullmatch("--S-+x", arrows[0])
    assert re.fullmatch(r"x--S\.-+", arrows[1])
    assert re.fullmatch(r"\?-R-+>", arrows[2])
    assert re.fullmatch(r"<--R-+\?", arrows[3])
    assert '--P. altered "c"--' in arrows[4]
    assert one(shown, "packets").endswith("1 matched, 2 lost, 1 altered, 2 appeared")
    assert one(shown, "causes") == "causes    5 packets without a known cause"


def test_the_ledger_follows_the_bytes() -> None:
    shown = lines(origin())
    assert one(shown, "bytes").split() == ["bytes", "written", "sent", "arrived", "acked", "read", "content"]
    first = one(shown, "#1 from client").split()
    assert first[3:11] == ["8", "8", "8", "8", "1", "7", "unread;", "FIN"]
    assert one(shown, "#1 from server").split()[3:11] == ["0", "0", "0", "0", "0", "nothing;", "RST", "by"]


OTHER_BYTE = ContentDifference(LedgerPoint.SENT, LedgerPoint.ARRIVED, DifferenceKind.BYTE, 3, 4, 0x61, 0x62)


def test_ledger_content_in_words() -> None:
    """Equal with the digest, the first difference, the point of loss, what cannot be known, datagrams."""
    count = Count(5, "00112233aabbccdd")
    rows = (
        LedgerRow(0, "client", count, count, count, count, count, 0),
        LedgerRow(1, "client", count, count, count, count, count, 0, OTHER_BYTE),
        LedgerRow(2, "client", count, count, Count(3), Count(3), Count(3), 0, None, LedgerPoint.ARRIVED),
        LedgerRow(3, "client", Count(None), Count(5), Count(5), Count(5), Count(None)),
        LedgerRow(4, "client", Count(9, None, 2), Count(9, None, 2), Count(9, None, 2), Count(None), Count(9, None, 2)),
    )
    shown = lines(origin(ledger=rows))
    assert one(shown, "#1 from").endswith("equal (00112233aabbccdd)")
    assert one(shown, "#2 from").endswith("differs: byte 3: 61 sent, 62 arrived")
    assert one(shown, "#3 from").endswith("missing from 'arrived' on")
    assert one(shown, "#4 from").split()[3:] == ["?", "5", "5", "5", "?", "equal"]
    assert one(shown, "#5 from").split()[3:] == ["9", "in", "2"] * 3 + ["?", "9", "in", "2", "equal"]


def test_a_failed_expectation_shows_expected_above_actual_with_its_place() -> None:
    shown = lines(origin())
    place = shown.index("FAILED scenarios/connect-send-close.yaml:10: ledger client read")
    assert shown[place - 1] == "1 of 2 expectations holds"
    assert shown[place + 1 : place + 3] == ["  expected: client: read 8", "  actual:   client: read 1"]


def test_an_undecided_expectation_comes_after_the_failed_ones() -> None:
    checks = (Check("first", None, "8", ("not observed",)), Check("second", False, "1", ("2",)))
    shown = lines(origin(checks=checks))
    assert shown.index("FAILED second") < shown.index("undecided first")


def test_an_expectation_for_other_kernels_is_not_counted_but_shown() -> None:
    other = Check("third", None, "a kernel <6.5", ("a kernel 6.18",), "x.yaml:3", applies=False)
    shown = lines(origin(checks=(Check("first", True), Check("second", True), other)))
    assert one(shown, "2 of 2 expectations") == "2 of 2 expectations hold"
    assert one(shown, "not applicable") == "not applicable x.yaml:3: third: for a kernel <6.5, this is a kernel 6.18"


def test_verdict_reasons_and_notes_are_told_once() -> None:
    """What the inputs say and the reasons repeat stands there once; what they do not repeat is not lost."""
    analysis = origin(outcome=Outcome.INCONCLUSIVE, reasons=("client: the tap died",))
    analysis = with_inputs(analysis, incomplete=("client: the tap died", "server: no log"), failures=("step 2 failed",))
    shown = lines(analysis)
    assert shown[0].startswith("connect-send-close: INCONCLUSIVE")
    assert [line for line in shown if "the tap died" in line] == ["why: client: the tap died"]
    assert "incomplete: server: no log" in shown
    assert "failed: step 2 failed" in shown
    assert any(line.startswith("all 8 bytes reached") for line in shown)


def test_a_program_that_ended_badly_is_named_with_its_last_words() -> None:
    programs = (
        Program("client", ("curl", "-v"), "curl", ProgramEnd(7), at(0), at(1)),
        Program("server", ("nginx",), "nginx", ProgramEnd(None, "SIGSEGV"), at(0), at(1)),
    )
    analysis = with_inputs(origin(), programs=programs, output={"client": "a\nb\nrefused\n\n", "server": ""})
    shown = lines(analysis)
    place = shown.index("client: curl: exit status 7")
    assert shown[place + 1 : place + 4] == ["  | b", "  | refused", "server: nginx: killed by SIGSEGV"]


def test_a_server_that_we_stopped_is_no_news() -> None:
    end = ProgramEnd(None, "SIGTERM", StopReason.CLIENT_ENDED)
    stopped = Program("server", ("nginx",), "nginx", end, at(0), at(1))
    assert "nginx" not in "\n".join(lines(with_inputs(origin(), programs=(stopped,))))
    late = replace(stopped, end=replace(end, stopped=StopReason.TIMEOUT))
    assert "server: nginx: killed by SIGTERM, stopped: timeout" in lines(with_inputs(origin(), programs=(late,)))


def hostile() -> Analysis:
    body = EVIL.encode()
    call = make_call("client", 0, "send", 0, 1, data=body, direction="out")
    odd = make_call("server", 0, EVIL, 0, 1, errno=EVIL, args={"address": EVIL + ":1"})
    option = make_call("server", 1, "setsockopt", 0, 1, args={"name": EVIL, "value": EVIL})
    crossing = make_crossing(0, "client", "P.", 0.5, payload=body)
    icmp = make_crossing(1, "client", "", 0.6, payload=body, flow=None, protocol=EVIL)
    analysis = with_inputs(
        with_joined(origin(), (crossing, icmp)),
        calls={"client": (call,), "server": (odd, option)},
        programs=(Program("client", (EVIL,), EVIL, ProgramEnd(1), at(0), at(1)),),
        output={"client": EVIL, "server": EVIL},
        observed={"client": EVIL, "server": "probe"},
        incomplete=(EVIL,),
        failures=(EVIL + "2",),
    )
    differs = replace(OTHER_BYTE, call=CallRef("client", 0, EVIL))
    row = replace(analysis.ledger[0], difference=differs)
    return replace(
        analysis,
        no_packet={("client", 0): NoPacket(NoPacketReason.FAILED, errno=EVIL)},
        ledger=(row,),
        checks=(Check(EVIL, False, EVIL, (EVIL,), EVIL),),
        kernel=KernelEvidence(KernelLog((), (), problems=(EVIL,)), ()),
        reasons=(EVIL,),
    )


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_hostile_text_is_shown_and_never_acts(width: int) -> None:
    """No control, format or direction character reaches the terminal; markup and emoji names stay as typed."""
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=True, color_system=None)
    render(hostile(), dict.fromkeys(("scenario", "summary", "directory", "engine"), EVIL) | {"notes": [EVIL]}, console)
    text = out.getvalue()
    assert {unicodedata.category(c) for c in text if c != "\n"}.isdisjoint(MARKS)
    assert "\\x1b[31mred" in text
    assert "[bold]x" in text
    if width == 200:
        assert "\\u202egnp.exe" in text
        assert ":smile:" in text


def test_colour_only_where_a_terminal_wants_it() -> None:
    """Escapes on a colour terminal; none with NO_COLOR or into a file, with the same words."""
    texts = {}
    for name, environ, terminal in (
        ("colour", {}, True),
        ("asked not to", {"NO_COLOR": "1"}, True),
        ("file", {}, False),
    ):
        out = io.StringIO()
        console = Console(file=out, width=100, force_terminal=terminal, _environ={"TERM": "xterm", **environ})
        render(origin(), META, console)
        texts[name] = out.getvalue()
    assert "\x1b[1;31m" in texts["colour"]
    assert "\x1b[1;31m" not in texts["asked not to"]
    assert "\x1b" not in texts["file"]
    assert "connect-send-close: FAIL" in texts["file"]


def bulk(count: int) -> Analysis:
    """One send of many segments, each acknowledged."""
    crossings: list[Crossing] = [make_crossing(0, "client", "S", 0.1)]
    for n in range(count):
        crossings.append(make_crossing(2 * n + 1, "client", ".", 1 + n, payload=b"x" * 1448, start=1448 * n))
        crossings.append(make_crossing(2 * n + 2, "server", ".", 1.5 + n))
    calls = (
        make_call("client", 0, "connect", 0, 0.9),
        make_call("client", 1, "send", 0.95, 2.0 + count, data=b"x" * (1448 * count), direction="out"),
        make_call("client", 2, "close", 3.0 + count, 4.0 + count),
    )
    return with_inputs(with_joined(origin(no_packet={}), tuple(crossings)), calls={"client": calls, "server": ()})


@pytest.mark.parametrize("count", [100, 5795, 30_000])
def test_a_large_transfer_is_cut_among_its_segments(count: int) -> None:
    """All calls stay; what is left out is counted exactly, in packets and bytes."""
    shown = lines(bulk(count))
    (folded,) = [line for line in shown if "more segments" in line]
    packets = sum(1 for line in shown if re.search(r" (--|<--)[^ -]", line))
    assert f"... {2 * count + 1 - packets:,} more segments (" in folded
    assert sum(1 for line in shown if ") " in line and " send(" in line) == 1
    assert any(" close()" in line for line in shown)


def many(connections: int) -> Analysis:
    flows, crossings, calls, rows = [], [], [], []
    count = Count(10, "00112233aabbccdd")
    for n in range(connections):
        flows.append(Flow(n, "tcp", Endpoint(CLIENT.address, 40000 + n), SERVER))
        calls += [
            make_call("client", 3 * n, "connect", 10 * n, 10 * n + 1, args={"address": str(SERVER)}),
            make_call("client", 3 * n + 1, "send", 10 * n + 2, 10 * n + 3, data=b"0123456789", direction="out"),
            make_call("client", 3 * n + 2, "close", 10 * n + 4, 10 * n + 5),
        ]
        crossings += [
            make_crossing(2 * n, "client", "S", 10 * n + 0.5, flow=n),
            make_crossing(2 * n + 1, "client", "P.", 10 * n + 2.5, flow=n, payload=b"0123456789"),
        ]
        lost = LedgerPoint.ARRIVED if n == connections // 2 else None
        rows.append(LedgerRow(n, "client", count, count, Count(0) if lost else count, count, count, 0, None, lost))
    analysis = with_joined(origin(no_packet={}, ledger=tuple(rows)), tuple(crossings), tuple(flows))
    return with_inputs(analysis, calls={"client": tuple(calls), "server": ()})


@pytest.mark.parametrize("connections", [100, 5000])
def test_many_connections_fit_one_screen(connections: int) -> None:
    """The one direction that lost bytes is shown first, the others are summed; calls left out are counted."""
    shown = lines(many(connections))
    (folded,) = [line for line in shown if "more segments" in line]
    assert not [line for line in shown if "not shown:" in line], "a close is never one of calls that ended nothing"
    calls = sum(1 for line in shown if any(name in line for name in (" connect(", " send(", " close()")))
    counts = [re.search(r"([\d,]+)(?: more)? calls", line) for line in (folded,)]
    assert sum(int(count[1].replace(",", "")) for count in counts if count) == 3 * connections - calls
    ledger = [line for line in shown if re.match("#[0-9]+ from", line) or " more  " in line]
    assert ledger[0].startswith(f"#{connections // 2 + 1} from client")
    rest = connections - len(ledger) + 1
    assert ledger[-1].split()[:3] == [f"{rest:,}", "more", f"{10 * rest:,}"]
    assert ledger[-1].endswith("all complete and equal")
    assert f"{2 * connections - calls}" not in folded or "would show something that failed, closed" in folded
    assert any(f"--#{connections} P." in line for line in shown)


def test_everything_at_once_still_fits() -> None:
    """Long sentences, many reasons, failed programs and expectations leave the ladder its ten lines."""
    words = "a sentence that goes on and on " * 20
    analysis = replace(
        many(100),
        kernel=KernelEvidence(KernelLog((), ()), (Assessment(Agreement.CONTRADICTED, (words,)),) * 200),
        reasons=tuple(f"{n} {words}" for n in range(20)),
        checks=tuple(Check(words, False, words, (words,), f"s.yaml:{n}") for n in range(30)),
        causes=(Cause(CauseName.UNKNOWN, ()),) * 200,
        delays={"client": Delay(9, 1, 2, 3), "server": Delay(9, -1, 2 * 10**9, 10**12)},
    )
    programs = tuple(Program("client", ("x",), "x", ProgramEnd(1), at(0), at(1)) for _ in range(9))
    analysis = with_inputs(analysis, programs=programs, output={"client": f"{words}\n" * 9, "server": ""})
    for width in (60, 80, 100, 200):
        shown = lines(analysis, width) if width < 200 else [line.text for line in summary(analysis, META, width)]
        start = next(n for n, line in enumerate(shown) if line.split()[:2] == ["ms", "client"])
        assert shown.index("", start) - start >= 10
        assert len(shown) <= SCREEN + 2


def test_an_empty_run_has_a_summary() -> None:
    empty = with_inputs(with_joined(origin(), (), ()), calls={}, observed={}, programs=(), output={})
    empty = replace(empty, no_packet={}, delays={}, ledger=(), checks=(), verdict=(), reasons=("no capture",))
    shown = lines(empty)
    assert "why: no capture" in shown
    assert one(shown, "packets").startswith("packets   0 at client, 0 at server: 0 matched")


def shown_in(analysis: Analysis, extent: Extent) -> list[str]:
    return [line.text for line in summary(analysis, META, 100, extent)]


def busy_proxy() -> Analysis:
    """Fifty requests; behind the 20th an upstream refuses, and the 30th connection is reset."""
    run = Exchange()
    for k in range(50):
        tcp = run.tcp(40000 + k).opened()
        tcp.client("send", b"GET")
        tcp("client P.", b"GET")
        tcp("server .")
        tcp.server("recv", b"GET")
        if k == 20:
            where = {"address": "127.0.0.1:8000"}
            run.call("server", "connect", errno="ECONNREFUSED", fd=9, args=where, socket=SocketInfo(0, "tcp"))
        if k == 30:
            option = {"name": "SO_LINGER", "value": {"onoff": 1, "linger": 0}}
            tcp.server("setsockopt", args=option)
            with tcp.server("close"):
                tcp("server R.")
        else:
            tcp.server("send", b"x" * 3000)
            for _ in range(3):
                tcp("server .", b"x" * 1000)
                tcp("client .")
            with tcp.server("close"):
                tcp("server F.")
    return run.analysis()


def test_what_failed_or_was_reset_is_never_among_what_is_left_out() -> None:
    shown = shown_in(busy_proxy(), Extent.SCREEN)
    (at,) = [n for n, line in enumerate(shown) if re.search(r"connect\(127.*\) ECONNREFUSED", line)]
    assert re.search(r"\(\w+\[\d+\]", shown[at] + shown[at + 1]), "which process asks its own host"
    assert sum("#31 R." in line for line in shown) == 1
    assert any("connects of the" in line or "to 127.0.0.1:8000 failed: ECONNREFUSED" in line for line in shown)
    assert any("more segments" in line for line in shown)
    assert len(shown) <= SCREEN


def test_all_of_a_run_on_request() -> None:
    analysis = busy_proxy()
    shown = shown_in(analysis, Extent.FULL)
    calls = sum(len(each) for each in analysis.inputs.calls.values())
    named = sum(
        len(re.findall(r"(?<![\w#])(?:listen|connect|accept|send|recv|close|setsockopt)\(", line)) for line in shown
    )
    assert named == calls
    assert not [line for line in shown if "more segment" in line or "not shown" in line]
    assert sum(line.startswith("#") and " from " in line for line in shown) == 100


def test_a_packet_stands_beside_a_call_only_if_it_left_during_it() -> None:
    """A delayed ACK is not drawn in the row of a call that returned long before."""
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"a")
    tcp("client P.", b"a")
    tcp.server("setsockopt", args={"name": "SO_RCVBUF", "value": 1})
    run.pause(40)
    tcp("server .")
    shown = shown_in(run.analysis(), Extent.FULL)
    (row,) = [line for line in shown if "setsockopt" in line]
    assert "<--" not in row


def test_directions_that_never_opened_are_not_complete_and_equal() -> None:
    run = Exchange()
    for k in range(8):
        run.tcp(40000 + k)("client S", lost=True)
    (rest,) = [line for line in shown_in(run.analysis(), Extent.SCREEN) if " more  " in line]
    assert rest.endswith("11 of them never opened")


def test_a_pipe_gets_every_sentence_whole() -> None:
    words = "a reason that goes on and on " * 30
    analysis = replace(origin(), reasons=tuple(f"{n} {words}" for n in range(9)))
    shown = " ".join(line.strip() for line in shown_in(analysis, Extent.UNCUT))
    assert shown.count("a reason that goes on and on") == 270
    assert "..." not in shown
    console, extent = console_for(io.StringIO())
    assert (console.width >= 120 or "COLUMNS" in os.environ, extent) == (True, Extent.UNCUT)


def test_a_pipe_gets_paths_and_what_programs_printed_whole() -> None:
    run = origin()
    (program, *others) = run.inputs.programs
    failed = replace(program, end=ProgramEnd(status=1))
    printed = "why it failed: " + "many words " * 30 + "and the last"
    analysis = with_inputs(run, programs=(failed, *others), output={program.host: printed})
    path = "runs/" + "a" * 150
    out = io.StringIO()
    render(analysis, {**META, "directory": path}, *console_for(out))
    shown = " ".join(line.strip() for line in out.getvalue().splitlines())
    assert path in shown
    assert shown.count("many words") == 30
    assert "and the last" in shown


def test_packets_over_a_loopback_stand_in_their_host_s_column() -> None:
    """With ports where both ends have one address, foreign bytes quoted; the reason of a call that made them goes."""
    ends = Endpoint("127.0.0.1", 40002), Endpoint("127.0.0.1", 8000)
    packets = tuple(
        LoopbackPacket("server", n, at(0.15 + n / 100), *ends, "tcp", flags, length, payload)
        for n, (flags, length, payload) in enumerate([("S", 0, b""), ("P.", len(EVIL), EVIL.encode())], 1)
    )
    analysis = with_inputs(origin(), loopback={"server": Loopback(packets, 2, len(EVIL))})
    shown = lines(analysis)
    (syn,) = [line for line in shown if "lo 40002>8000 S" in line]
    (head,) = [line for line in shown if line.lstrip().startswith("ms ")]
    assert syn.index("lo ") == head.index("server")
    assert any("lo 40002>8000 P. " in line for line in shown)
    assert one(shown, "loopback").startswith(f"loopback  server to itself: 2 packets, {len(EVIL)} bytes of data")
    assert not any(unicodedata.category(char) in MARKS for line in shown for char in line)


def test_a_long_run_s_loopback_is_folded_with_the_other_packets() -> None:
    ends = Endpoint("::1", 1), Endpoint("::1", 2)
    packets = tuple(LoopbackPacket("client", n, at(0.001 * n), *ends, "udp", "", 3, b"abc") for n in range(1, 9001))
    shown = lines(with_inputs(origin(), loopback={"client": Loopback(packets, 9000, 27_000)}))
    assert any(re.search(r"\.\.\. [\d,]+ more segments? \([\d,]+ bytes\)", line) for line in shown)
