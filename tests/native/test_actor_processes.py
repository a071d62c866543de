"""The real actor's child processes, what they share, and the calls that move several buffers, messages or sockets."""

from __future__ import annotations

import socket

import pytest

from testbed.observe.actor_events import ActorEvent

from .acting import Start, connected, of_step, pattern, port_of, read_all, take

pytestmark = pytest.mark.timeout(60)


def with_step(events: list[ActorEvent], step: int) -> list[ActorEvent]:
    return [event for event in events if event.step == step]


def test_a_child_makes_its_steps_on_what_it_inherited(start: Start, listener: socket.socket) -> None:
    """Both processes send on one connection; it ends when the last of them closes it."""
    steps = """fork name=x status=0
        send sock=c hex=62
        close sock=c
        end_fork
        waitpid name=x
        send sock=c hex=61
        close sock=c"""
    actor = start(connected(listener, steps))
    with take(listener) as peer:
        assert read_all(peer) == b"ba"
    events = actor.finish()
    assert with_step(events, 3)[0].result != 0, "the parent reports the child"
    assert [event.event for event in events].count("done") == 1


def test_a_child_that_closes_leaves_the_parents_descriptor(start: Start, listener: socket.socket) -> None:
    """The connection stays open; the name is free in the child only."""
    steps = """fork name=x status=0
        close sock=c
        socket as=c family=inet type=dgram
        end_fork
        waitpid name=x
        send sock=c hex=61"""
    actor = start(connected(listener, steps))
    with take(listener) as peer:
        assert peer.recv(9) == b"a"
    actor.finish()


@pytest.mark.parametrize(
    ("expected", "end", "good"),
    [
        ("status=3", "exit status=3", True),
        ("status=0", "exit status=3", False),
        ("signal=SIGKILL", "kill signal=SIGKILL", True),
        ("status=0", "kill signal=SIGKILL", False),
        ("", "exit status=3", True),
    ],
)
def test_a_child_must_end_as_its_fork_says(start: Start, expected: str, end: str, good: bool) -> None:
    actor = start(f"fork name=x {expected}\n{end}\nend_fork")
    out, err = actor.process.communicate(timeout=30)
    assert actor.process.returncode == (0 if good else 1)
    assert ("done" in out) is good
    assert err == ("" if good else err)
    assert good or "step 1: the child x ended with" in err


def test_children_of_several_rounds_are_all_waited_for(start: Start) -> None:
    """Twice the same name; a step that fails in one of them is reported and fails the program."""
    one = "fork name=x status=0\nsocket as=a family=inet type=stream\nend_fork\n"
    start(one + one + "waitpid name=x").finish()
    wrong = "fork name=x status=0\nsocket as=a family=inet type=stream expect=EINVAL\nend_fork\nwaitpid name=x"
    out, _ = (failed := start(wrong)).process.communicate(timeout=30)
    assert failed.process.returncode == 1
    assert '"unexpected-success"' in out


def test_barriers_of_two_processes_open_each_to_its_own_name(start: Start) -> None:
    """Standard input is read by whichever process waits; the other's line is not lost, in either order."""
    for first, second in (("a", "b"), ("b", "a")):
        actor = start("fork name=x status=0\nbarrier name=a\nend_fork\nbarrier name=b\nwaitpid name=x")
        assert {actor.until("barrier").name, actor.until("barrier").name} == {"a", "b"}
        actor.tell(f"go {first}")
        assert actor.until("ok").step == {"a": 2, "b": 4}[first]
        actor.tell(f"go {second}")
        actor.finish()


def test_the_pattern_goes_on_over_all_descriptors_of_a_socket(start: Start, listener: socket.socket) -> None:
    """By the copy that dup made, and by a child."""
    steps = """send sock=c size=5 seed=1
        dup sock=c as=d
        send sock=d size=6 seed=1
        fork name=x status=0
        send sock=c size=7 seed=1
        end_fork
        waitpid name=x
        send sock=c size=8 seed=1"""
    actor = start(connected(listener, steps))
    with take(listener) as peer:
        assert read_all(peer) == pattern(1, 26)
    actor.finish()


