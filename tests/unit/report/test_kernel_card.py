"""What a page says of a kernel that was a witness, and that a page without one has nothing of it."""

from __future__ import annotations

from dataclasses import replace

from testbed.model import CallRef, peer_of
from testbed.model.kernel_log import Agreement, Assessment, Departure, KernelEvidence, KernelLog, TimerRun
from testbed.model.origins import Mechanism, PacketOrigin
from testbed.report.html import kernel_columns
from testbed.report.html.page_source import PageSource
from testbed.report.html.run_page import render
from testbed.report.html.run_wire import of_run
from testbed.report.text.kernel_text import kernel_lines
from tests.builders.eventful_run import change, eventful_source, witnessed, witnessed_source
from tests.builders.runs import META, at


def card(source: PageSource, packets: int = 100) -> kernel_columns.Card:
    found = kernel_columns.card(source.analysis, of_run(source)(packets), at(0))
    assert found is not None
    return found


def plain(row: kernel_columns.KernelRow) -> tuple[str, ...]:
    return (row.ms, row.host, " to ".join(row.what), "".join(piece.text for piece in row.why))


def test_each_state_change_has_its_time_its_host_and_what_caused_it() -> None:
    assert [plain(row) for row in card(witnessed_source()).changes] == [
        ("1.000", "client", "CLOSE to SYN_SENT", "connect #0"),
        ("11.100", "client", "SYN_SENT to ESTABLISHED", "SYN+ACK #1"),
        ("16.200", "server", "LISTEN to SYN_RECV", "ACK #2"),
        ("70.000", "client", "ESTABLISHED to FIN_WAIT1", "close #4"),
        ("90.000", "server", "CLOSE_WAIT to CLOSE", "a timer: TCP_KEEPALIVE_TIMEOUT"),
    ]


def test_packets_of_an_idle_processor_without_a_stack_are_told() -> None:
    """Some kernels record none there: their causes are inferred, and the trace is complete all the same."""
    idle = Departure(1, 0, 1, 0, interrupt=True, stack=None)
    log = KernelLog((), (), departures={"client": (idle, replace(idle, stack=0), replace(idle, pid=7))})
    ((line, _), *_) = kernel_lines(KernelEvidence(log, (), left=3))
    assert line.endswith(
        "3 inferred only (the kernel recorded no stack for 1 sent from an idle processor); 0 state changes"
    )


def test_the_causes_are_links_to_their_calls_and_packets() -> None:
    targets = [[piece.target for piece in row.why if piece.target] for row in card(witnessed_source()).changes]
    assert targets == [["client:0"], ["p1"], ["p2"], ["client:4"], []]


def test_what_was_sent_again_reset_and_dropped_is_in_time_order() -> None:
    assert [plain(row) for row in card(witnessed_source()).events] == [
        ("25.100", "client", "sent it again (tcp_retransmit_skb)", "#4"),
        ("30.200", "server", "dropped it: TCP_OLD_DATA in tcp_rcv_established", "#4"),
        ("45.100", "client", "sent it again (tcp_retransmit_skb)", "#9"),
        ("76.500", "server", "sent a RST: TCP_ABORT_ON_CLOSE", "no packet"),
    ]


def test_the_states_of_an_end_are_one_line_and_a_state_that_nothing_led_to_is_told() -> None:
    lines = [(host, [piece.text for piece in states]) for host, _, states in card(witnessed_source()).endpoints]
    assert lines == [
        ("client", ["CLOSE", "SYN_SENT", "ESTABLISHED", "FIN_WAIT1"]),
        ("server", ["LISTEN", "SYN_RECV", "CLOSE_WAIT", "CLOSE"]),
    ]


def test_a_packet_that_the_page_does_not_hold_is_no_link() -> None:
    rows = card(witnessed_source(), packets=4).changes
    held = {one.n for one in of_run(witnessed_source())(4).crossings}
    assert 2 not in held
    assert not any(piece.target for piece in rows[2].why)
    assert "".join(piece.text for piece in rows[2].why) == "ACK #2"


