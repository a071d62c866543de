"""The bytes that the real actor sends and reads, against Python sockets on the loopback interface."""

from __future__ import annotations

import socket

import pytest

from .acting import AF, LOOPBACK, MASK, Start, connected, free_port, of_step, pattern, port_of, read_all, take

pytestmark = pytest.mark.timeout(60)


def test_the_origins_calls_over_both_families(start: Start, family: str) -> None:
    """Connect, three sends, close: each one event, the peer gets the 8 bytes."""
    with socket.create_server((LOOPBACK[family], 0), family=AF[family]) as listener:
        listener.settimeout(20)
        actor = start(f"""socket as=c family={family} type=stream
            connect sock=c addr={LOOPBACK[family]} port={port_of(listener)}
            send sock=c hex=63
            send sock=c hex=63
            send sock=c hex=737472696e67
            close sock=c""")
        with take(listener) as peer:
            assert read_all(peer) == b"ccstring"
    events = actor.finish()
    assert [(e.event, e.call) for e in events] == [
        ("ok", call) for call in ("socket", "connect", "send", "send", "send", "close")
    ] + [("done", None)]
    assert [(e.result, e.bytes, e.calls) for e in events[2:5]] == [(1, 1, 1), (1, 1, 1), (6, 6, 1)]


def test_writev_and_sendfile_go_on_with_the_stream(start: Start, listener: socket.socket) -> None:
    """The vector's bytes, then the pattern from where the stream is."""
    actor = start(
        connected(listener, "writev sock=c parts=6161,6262\nsendfile sock=c size=100000 seed=9\nclose sock=c")
    )
    with take(listener) as peer:
        assert read_all(peer) == b"aabb" + pattern(9, 100004)[4:]
    events = actor.finish()
    assert [(e.call, e.bytes) for e in events[2:4]] == [("writev", 4), ("sendfile", 100000)]


def test_a_server_says_its_port_and_reads_to_the_end(start: Start, family: str) -> None:
    """`listening` comes with the bound port; recv_all goes on over pauses until end of file."""
    port = free_port(family=family)
    actor = start(f"""socket as=l family={family} type=stream
        setsockopt sock=l name=SO_REUSEADDR value=1
        bind sock=l addr={LOOPBACK[family]} port={port}
        listen sock=l backlog=5
        accept sock=l as=c
        recv_exact sock=c size=3
        barrier name=more
        recv_all sock=c chunk=7
        close sock=c
        close sock=l""")
    assert actor.until("listening").port == port
    with socket.create_connection((LOOPBACK[family], port), timeout=20) as peer:
        peer.sendall(b"abc")
        assert actor.until("barrier").name == "more"
        peer.sendall(b"x" * 100)
        actor.tell("go more")
        peer.shutdown(socket.SHUT_WR)
        events = actor.finish()
    read = of_step(events, 8)
    assert (read.call, read.result, read.bytes, read.data) == ("recv", 0, 100, b"x" * 64)
    assert read.calls is not None
    assert read.calls > 100 // 7


def test_the_pattern_is_as_documented_and_goes_on_over_the_sends(start: Start, listener: socket.socket) -> None:
    """Any send advances the position, so the stream is one pattern with the other sends' bytes in place."""
    steps = """send sock=c size=100003 seed=7 chunk=3001
        send sock=c hex=000102
        send sock=c size=70001 seed=7
        send sock=c size=5 seed=18446744073709551615"""
    actor = start(connected(listener, steps))
    with take(listener) as peer:
        got = read_all(peer)
    events = actor.finish()
    assert of_step(events, 3).calls == 34
    assert of_step(events, 5).calls == 1
    stream = pattern(7, 170007)
    assert got[:100003] == stream[:100003]
    assert got[100003:100006] == b"\x00\x01\x02"
    assert got[100006:170007] == stream[100006:]
    assert got[170007:] == pattern(MASK, 170012)[170007:]
    assert stream[:8].hex() == "45ceab7e97c2b4b8", "the pattern is part of the contract"


def test_what_the_kernel_takes_in_part_is_sent_on(start: Start, listener: socket.socket) -> None:
    """On a full non-blocking socket the step went on until EAGAIN; what it counts is what the peer gets."""
    steps = """sleep ms=1
        setsockopt sock=c name=SO_SNDBUF value=65536
        barrier name=up
        send sock=c size=16777216 seed=3 expect=EAGAIN
        close sock=c"""
    actor = start(connected(listener, steps, option="nonblock=1"))
    with take(listener) as peer:
        actor.until("barrier")
        actor.tell("go up")
        events = actor.finish()
        sent = of_step(events, 6)
        assert (sent.event, sent.errno, sent.expected, sent.call) == ("error", "EAGAIN", True, "send")
        assert sent.bytes is not None
        assert 0 < sent.bytes < 16777216
        assert sent.calls is not None
        assert sent.calls >= 2
        assert read_all(peer) == pattern(3, sent.bytes)


def test_one_recv_takes_what_is_there_and_no_more_than_asked(start: Start, listener: socket.socket) -> None:
    """recv is one call; MSG_PEEK leaves the bytes; MSG_TRUNC on a stream copies none and shows none."""
    steps = """barrier name=sent
        recv sock=c size=100 flags=MSG_PEEK
        recv sock=c size=3
        recv sock=c size=2 flags=MSG_TRUNC
        recv sock=c size=100"""
    actor = start(connected(listener, steps))
    with take(listener) as peer:
        peer.sendall(b"ccstring")
        actor.until("barrier")
        actor.tell("go sent")
        events = actor.finish()
    shown = [(e.bytes, e.data, e.calls) for e in (of_step(events, n) for n in range(4, 8))]
    assert shown == [(8, b"ccstring", 1), (3, b"ccs", 1), (2, b"", 1), (3, b"ing", 1)]


