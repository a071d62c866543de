"""Whether what comes out of order is acknowledged at once: as the kernel counts it, and what is said of such ACKs."""

from __future__ import annotations

import pytest

from testbed.analysis.causes.quick_acks import QuickAcks
from testbed.model import CauseName
from tests.builders.exchange import MS, US, Exchange, Tcp

SYSCTLS = {host: {"net.ipv4.tcp_early_retrans": "3"} for host in ("client", "server")}
WINDOW, SEGMENT, TIMEOUT = 65_000, 1448, 200 * MS


def acknowledge(acks: QuickAcks, number: int = 1, times: int = 1, *, repeats: bool = False) -> None:
    for _ in range(times):
        if repeats:
            acks.keeps(WINDOW)
        acks.acknowledges(number, repeats=repeats, by_timer=False, delayed=False)


def after_first_data(window: int = WINDOW) -> QuickAcks:
    acks = QuickAcks()
    acks.takes(0, window, SEGMENT, TIMEOUT)
    return acks


def test_sixteen_acks_go_at_once_after_the_first_data_and_three_more_of_a_number() -> None:
    acks = after_first_data()
    acknowledge(acks)
    found = []
    for times in (9, 6, 3):  # fifteen are left, and how much is in its buffers counts too, which shows only roughly
        acknowledge(acks, times=times, repeats=True)
        found.append(acks.at_once)
    assert found == [True, None, False]


def test_a_small_window_lets_fewer_go() -> None:
    acks = after_first_data(window=500)
    acknowledge(acks)
    acknowledge(acks, times=4, repeats=True)
    assert acks.at_once is False


def test_another_number_lets_three_go_again() -> None:
    acks = after_first_data(window=500)
    acknowledge(acks)
    acknowledge(acks, times=4, repeats=True)
    acks.acknowledges(3000, repeats=True, by_timer=False, delayed=False)
    assert acks.at_once is True


def test_data_that_comes_twice_has_all_acknowledged_at_once_again() -> None:
    acks = after_first_data(window=500)
    acknowledge(acks)
    acknowledge(acks, times=4, repeats=True)
    acks.has_already(WINDOW, SEGMENT, surely=True)
    assert acks.at_once is True


@pytest.mark.parametrize(("later", "interactive"), [(10 * MS, True), (60 * MS, None)])
def test_data_that_answers_data_soon_makes_it_interactive(later: int, interactive: bool | None) -> None:
    acks = after_first_data()
    acks.sends_bytes(later)
    assert acks.interactive is interactive
    acknowledge(acks, times=5, repeats=True)
    assert acks.at_once is (False if interactive else None)


def test_how_many_go_at_once_is_not_known_where_the_first_came_out_of_order() -> None:
    acks = QuickAcks()
    acknowledge(acks, times=5, repeats=True)
    assert acks.at_once is None
    acks.takes(0, WINDOW, SEGMENT, TIMEOUT)
    acknowledge(acks, number=3000, times=4, repeats=True)
    assert acks.at_once is None


def test_data_before_any_came_answers_nothing() -> None:
    acks = QuickAcks()
    acks.sends_bytes(5 * MS)
    assert acks.interactive is False


@pytest.mark.parametrize("how", ["begins_with_bytes", "is_set"])
def test_where_it_may_be_interactive_nothing_is_sure(how: str) -> None:
    acks = after_first_data()
    getattr(acks, how)()
    acknowledge(acks, times=5, repeats=True)
    assert acks.at_once is None


def test_a_program_that_sets_it_at_some_time_leaves_nothing_known() -> None:
    acks = QuickAcks()
    acks.is_set()
    acks.takes(0, WINDOW, SEGMENT, TIMEOUT)
    acks.sends_bytes(1 * MS)
    acks.has_already(WINDOW, SEGMENT, surely=True)
    assert acks.interactive is None


def test_the_timer_of_delayed_acks_ends_that() -> None:
    acks = after_first_data()
    acks.sends_bytes(1 * MS)
    acks.acknowledges(1, repeats=False, by_timer=False, delayed=True)
    assert acks.interactive is False


def test_a_buffer_that_is_half_full_ends_it() -> None:
    acks = after_first_data()
    for _ in range(12):
        acks.keeps(WINDOW)
    assert acks.least == 0
    acks.keeps_none()
    acks.has_already(WINDOW, SEGMENT, surely=True)
    acks.keeps(WINDOW)
    assert acks.least > 0


def out_of_order(window: int, count: int, delay: int) -> tuple[Exchange, Tcp]:
    """Let a segment come in order, lose one, and let ``count`` come behind it, each answered 100 us after it left."""
    run = Exchange()
    tcp = run.tcp()
    tcp.server("listen")
    with tcp.client("connect"):
        tcp("client S")
        tcp("server S.", window=window)
    tcp("client .")
    tcp.server("accept")
    tcp.client("send", b"a" * (count + 3))
    tcp("client .", b"a")
    tcp("server .", window=window)
    tcp("client .", b"a", lost=True)
    for place in range(count):
        tcp("client .", b"a", delay=delay)
        tcp("server .", ack=2, window=window, options={"sack": [(3, 4 + place)]})
    return run, tcp


def test_while_acks_go_at_once_none_may_be_the_timers() -> None:
    run, _ = out_of_order(WINDOW, 6, 50 * US)
    found = run.analysis(sysctls=SYSCTLS).causes
    assert {(each.rule, each.alternatives) for each in found[7::2]} == {("duplicate-ack", ())}


@pytest.mark.parametrize(
    ("later", "said"),
    [(70 * US, ("compressed-ack", ())), (0, ("duplicate-ack", ("compressed-ack", "delayed-ack")))],
)
def test_once_none_goes_at_once_a_late_one_is_the_timers(later: int, said: tuple[str, tuple[str, ...]]) -> None:
    run, tcp = out_of_order(500, 4, 95 * US)
    tcp("client .", b"a")
    run.now += later
    tcp("server .", ack=2, window=500, options={"sack": [(3, 8)]})
    found = run.analysis(sysctls=SYSCTLS).causes[-1]
    assert (found.rule, found.alternatives) == said


def test_what_comes_in_order_by_the_number_of_an_ack_may_have_been_refused() -> None:
    """Where more seemed to have been taken than the ACKs say."""
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"abcd")
    tcp("client .", b"a")
    tcp("client .", b"b")
    tcp("server .", ack=2, window=0)
    run.pause(200)
    tcp("client .", b"b", seq=2)
    tcp("server .", ack=2, window=0)
    found = run.analysis().causes[-1]
    assert CauseName.NOT_TAKEN in (found.rule, *found.alternatives)