def test_a_socket_is_closed_with_its_last_descriptor(start: Start, listener: socket.socket) -> None:
    actor = start(
        connected(listener, "dup sock=c as=d\nclose sock=c\nbarrier name=x\nsend sock=d hex=61\nclose sock=d")
    )
    with take(listener) as peer:
        actor.until("barrier")
        peer.setblocking(False)
        with pytest.raises(BlockingIOError):
            peer.recv(1)
        peer.settimeout(20)
        actor.tell("go x")
        assert read_all(peer) == b"a"
    actor.finish()


def test_a_descriptor_goes_to_another_process(start: Start, listener: socket.socket) -> None:
    """The child sends on a connection that was made after the fork."""
    steps = f"""socketpair as=p and=q
        fork name=x status=0
        recv_fd sock=q as=got family=inet type=stream
        send sock=got hex=6869
        end_fork
        socket as=c family=inet type=stream
        connect sock=c addr=127.0.0.1 port={port_of(listener)}
        send_fd sock=p fd=c
        close sock=c
        waitpid name=x"""
    actor = start(steps)
    with take(listener) as peer:
        assert read_all(peer) == b"hi"
    actor.finish()


def test_a_message_without_a_descriptor_is_eof(start: Start) -> None:
    start("socketpair as=p and=q\nsend sock=p hex=61\nrecv_fd sock=q as=x family=inet type=stream expect=EOF").finish()


def test_a_child_becomes_another_program(start: Start, listener: socket.socket) -> None:
    """Its standard input and output are the connection; what it prints is no event."""
    argv = ",".join(word.encode().hex() for word in ("tr", "a-z", "A-Z"))
    steps = f"""fork name=x status=0
        exec parts={argv} stdin=c stdout=c
        end_fork
        close sock=c
        waitpid name=x"""
    actor = start(connected(listener, steps))
    with take(listener) as peer:
        peer.sendall(b"shout")
        peer.shutdown(socket.SHUT_WR)
        assert read_all(peer) == b"SHOUT"
    actor.finish()


def test_a_program_that_does_not_exist(start: Start) -> None:
    actor = start(f"exec parts={b'/no/such'.hex()}")
    _, err = actor.process.communicate(timeout=30)
    assert actor.process.returncode == 127
    assert "cannot execute /no/such: No such file or directory" in err


def test_a_partial_send_takes_what_there_is_room_for(start: Start, listener: socket.socket) -> None:
    """One call; the rest is not sent, and the pattern goes on where the kernel stopped."""
    steps = """setsockopt sock=c name=SO_SNDBUF value=20000
        send sock=c size=8000000 seed=1 flags=MSG_DONTWAIT once=1
        send sock=c size=8000000 seed=1 flags=MSG_DONTWAIT expect=EAGAIN
        sendmsg sock=c parts=61,62 once=1"""
    actor = start(connected(listener, steps))
    with take(listener) as peer:
        data = read_all(peer)
    events = actor.finish()
    sent, refused = of_step(events, 4), of_step(events, 5)
    assert sent.calls == 1
    assert sent.bytes is not None
    assert 0 < sent.bytes < 8_000_000
    assert refused.bytes is not None
    assert data == pattern(1, sent.bytes + refused.bytes) + b"ab"


