"""Order without time: what a run means is the same on a clock that stands still while something happens."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.analysis.analyse import analyse
from testbed.analysis.order.event_order import in_order
from testbed.model import Analysis, Inputs, SocketInfo
from testbed.model.kernel_log import Departure, KernelLog
from testbed.report.text.ladder import ladder
from testbed.run.evaluate import evaluate
from testbed.rundir.layout import RunDirectory
from tests.builders.exchange import START, Exchange
from tests.builders.retimed_run import MS, Clock, idle_time_only, retimed, rounded
from tests.unit.analysis.caused import calls, rules

DATA = Path(__file__).parents[2] / "data"
KEPT = sorted(path.parent for path in DATA.glob("**/manifest.json"))


def stopped(inputs: Inputs) -> Inputs:
    """The same run with every event at one time stamp."""
    crossings = tuple(
        replace(each, sent=each.sent and START, arrived=each.arrived and START) for each in inputs.joined.crossings
    )
    made = {
        host: tuple(replace(call, start=START, end=call.end and START) for call in own)
        for host, own in inputs.calls.items()
    }
    return replace(inputs, joined=replace(inputs.joined, crossings=crossings), calls=made)


def echo() -> Exchange:
    run = Exchange()
    tcp = run.tcp()
    tcp.server("listen")
    accept = tcp.server("accept")
    with accept:
        with tcp.client("connect"):
            tcp("client S")
            tcp("server S.")
        tcp("client .")
    with tcp.server("recv", b"ping"), tcp.client("send", b"ping"):
        tcp("client P.", b"ping")
    tcp("server .")
    with tcp.client("recv", b"pong"), tcp.server("send", b"pong"):
        tcp("server P.", b"pong")
    tcp("client .")
    with tcp.client("close"):
        tcp("client F.")
    tcp.server("recv", 0, direction="in")
    with tcp.server("close"):
        tcp("server F.")
    tcp("client .")
    return run


def meaning(found: Analysis) -> list[tuple[object, ...]]:
    """Rule, calls and answered packets of each packet, by its frames."""
    crossings = found.inputs.joined.crossings
    frames = {each.n: (each.sender, each.at_client, each.at_server) for each in crossings}
    return sorted(
        (frames[packet.n], packet.fate, cause.rule, cause.calls, tuple(frames[n] for n in cause.packets))
        for packet, cause in zip(crossings, found.causes, strict=True)
    )


def test_an_exchange_at_one_time_stamp_means_what_it_does_in_time() -> None:
    in_time = echo().analysis()
    at_once = analyse(stopped(echo().inputs()))
    assert "unknown" not in rules(in_time)
    assert meaning(at_once) == meaning(in_time)
    assert at_once.ledger == in_time.ledger
    assert at_once.verdict == in_time.verdict


def test_the_ladder_shows_an_exchange_at_one_time_stamp_in_its_order() -> None:
    lines = [line.text for line in ladder(analyse(stopped(echo().inputs())), 100, 60)]
    shown = "\n".join(lines)
    words = ["connect(", "--S--", "--S.--", '"ping"', '"pong"', "close("]
    found = [shown.index(word) for word in words]
    assert found == sorted(found)
    assert not [line for line in lines if line.endswith(" .")]


def test_bytes_that_a_cork_held_left_when_it_was_taken_out() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("setsockopt", args={"name": "TCP_CORK", "value": 1}, result=0)
    tcp.client("send", b"ab")
    with tcp.client("setsockopt", args={"name": "TCP_CORK", "value": 0}, result=0):
        packet = tcp("client P.", b"ab")
    assert calls(run.analysis(), packet) == ["send", "setsockopt"]
    assert calls(analyse(stopped(run.inputs())), packet) == ["send", "setsockopt"]


def test_a_window_update_left_while_its_read_went_on() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    with tcp.client("send", b"a" * 900):
        tcp("client P.", b"a" * 900)
    tcp("server .", window=0)
    with tcp.server("recv", b"a" * 900):
        update = tcp("server .", window=500)
    assert rules(run.analysis())[update] == "window-update"
    at_once = analyse(stopped(run.inputs()))
    assert (rules(at_once)[update], calls(at_once, update)) == ("window-update", ["recv"])


def test_what_a_listener_reset_is_known_although_all_happened_at_once() -> None:
    run = Exchange()
    tcp = run.tcp()
    listener = SocketInfo(900, "tcp", tcp.ends["server"])
    tcp.server("listen")
    with tcp.client("connect"):
        tcp("client S")
        tcp("server S.")
    tcp("client .")
    with tcp.server("close", socket=listener, fd=3):
        reset = tcp("server R.")
    assert rules(run.analysis())[reset] == "reset-listener"
    assert rules(analyse(stopped(run.inputs())))[reset] == "reset-listener"


def test_a_poll_returned_after_what_it_waited_for_had_come() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    with tcp.server("poll", result=1, direction=None), tcp.client("send", b"x"):
        tcp("client P.", b"x")
    tcp.server("recv", b"x")
    found = in_order(stopped(run.inputs()))
    poll = next(call for call in found.calls["server"] if call.name == "poll")
    packet = next(each for each in found.joined.crossings if each.payload == b"x")
    assert poll.end is not None
    assert packet.arrived is not None
    assert packet.arrived < poll.end


def test_a_call_stack_says_within_which_call_a_packet_left() -> None:
    """Without one, an ACK could as well have answered at once, before the program read."""
    run = Exchange()
    tcp = run.tcp().opened()
    with tcp.client("send", b"ab"):
        tcp("client P.", b"ab")
    with tcp.server("recv", b"ab"):
        ack = tcp("server .")
    inputs = stopped(run.inputs())
    stack = ("__tcp_transmit_skb", "tcp_recvmsg_locked", "tcp_recvmsg", "__x64_sys_recvfrom", "do_syscall_64")
    frame = inputs.joined.crossings[ack].at_server
    assert frame is not None
    departure = Departure(frame, START, 0, 7, interrupt=False, stack=0)
    log = KernelLog((), (), stacks=(stack,), departures={"server": (departure,)})

    def left_in_recv(found: Inputs) -> bool:
        recv = next(call for call in found.calls["server"] if call.name == "recv")
        time = found.joined.crossings[ack].sent
        assert time is not None
        assert recv.end is not None
        return recv.start < time < recv.end

    assert not left_in_recv(in_order(inputs))
    assert left_in_recv(in_order(replace(inputs, kernel=log)))


def test_a_run_in_which_all_times_differ_is_left_as_it_is() -> None:
    inputs = evaluate(RunDirectory(KEPT[0])).inputs
    assert in_order(inputs) is inputs


CLOCKS: dict[str, Callable[[Path], Clock]] = {
    "1 ms": lambda _: rounded(MS),
    "10 ms": lambda _: rounded(10 * MS),
    "idle time only": lambda directory: idle_time_only(directory, MS),
}


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("directory", KEPT, ids=lambda path: path.parent.name)
def test_kept_runs_mean_the_same_on_a_coarse_clock(directory: Path, clock: str, tmp_path: Path) -> None:
    exact = evaluate(RunDirectory(directory))
    coarse = evaluate(RunDirectory(retimed(directory, tmp_path / "run", CLOCKS[clock](directory))))
    assert len({packet.sent for packet in exact.inputs.joined.crossings}) > 5
    assert meaning(coarse) == meaning(exact)
    assert coarse.ledger == exact.ledger
    assert coarse.no_packet == exact.no_packet
