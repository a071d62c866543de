"""How far every byte got: exact under loss, repetition, cuts and change."""

from __future__ import annotations

import itertools

import xxhash
from hypothesis import given
from hypothesis import strategies as st

from testbed.model import CallRef, ConnectionEnd, ContentDifference, LedgerPoint, LedgerRow
from testbed.model.ledgers import ConnectionReset, DifferenceKind, ResetOrigin, Unobserved
from testbed.report.text.ledger_text import close_text, difference_text
from testbed.report.text.verdict_text import verdict_text
from tests.builders.exchange import Exchange, Tcp

from .test_expectations import checked


def row(run: Exchange, sender: str = "client", flow: int = 0) -> LedgerRow:
    return next(each for each in run.analysis().ledger if each.sender == sender and each.flow == flow)


def numbers(found: LedgerRow) -> list[int | None]:
    return [count.bytes for count in (found.written, found.sent, found.arrived, found.acknowledged, found.read)]


def ended(run: Exchange, sender: str = "client") -> str:
    return close_text(row(run, sender), run.analysis().causes)


def differs(run: Exchange) -> str:
    return difference_text(row(run))


def transfer(run: Exchange, data: bytes) -> Tcp:
    tcp = run.tcp().opened()
    tcp.client("send", data)
    return tcp


def test_all_bytes_at_all_points() -> None:
    run = Exchange()
    tcp = transfer(run, b"cstring")
    tcp("client P.", b"cstring")
    tcp("server .")
    tcp.server("recv", b"cst")
    tcp.server("recv", b"ring")
    tcp.client("close")
    tcp("client F.")
    tcp("server .")
    found = row(run)
    assert numbers(found) == [7] * 5
    digest = xxhash.xxh3_64_hexdigest(b"cstring")
    points = (found.written, found.sent, found.arrived, found.acknowledged, found.read)
    assert {count.digest for count in points} == {digest}
    assert (found.unread, found.difference, found.lost_at) == (0, None, None)
    assert found.close == ConnectionEnd(opened=True, fin_acknowledged=True)
    assert ended(run) == "FIN acknowledged"
    back = row(run, "server")
    assert numbers(back) == [0] * 5
    assert back.close == ConnectionEnd(opened=True)
    assert ended(run, "server") == "still open"


def test_unread_bytes_and_the_reset_that_they_cause() -> None:
    run = Exchange()
    tcp = transfer(run, b"cstring")
    tcp("client P.", b"cstring")
    tcp("server .")
    tcp.server("recv", b"c")
    with tcp.server("close") as close:
        tcp("server R.")
    found = row(run)
    assert (found.unread, found.lost_at) == (6, "read")
    assert found.close is not None
    assert found.close.reset == ConnectionReset(5, "server", ResetOrigin.HOST, lost=False)
    assert ended(run) == f"RST by server: close #{close.n} with 6 unread bytes"


def test_a_reset_that_its_sender_never_sent_is_not_said_to_be_by_it() -> None:
    run = Exchange()
    tcp = transfer(run, b"c")
    tcp("client P.", b"c")
    tcp("client R", appeared=True)
    close = row(run).close
    assert close is not None
    assert close.reset == ConnectionReset(4, "client", ResetOrigin.UNKNOWN, lost=False)
    assert ended(run) == "RST in the client's name that it never sent"


def test_bytes_that_never_left_are_lost_at_sent() -> None:
    run = Exchange()
    tcp = transfer(run, b"abcdef")
    tcp("client P.", b"abc")
    tcp("server .")
    tcp.server("recv", b"abc")
    found = row(run)
    assert (numbers(found), found.lost_at) == ([6, 3, 3, 3, 3], "sent")


