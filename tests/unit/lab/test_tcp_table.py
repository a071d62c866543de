"""The kernel's socket table, as text from a real /proc/net/tcp."""

from __future__ import annotations

import pytest

from testbed.lab.tcp_table import TcpSocket, bound, listens, parse, unsettled

TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:271B 00000000:0000 0A 00000003:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0
   1: 0200C6C6:A1B2 0300C6C6:271B 01 00000008:00000000 01:00000014 00000000     0        0 4712 2 0 20 4 30 10 -1
   2: 0200C6C6:A1B4 0300C6C6:271B 04 00000000:00000000 01:00000014 00000000     0        0 0 2 0 20 4 30 10 -1
   3: 0200C6C6:A1B6 0300C6C6:271B 06 00000000:00000000 03:00000FA0 00000000     0        0 0 3 0
"""


def test_ports_states_and_queues_are_read() -> None:
    """Ports are hexadecimal, states by number, and the transmit queue counts what is not acknowledged."""
    assert parse(TABLE) == [
        TcpSocket(10011, 0, "LISTEN", 3),
        TcpSocket(0xA1B2, 10011, "ESTABLISHED", 8),
        TcpSocket(0xA1B4, 10011, "FIN_WAIT1", 0),
        TcpSocket(0xA1B6, 10011, "TIME_WAIT", 0),
    ]


def test_only_what_may_still_send_by_itself_is_unsettled() -> None:
    """Unacknowledged bytes and an unanswered FIN are; a listener's backlog and TIME_WAIT are not."""
    assert [socket.local_port for socket in unsettled(parse(TABLE))] == [0xA1B2, 0xA1B4]


@pytest.mark.parametrize("state", ["SYN_SENT", "SYN_RECV", "CLOSING", "LAST_ACK"])
def test_states_that_wait_for_an_answer(state: str) -> None:
    assert unsettled([TcpSocket(1, 2, state, 0)])


@pytest.mark.parametrize("state", ["ESTABLISHED", "FIN_WAIT2", "CLOSE_WAIT", "TIME_WAIT", "CLOSE"])
def test_states_that_wait_for_a_program_or_a_clock_only(state: str) -> None:
    assert not unsettled([TcpSocket(1, 2, state, 0)])


def test_readiness() -> None:
    """A port counts as listened on only by a listener, as bound by any socket."""
    sockets = parse(TABLE)
    assert listens(sockets, 10011)
    assert not listens(sockets, 0xA1B2)
    assert bound(sockets, 0xA1B2)


def test_a_cut_line_is_passed_over() -> None:
    """The file may be read while it changes."""
    assert parse(TABLE + "   4: 0200C6C6:A1") == parse(TABLE)