def test_recv_exact_reads_over_segments_and_says_eof(start: Start, listener: socket.socket) -> None:
    """As many calls as it takes, no byte too many; an end before that is the error EOF."""
    steps = """recv_exact sock=c size=10 chunk=4
        barrier name=ten
        recv_exact sock=c size=5 expect=EOF"""
    actor = start(connected(listener, steps))
    with take(listener) as peer:
        peer.sendall(b"0123456789AB")
        ten = actor.until("barrier")
        actor.tell("go ten")
        peer.shutdown(socket.SHUT_WR)
        events = actor.finish()
    assert ten.step == 4
    assert of_step(events, 5).data == b"AB"
    assert (of_step(events, 5).errno, of_step(events, 5).bytes) == ("EOF", 2)


def test_linger_zero_resets_the_peer(start: Start, listener: socket.socket) -> None:
    """SO_LINGER 1,0 is set as a struct, so close sends RST instead of FIN."""
    steps = """setsockopt sock=c name=SO_LINGER value=1,0
        getsockopt sock=c name=SO_LINGER
        close sock=c"""
    actor = start(connected(listener, steps))
    with take(listener) as peer:
        events = actor.finish()
        with pytest.raises(ConnectionResetError):
            peer.recv(1)
    assert of_step(events, 4).value == "1,0"


def test_half_close_still_receives(start: Start, listener: socket.socket) -> None:
    """After shutdown wr the peer sees the end and its answer arrives; a send is EPIPE, not a signal."""
    steps = """send sock=c hex=71
        shutdown sock=c how=wr
        send sock=c hex=71 expect=EPIPE
        recv_all sock=c
        shutdown sock=c how=rd expect=any
        recv sock=c size=1"""
    actor = start(connected(listener, steps))
    with take(listener) as peer:
        assert read_all(peer) == b"q"
        peer.sendall(b"answer")
        peer.shutdown(socket.SHUT_WR)
        events = actor.finish()
    assert of_step(events, 6).data == b"answer"
    assert of_step(events, 8).result == 0


def test_urgent_data_and_several_buffers(start: Start, listener: socket.socket) -> None:
    """MSG_OOB makes the byte urgent; sendmsg gives all its parts in one call."""
    actor = start(connected(listener, "sendmsg sock=c parts=63,,63,737472696e67\nsend sock=c hex=21 flags=MSG_OOB"))
    with take(listener) as peer:
        events = actor.finish()
        assert peer.recv(100) == b"ccstring"
        assert peer.recv(1, socket.MSG_OOB) == b"!"
    message = of_step(events, 3)
    assert (message.call, message.bytes, message.calls) == ("sendmsg", 8, 1)


def test_sendmsg_goes_on_in_the_middle_of_a_part(start: Start) -> None:
    """A full non-blocking socket takes a part of a part; the bytes that went out are in order."""
    body = pattern(1, 3_000_000)
    parts = f"{body[:1].hex()},{body[1:1_000_003].hex()},{body[1_000_003:].hex()}"
    steps = f"barrier name=up\nsendmsg sock=c parts={parts} expect=EAGAIN\nclose sock=c"
    with socket.socket() as small:
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        small.bind(("127.0.0.1", 0))
        small.listen()
        small.settimeout(20)
        actor = start(connected(small, f"setsockopt sock=c name=SO_SNDBUF value=8192\n{steps}", option="nonblock=1"))
        with take(small) as peer:
            actor.until("barrier")
            actor.tell("go up")
            events = actor.finish()
            sent = of_step(events, 5)
            assert sent.bytes is not None
            assert sent.calls is not None
            assert sent.calls >= 2
            assert read_all(peer) == body[: sent.bytes]


def test_datagrams_both_ways(start: Start, family: str) -> None:
    """Bind of a datagram socket says `listening`; recv takes one datagram; sendto and connected send work."""
    port = free_port(socket.SOCK_DGRAM, family)
    with socket.socket(AF[family], socket.SOCK_DGRAM) as peer:
        peer.bind((LOOPBACK[family], 0))
        peer.settimeout(20)
        to = f"addr={LOOPBACK[family]} port={port_of(peer)}"
        actor = start(f"""socket as=u family={family} type=dgram
            bind sock=u addr={LOOPBACK[family]} port={port}
            recv sock=u size=100
            recv sock=u size=2 flags=MSG_TRUNC
            send sock=u hex=6f6e65 {to}
            send sock=u hex= {to}
            sendmsg sock=u parts=74,776f {to}
            connect sock=u {to}
            send sock=u hex=6d6f flags=MSG_MORE
            send sock=u hex=7265
            send sock=u size=30 seed=1 chunk=20
            close sock=u""")
        assert actor.until("listening").port == port
        peer.sendto(b"", (LOOPBACK[family], port))
        peer.sendto(b"long", (LOOPBACK[family], port))
        got = [peer.recv(100) for _ in range(6)]
        events = actor.finish()
    stream = pattern(1, 40)
    assert got == [b"one", b"", b"two", b"more", stream[10:30], stream[30:40]]
    assert (of_step(events, 3).bytes, of_step(events, 3).data) == (0, b"")
    assert (of_step(events, 4).bytes, of_step(events, 4).data) == (4, b"lo"), "MSG_TRUNC tells the real length"
    assert [of_step(events, n).call for n in (5, 7, 9)] == ["sendto", "sendmsg", "send"]