def test_more_bytes_on_the_wire_than_calls_wrote_make_written_unknown() -> None:
    """A program that also writes through stdio: what the observer did not see is no zero, and is said."""
    run = Exchange()
    tcp = transfer(run, b"abc")
    tcp("client P.", b"abc")
    tcp("client P.", b"defgh")
    tcp("server .")
    tcp.server("recv", b"abcdefgh")
    found = row(run)
    assert numbers(found) == [None, 8, 8, 8, 8]
    assert found.difference is None
    assert found.close == ConnectionEnd(opened=True, unlogged=5)
    assert ended(run) == "still open; 5 of the bytes sent were written by no logged call"
    assert "written" not in verdict_text(run.analysis())[0]


def test_without_an_observer_its_points_are_unknown() -> None:
    run = Exchange(server="none")
    tcp = transfer(run, b"abc")
    tcp("client P.", b"abc")
    tcp("server .")
    found = row(run)
    assert (numbers(found), found.unread, found.lost_at) == ([3, 3, 3, 3, None], None, None)
    assert row(run, "server").close == ConnectionEnd(opened=True, unobserved=Unobserved.NO_OBSERVER)
    assert ended(run, "server") == "still open; no observer on server"


def test_an_observer_that_saw_no_socket_says_so() -> None:
    """A static server program: the wire shows its data, the log has none of its calls."""
    run = Exchange()
    tcp = run.tcp()
    with tcp.client("connect"):
        tcp("client S")
        tcp("server S.")
    tcp("client .")
    tcp("server P.", b"hello")
    found = row(run, "server")
    assert found.written.bytes is None
    assert found.close == ConnectionEnd(opened=True, unobserved=Unobserved.NO_SOCKET)
    assert ended(run, "server") == "still open; the observer on server saw no socket of it"


def test_a_byte_changed_on_the_way_is_found_exactly() -> None:
    run = Exchange()
    tcp = transfer(run, b"ab" + b"cdef")
    tcp("client .", b"ab")
    tcp("client P.", b"cdef", altered=b"cdXf")
    assert row(run).difference == ContentDifference(
        LedgerPoint.SENT, LedgerPoint.ARRIVED, DifferenceKind.BYTE, 4, 5, before=ord("e"), after=ord("X")
    )
    assert differs(run) == "byte 4: 65 sent, 58 arrived"
    assert row(run).arrived.digest == xxhash.xxh3_64_hexdigest(b"abcdXf")


def test_every_byte_that_was_changed_on_the_way_is_known() -> None:
    """Several changed bytes of one segment, and all of another: what arrived is what the program read."""
    run = Exchange()
    tcp = transfer(run, b"abcdefgh")
    tcp("client .", b"abcd", altered=b"aXcX")
    tcp("client P.", b"efgh", altered=b"EFGH")
    tcp.server("recv", b"aXcXEFGH")
    found = row(run)
    assert found.sent.digest == xxhash.xxh3_64_hexdigest(b"abcdefgh")
    assert found.arrived.digest == found.read.digest == xxhash.xxh3_64_hexdigest(b"aXcXEFGH")
    assert differs(run) == "byte 1: 62 sent, 58 arrived"


def test_a_payload_cut_on_the_way_brings_only_what_is_left_of_it() -> None:
    run = Exchange()
    udp = run.udp()
    udp.client("send", b"abcdef")
    udp("client", b"abcdef", altered=b"abc")
    udp.server("recv", b"abc")
    found = row(run)
    assert (found.sent.bytes, found.arrived.bytes, found.read.bytes, found.unread) == (6, 3, 3, 0)
    assert found.arrived.digest == found.read.digest == xxhash.xxh3_64_hexdigest(b"abc")
    assert found.lost_at == "arrived"


def test_a_wrong_byte_within_a_calls_prefix_is_found_exactly() -> None:
    run = Exchange()
    tcp = transfer(run, b"abcdef")
    tcp("client P.", b"abcdef")
    tcp.server("recv", b"ab")
    recv = tcp.server("recv", b"cXef")
    expected = f"byte 3 (recv #{recv.n}): 58 read by the server, 64 arrived at the server"
    found = row(run).difference
    assert found is not None
    assert (found.first, found.second, found.offset) == (LedgerPoint.ARRIVED, LedgerPoint.READ, 3)
    assert (found.before, found.after, found.call) == (ord("d"), ord("X"), CallRef("server", recv.n, "recv"))
    assert differs(run) == expected