def test_a_table_has_at_most_so_many_rows_and_says_how_many_there_are() -> None:
    analysis = witnessed()
    assert analysis.kernel is not None
    many = tuple(
        change("client", n, "CLOSE", "SYN_SENT", "call", (CallRef("client", 0, "connect"),)) for n in range(1234)
    )
    page = render(PageSource(replace(analysis, kernel=replace(analysis.kernel, state_changes=many)), META))
    assert page.count("CLOSE → SYN_SENT</td>") == kernel_columns.ROWS
    assert "1,234 state changes, the first 200; the others are in result.json" in page


def test_contradictions_and_what_the_kernel_lacks_stand_in_the_page() -> None:
    page = render(witnessed_source())
    assert "Of 14 causes the kernel confirms 3 and contradicts 1; 10 are not covered." in page
    assert "the kernel contradicts the cause `fast-retransmission` of <a" in page
    assert "nothing explains an event of the kernel: server: tcp_send_reset TCP_ABORT_ON_CLOSE" in page
    assert "<dt>this kernel lacks</dt><dd>tcp/tcp_bad_csum</dd>" in page
    assert "within 25 ns of the captures&#39; clock" in page or "within 25 ns of the captures' clock" in page


def test_a_log_that_is_not_complete_is_told_with_its_reason_and_contradicts_nothing() -> None:
    analysis = witnessed()
    assert analysis.kernel is not None
    log = replace(analysis.kernel.log, lost=42, problems=("42 events were lost",))
    assessments = (Assessment(Agreement.NOT_COVERED),) * len(analysis.kernel.assessments)
    kernel = replace(analysis.kernel, log=log, assessments=assessments)
    page = render(PageSource(replace(analysis, kernel=kernel), META))
    assert "may have happened: 42 events were lost" in page
    assert "<dt>lost events</dt><dd>42</dd>" in page
    assert "its log is not complete" in page
    assert "nothing explains an event of the kernel" not in page


def test_a_page_without_a_witness_has_nothing_of_it() -> None:
    page, with_it = render(eventful_source()), render(witnessed_source())
    for trace in (
        'id="kernel"',
        "<h2>Kernel trace</h2>",
        "Object.assign(WITNESS",
        ".word-confirmed",
        "the kernel confirms",
    ):
        assert trace not in page
        assert trace in with_it
    assert of_run(eventful_source())(100).kernel is None


def test_a_timer_that_ran_out_is_told_with_what_it_sent_or_that_it_sent_nothing() -> None:
    """Its packet is of the same connection and function and left within its run; one of another timer is not its."""
    analysis = witnessed()
    kernel, causes = analysis.kernel, list(analysis.causes)
    assert kernel is not None
    again = analysis.inputs.joined.crossings[4]
    assert again.sent is not None
    causes[4] = replace(causes[4], origin=PacketOrigin(Mechanism.TIMER, "by a timer", timer="tcp_write_timer"))
    flow = analysis.inputs.joined.flows[0]
    ends = (flow.endpoint(again.sender), flow.endpoint(peer_of(again.sender)))
    timers = tuple(
        TimerRun(again.sent - before, 0, function, again.sender, *ends)
        for before, function in (
            (3_000_000, "tcp_write_timer"),
            (2_000, "tcp_write_timer"),
            (1_000, "tcp_delack_timer"),
        )
    )
    told = replace(analysis, kernel=replace(kernel, log=replace(kernel.log, timers=timers)), causes=tuple(causes))
    found = card(PageSource(told, META))
    assert [plain(row)[2:] for row in found.timers] == [
        ("tcp_write_timer", "no packet"),
        ("tcp_write_timer", "#4"),
        ("tcp_delack_timer", "no packet"),
    ]
    assert found.timers_total == 3
    assert "3 timers that ran out" in render(PageSource(told, META))