def test_several_buffers_and_messages(start: Start) -> None:
    """readv and recvmsg fill one buffer after the other; of datagrams each is a message."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.settimeout(20)
        actor = start(f"""socket as=u family=inet type=dgram
            bind sock=u addr=127.0.0.1 port=0
            connect sock=u addr=127.0.0.1 port={port_of(peer)}
            sendmmsg sock=u parts=6161,,626262
            barrier name=x
            recvmmsg sock=u count=4 size=4 flags=MSG_WAITFORONE
            readv sock=u sizes=2,100
            recvmsg sock=u sizes=1,1""")
        got = [peer.recvfrom(100) for _ in range(3)]
        assert [data for data, _ in got] == [b"aa", b"", b"bbb"]
        actor.until("barrier")
        for data in (b"one", b"threes"):
            peer.sendto(data, got[0][1])
        actor.tell("go x")
        actor.until("ok")  # the barrier
        received = actor.until("ok")
        assert (received.bytes, received.data) == (7, b"onethre"), "the second one is cut"
        assert received.result == 2
        for data in (b"abcd", b"xyz"):
            peer.sendto(data, got[0][1])
        events = actor.finish()
    assert [(of_step(events, step).data, of_step(events, step).bytes) for step in (7, 8)] == [(b"abcd", 4), (b"xy", 2)]


def test_splice_in_out_and_through(start: Start, listener: socket.socket) -> None:
    """The pattern to a socket; one socket's bytes to another; bytes to nowhere, until the stream's end."""
    port = port_of(listener)
    actor = start(f"""socket as=a family=inet type=stream
        connect sock=a addr=127.0.0.1 port={port}
        socket as=b family=inet type=stream
        connect sock=b addr=127.0.0.1 port={port}
        splice to=a size=100000 seed=1
        splice sock=a to=b size=5
        splice sock=a size=99
        close sock=a
        close sock=b""")
    with take(listener) as a, take(listener) as b:
        a.sendall(b"12345678")
        a.shutdown(socket.SHUT_WR)
        assert read_all(a) == pattern(1, 100000)
        assert read_all(b) == b"12345"
    events = actor.finish()
    assert (of_step(events, 7).bytes, of_step(events, 7).data) == (3, b"678")


@pytest.mark.parametrize("by", ["poll", "epoll", "epoll-edge", "select"])
def test_a_wait_for_several_says_which_are_ready(start: Start, listener: socket.socket, by: str) -> None:
    port = port_of(listener)
    actor = start(f"""socket as=a family=inet type=stream
        connect sock=a addr=127.0.0.1 port={port}
        socket as=b family=inet type=stream
        connect sock=b addr=127.0.0.1 port={port}
        wait_any socks=a:in,b:in by={by} timeout=10 expect=TIMEOUT
        barrier name=x
        wait_any socks=a:in,b:in by={by}
        wait_any socks=a:in,b:out by={by}""")
    with take(listener), take(listener) as b:
        actor.until("barrier")
        b.sendall(b"1")
        actor.tell("go x")
        events = actor.finish()
    assert [of_step(events, step).value for step in (7, 8)] == ["b=POLLIN", "b=POLLOUT"]


@pytest.mark.parametrize("by", ["poll", "epoll", "select"])
@pytest.mark.parametrize("mode", ["drain", "each"])
def test_several_sockets_are_served_until_all_have_ended(
    start: Start, listener: socket.socket, by: str, mode: str
) -> None:
    port = port_of(listener)
    actor = start(f"""socket as=a family=inet type=stream
        connect sock=a addr=127.0.0.1 port={port}
        socket as=b family=inet type=stream
        connect sock=b addr=127.0.0.1 port={port}
        serve socks=a,b mode={mode} size=2 by={by}""")
    with take(listener) as a, take(listener) as b:
        b.sendall(b"123")
        b.close()
        a.sendall(b"45")
        a.close()
        events = actor.finish()
    served = of_step(events, 5)
    assert (served.bytes, sorted(served.data)) == (5, sorted(b"12345"))


def test_disconnect_ends_a_connection_and_leaves_the_socket(start: Start, listener: socket.socket) -> None:
    """With unread bytes, or none: the peer gets its end, and the socket connects anew."""
    steps = f"disconnect sock=c\nconnect sock=c addr=127.0.0.1 port={port_of(listener)}\nsend sock=c hex=61"
    actor = start(connected(listener, steps))
    with take(listener) as first, take(listener) as second:
        assert second.recv(9) == b"a"
        with pytest.raises(ConnectionResetError):
            first.recv(9)
    actor.finish()


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("end_fork", "line 1: end_fork: no fork has begun"),
        ("fork name=x", "line 2: a fork has no end_fork"),
        ("splice size=3", "line 1: splice: needs sock= or seed="),
        ("socketpair as=a and=a", 'line 1: and="a" must be a name that no open socket has'),
        ("wait_any socks=a:in", 'line 1: socks="a:in" must be names of sockets'),
        ("socketpair as=a and=b\nreadv sock=a sizes=1,x", 'line 2: sizes="1,x" must be sizes'),
        ("socketpair as=a and=b\nreadv sock=a sizes=67108864,1", "line 2: readv: size= is above 67108864"),
        ("fork name=x\nsocketpair as=a and=b\nend_fork\nclose sock=a\nsend sock=a hex=00", ""),
    ],
)
def test_scripts_that_cannot_be(start: Start, script: str, message: str) -> None:
    """Of the last one each line is good: a name that a child made is known, its socket is not open."""
    actor = start(script + ("" if message else "\nno-such-step"))
    _, err = actor.process.communicate(timeout=30)
    assert actor.process.returncode == 2
    assert (message or "no-such-step") in err
    assert len(err.splitlines()) == 1