def test_a_wrong_byte_beyond_the_prefix_is_narrowed_to_the_rest_of_the_call() -> None:
    run = Exchange()
    data = bytes(200)
    tcp = run.tcp().opened()
    send = tcp.client("send", data[:150] + b"\x01" + data[151:])
    tcp("client P.", data)
    assert differs(run).startswith(f"bytes 64-199 (send #{send.n})")


def test_bytes_from_nowhere_are_named() -> None:
    run = Exchange()
    tcp = transfer(run, b"ab")
    tcp("client P.", b"ab")
    tcp("client P.", b"forged", appeared=True, seq=3)
    assert differs(run) == "6 of bytes 0-7 arrived, but were never sent"


def test_a_lost_last_ack_loses_nothing() -> None:
    run = Exchange()
    tcp = transfer(run, b"abc")
    tcp("client P.", b"abc")
    tcp("server .", lost=True)
    tcp.server("recv", b"abc")
    assert (numbers(row(run)), row(run).lost_at) == ([3, 3, 3, 0, 3], None)


@given(st.data())
def test_loss_repetition_and_cuts_are_counted_exactly(data: st.DataObject) -> None:
    """Cut a stream at random, lose and repeat segments: every point and the first loss come out as they were made."""
    size = data.draw(st.integers(1, 30))
    content = bytes((7 * k) % 251 for k in range(size))
    unsent = data.draw(st.integers(0, 3))
    run = Exchange()
    tcp = transfer(run, content + bytes(unsent))
    cuts = sorted({0, size, *data.draw(st.lists(st.integers(0, size), max_size=6))})
    segments = list(itertools.pairwise(cuts))
    order = data.draw(st.permutations(segments * 2))[: data.draw(st.integers(len(segments), 2 * len(segments)))]
    order += [segment for segment in segments if segment not in order]
    came: set[int] = set()
    for low, high in order:
        lost = data.draw(st.booleans())
        tcp("client .", content[low:high], seq=low + 1, lost=lost)
        came.update(() if lost else range(low, high))
    edge = next(k for k in range(size + 1) if k not in came)
    tcp("server .", ack=edge + 1)
    read = data.draw(st.integers(0, edge))
    if read:
        tcp.server("recv", content[:read])
    found = row(run)
    assert numbers(found) == [size + unsent, size, len(came), edge, read]
    assert found.unread == len(came) - read
    assert found.difference is None
    assert found.sent.digest == xxhash.xxh3_64_hexdigest(content)
    assert found.arrived.digest == xxhash.xxh3_64_hexdigest(bytes(content[k] for k in sorted(came)))
    steps = (
        ("sent", unsent > 0),
        ("arrived", len(came) < size),
        ("acknowledged", edge < len(came)),
        ("read", read < edge),
    )
    assert found.lost_at == next((name for name, missing in steps if missing), None)


# --- datagrams


def test_datagrams_are_counted_and_a_lost_one_is_located() -> None:
    run = Exchange()
    udp = run.udp()
    for word, lost in ((b"abc", False), (b"", False), (b"hello", True)):
        udp.client("send", word)
        udp("client", word, lost=lost)
    udp.server("recv", b"abc")
    udp.server("recv", b"")
    found = row(run)
    points = (found.written, found.sent, found.arrived, found.read)
    assert [(count.datagrams, count.bytes) for count in points] == [(3, 8), (3, 8), (2, 3), (2, 3)]
    assert (found.lost_at, found.acknowledged.bytes) == ("arrived", None)


def test_a_truncated_read_is_a_difference() -> None:
    run = Exchange()
    udp = run.udp()
    udp.client("send", b"abcdef")
    udp("client", b"abcdef")
    recv = udp.server("recv", b"abcd")
    assert differs(run) == f"datagram 0 (recv #{recv.n}): 4 bytes read, 6 arrived"
    assert (row(run).unread, row(run).lost_at) == (2, "read")


def test_a_datagram_changed_on_the_way() -> None:
    run = Exchange()
    udp = run.udp()
    udp.client("send", b"abc")
    udp("client", b"abc", altered=b"aXc")
    assert differs(run) == "datagram 0 (#0): what arrived is not what was sent, from byte 1"


def test_a_connection_that_nobody_accepted_read_nothing() -> None:
    """The listener was observed, so that its program read 0 bytes is known, not unknown."""
    run = Exchange()
    tcp = run.tcp()
    tcp.server("listen")
    with tcp.client("connect"):
        tcp("client S")
        tcp("server S.")
    tcp("client .")
    tcp.client("send", b"abc")
    tcp("client P.", b"abc")
    assert row(run).read.bytes == 0
    assert row(run, "server").close == ConnectionEnd(opened=True, unobserved=Unobserved.NOT_ACCEPTED)
    assert ended(run, "server") == "still open; nobody accepted it"


def test_a_segment_with_a_wrong_checksum_changes_nothing_for_the_reader() -> None:
    """The kernel drops it unseen; the bytes that the program gets are those of the copy that is sent again."""
    run = Exchange()
    tcp = transfer(run, b"hello")
    tcp("client P.", b"hello", altered=b"hellp", bad_checksum=True)
    tcp("client P.", b"hello", seq=1)
    tcp("server .", ack=6)
    tcp.server("recv", b"hello")
    found = row(run)
    assert numbers(found) == [5] * 5
    assert (found.difference, found.unread, found.lost_at) == (None, 0, None)


def test_bytes_with_a_wrong_checksum_that_never_came_again_did_not_arrive() -> None:
    run = Exchange()
    tcp = transfer(run, b"hello")
    tcp("client P.", b"hello", altered=b"hellp", bad_checksum=True)
    found = row(run)
    assert (numbers(found), found.lost_at) == ([5, 5, 0, 0, 0], "arrived")


def test_what_was_read_by_calls_that_nobody_logged_is_unknown_and_not_none() -> None:
    """Standard I/O on the socket: with bytes unread the close would have sent a RST, and it sent a FIN."""
    run = Exchange()
    tcp = transfer(run, b"cstring")
    tcp("client P.", b"cstring")
    tcp("server .")
    with tcp.server("close"):
        tcp("server F.")
    found = row(run)
    assert (found.read.bytes, found.unread, found.unlogged_read, found.lost_at) == (None, None, 7, None)
    assert verdict_text(run.analysis())[0].endswith(
        "; the server program read 7 bytes by calls that nobody logged (a FIN went out, where unread bytes would have "
        "made it a RST)"
    )


def test_a_shutdown_says_nothing_of_what_was_read() -> None:
    """Nor does a FIN that does not acknowledge the bytes: they came too late."""
    run = Exchange()
    tcp = transfer(run, b"abc")
    tcp("client P.", b"abc")
    tcp("server .")
    with tcp.server("shutdown", args={"how": "SHUT_WR"}):
        tcp("server F.")
    assert (row(run).read.bytes, row(run).unread) == (0, 3)
    late = Exchange()
    tcp = transfer(late, b"abc")
    with tcp.server("close"):
        tcp("client P.", b"abc")
        tcp("server F.", ack=1)
    assert (row(late).read.bytes, row(late).unread) == (0, 3)


def test_content_that_nobody_saw_is_not_called_equal() -> None:
    """The kernel's trace counts the bytes of calls and sees none of them."""
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.server("accept")
    with tcp.client("send", 5):
        tcp("client P.", b"hello")
    tcp("server .")
    tcp.server("recv", b"hello")
    found = row(run)
    assert found.difference is None
    assert found.unseen == (LedgerPoint.WRITTEN,)
    (said,) = verdict_text(run.analysis())
    assert said.endswith("; contents are equal on the wire; what the client program wrote was not seen")
    assert checked(run, {"ledger": {"client": {"content": "equal"}}}).ok is None
    assert checked(run, {"ledger": {"client": {"written": 5}}}).ok is True
