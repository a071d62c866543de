"""How the real actor goes from step to step: readiness, barriers, expected and other errors, options, its end."""

from __future__ import annotations

import shutil
import signal
import socket
from pathlib import Path

import pytest

from testbed.observe.actor_events import explain, parse_event

from .acting import Start, connected, free_port, of_step, port_of, take

pytestmark = pytest.mark.timeout(60)


def test_wait_says_what_poll_found(start: Start, listener: socket.socket) -> None:
    """Writable at once; nothing to read: TIMEOUT; after the peer's end: readable."""
    steps = """wait sock=c for=out
        wait sock=c for=in timeout=10 expect=TIMEOUT
        barrier name=x
        wait sock=c for=in"""
    actor = start(connected(listener, steps))
    with take(listener):
        actor.until("barrier")
    actor.tell("go x")
    events = actor.finish()
    assert events[-2].value == "POLLIN"


def test_an_edge_tells_once_of_what_came(start: Start, listener: socket.socket) -> None:
    """One read an edge strands the rest; level-triggered, each read finds it."""
    for by, ended, total in (("epoll-edge", "TIMEOUT", 1), ("epoll", None, 3), ("poll", None, 3)):
        expect = f"expect={ended}" if ended else ""
        steps = f"""wait sock=c for=in
            on_readable sock=c mode=each size=1 by={by} timeout=200 {expect}"""
        if ended:
            steps = f"barrier name=x\n{steps}"
        actor = start(connected(listener, steps))
        with take(listener) as peer:
            peer.sendall(b"abc")
            if not ended:
                peer.close()
            else:
                actor.until("barrier")
                actor.tell("go x")
            events = actor.finish()
        assert (events[-2].errno, events[-2].bytes) == (ended, total)


@pytest.mark.parametrize(("step", "status"), [("exit status=3", 3), ("kill signal=SIGKILL", -signal.SIGKILL)])
def test_a_program_that_ends_in_the_middle(start: Start, listener: socket.socket, step: str, status: int) -> None:
    """Its sockets are open until the kernel closes them; the step is told before."""
    actor = start(connected(listener, step))
    with take(listener) as peer:
        assert peer.recv(1) == b""
    assert actor.process.wait(20) == status
    assert actor.process.stdout
    assert parse_event(actor.process.stdout.read().splitlines()[-1]).call == step.split(maxsplit=1)[0]


def test_an_unexpected_eagain_ends_the_program(start: Start, listener: socket.socket) -> None:
    """A non-blocking read of nothing is an error event and status 1; no later step runs."""
    actor = start(connected(listener, "recv sock=c size=1\nclose sock=c", option="nonblock=1"))
    with take(listener):
        last = actor.finish(1)[-1]
    assert (last.step, last.call, last.errno, last.expected, last.expect) == (3, "recv", "EAGAIN", False, "ok")
    assert "EAGAIN (resource temporarily unavailable)" in explain(last)


@pytest.mark.parametrize(
    ("expect", "status", "expected"),
    [("ok", 1, False), ("any", 0, True), ("ECONNREFUSED", 0, True), ("EPIPE", 1, False)],
)
def test_a_refused_connect_is_judged_by_expect(start: Start, expect: str, status: int, expected: bool) -> None:
    """The errno is named; the program goes on only where the scenario expected it."""
    actor = start(f"""socket as=c family=inet type=stream
        connect sock=c addr=127.0.0.1 port={free_port()} expect={expect}""")
    refused = of_step(actor.finish(status), 2)
    assert (refused.event, refused.errno, refused.expected) == ("error", "ECONNREFUSED", expected)
    assert refused.failed is not expected


def test_a_success_that_was_to_fail_ends_the_program(start: Start, listener: socket.socket) -> None:
    actor = start(f"""socket as=c family=inet type=stream
        connect sock=c addr=127.0.0.1 port={port_of(listener)} expect=ECONNREFUSED
        close sock=c""")
    last = actor.finish(1)[-1]
    assert (last.event, last.step, last.expect, last.failed) == ("unexpected-success", 2, "ECONNREFUSED", True)


def test_on_readable_once_leaves_the_rest_unread(start: Start, listener: socket.socket) -> None:
    """The origin's server: one notification, one recv; its close with unread bytes resets the peer."""
    actor = start(connected(listener, "barrier name=sent\non_readable sock=c mode=once size=1\nclose sock=c"))
    with take(listener) as peer:
        peer.sendall(b"ccstring")
        actor.until("barrier")
        actor.tell("go sent")
        events = actor.finish()
        read = of_step(events, 4)
        assert (read.call, read.bytes, read.data, read.calls) == ("recv", 1, b"c", 2)
        with pytest.raises(ConnectionResetError):
            peer.recv(1)


def test_on_readable_drain_reads_all_until_the_end(start: Start, listener: socket.socket) -> None:
    actor = start(connected(listener, "on_readable sock=c mode=drain size=3"))
    with take(listener) as peer:
        peer.sendall(b"cc")
        peer.sendall(b"string")
        peer.shutdown(socket.SHUT_WR)
        read = of_step(actor.finish(), 3)
    assert (read.bytes, read.data, read.result) == (8, b"ccstring", 0)


@pytest.mark.parametrize("mode", ["once", "drain"])
def test_on_readable_gives_up_after_its_timeout(start: Start, listener: socket.socket, mode: str) -> None:
    actor = start(connected(listener, f"on_readable sock=c mode={mode} size=3 timeout=20 expect=TIMEOUT"))
    with take(listener):
        waited = of_step(actor.finish(), 3)
    assert (waited.call, waited.errno, waited.bytes) == ("poll", "TIMEOUT", 0)


@pytest.mark.parametrize(("option", "text"), [
    ("TCP_NODELAY", "1"), ("SO_RCVTIMEO", "1500"), ("TCP_CONGESTION", "reno"), ("IP_TOS", "16"), ("SO_KEEPALIVE", "1"),
    ("TCP_KEEPIDLE", "7"), ("TCP_USER_TIMEOUT", "3000"), ("SO_LINGER", "1,5"), ("TCP_CORK", "1"), ("IP_TTL", "9"),
])  # fmt: skip
def test_options_are_set_by_name_and_read_back(start: Start, option: str, text: str) -> None:
    """Each kind of value reaches the kernel as its type: what getsockopt gives is what was set."""
    actor = start(f"""socket as=c family=inet type=stream
        setsockopt sock=c name={option} value={text}
        getsockopt sock=c name={option}""")
    assert of_step(actor.finish(), 3).value == text


def test_options_of_ipv6_and_those_that_can_only_be_read(start: Start) -> None:
    actor = start("""socket as=c family=inet6 type=stream
        setsockopt sock=c name=IPV6_V6ONLY value=1
        getsockopt sock=c name=IPV6_V6ONLY
        getsockopt sock=c name=TCP_INFO
        getsockopt sock=c name=SO_TYPE
        setsockopt sock=c name=SO_ERROR value=1 expect=ENOPROTOOPT""")
    events = actor.finish()
    assert of_step(events, 3).value == "1"
    info = of_step(events, 4).value or ""
    assert len(info) > 200
    assert info.startswith("07"), "the first byte of tcp_info is the state, TCP_CLOSE is 7"
    assert of_step(events, 5).value == str(int(socket.SOCK_STREAM))


@pytest.mark.parametrize(("family", "options"), [
    ("inet", ["IP_ADD_MEMBERSHIP=239.1.2.3%lo", "IP_MULTICAST_IF=lo", "IP_DROP_MEMBERSHIP=239.1.2.3%lo",
              "IP_OPTIONS=94040000", "UDP_SEGMENT=100", "UDP_CORK=1", "UDP_GRO=1"]),
    ("inet6", ["IPV6_JOIN_GROUP=ff02::123%lo", "IPV6_MULTICAST_IF=lo", "IPV6_LEAVE_GROUP=ff02::123%lo"]),
])  # fmt: skip
def test_groups_interfaces_and_blobs(start: Start, family: str, options: list[str]) -> None:
    """Each is taken by the kernel as what it is; a group that was not joined cannot be left."""
    lines = [f"socket as=u family={family} type=dgram"]
    lines += [
        f"setsockopt sock=u name={name} value={value}" for name, _, value in (each.partition("=") for each in options)
    ]
    events = start("\n".join(lines)).finish()
    assert [event.event for event in events] == ["ok"] * len(lines) + ["done"]
    leave = next(line for line in lines if "DROP" in line or "LEAVE" in line)
    refused = start(f"{lines[0]}\n{leave} expect=EADDRNOTAVAIL").finish()
    assert str(of_step(refused, 2).name) in leave, "the event of an error names the option"


@pytest.mark.parametrize("said", ["go other", "go", "went", None])
def test_a_barrier_opens_to_its_own_name_only(start: Start, said: str | None) -> None:
    """Any other line, or the end of input, ends the program with status 1 and a message."""
    actor = start("barrier name=a\nbarrier name=b")
    assert (actor.event().name, actor.process.poll()) == ("a", None)
    actor.tell("go a")
    assert actor.event().event == "ok"
    assert actor.event().name == "b"
    if said is not None:
        actor.tell(said)
    out, err = actor.process.communicate(timeout=30)
    assert (actor.process.returncode, out) == (1, "")
    assert "at barrier b standard input" in err


def test_a_call_that_a_signal_interrupts_is_made_again(start: Start, listener: socket.socket) -> None:
    """With SO_RCVTIMEO set, stop and continue make recv fail with EINTR (signal(7)); the step does not."""
    steps = "setsockopt sock=c name=SO_RCVTIMEO value=60000\nbarrier name=now\nrecv sock=c size=10"
    actor = start(connected(listener, steps))
    with take(listener) as peer:
        actor.until("barrier")
        actor.tell("go now")
        assert actor.event().call == "barrier"
        actor.wait_state("S")
        actor.process.send_signal(signal.SIGSTOP)
        actor.wait_state("T")
        actor.process.send_signal(signal.SIGCONT)
        actor.wait_state("S")
        peer.sendall(b"late")
        read = of_step(actor.finish(), 5)
    assert (read.event, read.data, read.calls) == ("ok", b"late", 2)


def test_a_closed_socket_gives_ebadf_and_its_name_is_free(start: Start) -> None:
    """Later calls on the name reach the kernel and fail there, though another socket took the number."""
    actor = start("""socket as=a family=inet type=stream
        close sock=a
        socket as=b family=inet type=stream
        listen sock=a backlog=1 expect=EBADF
        on_readable sock=a mode=once size=1 expect=EBADF
        close sock=a expect=EBADF
        socket as=a family=inet6 type=dgram
        close sock=a
        getsockopt sock=b name=SO_TYPE""")
    actor.finish()


@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace on this machine")
def test_no_call_is_made_that_no_step_names(start: Start, listener: socket.socket, tmp_path: Path) -> None:
    """The kernel's own list of this program's socket calls reads like the script."""
    log = tmp_path / "calls"
    steps = """setsockopt sock=c name=TCP_NODELAY value=1
        send sock=c hex=63
        send sock=c size=9 seed=1 chunk=5
        close sock=c"""
    wrapper = ("strace", "-e", "trace=network,poll,ppoll,fcntl,ioctl", "-o", str(log))
    actor = start(connected(listener, steps), wrapper=wrapper)
    actor.finish()
    calls = [line.partition("(")[0] for line in log.read_text().splitlines() if not line.startswith("+++")]
    assert calls == ["socket", "connect", "setsockopt", "sendto", "sendto", "sendto"]


@pytest.mark.parametrize(
    ("family", "option", "named", "address", "source"),
    [
        ("inet", "IP_PKTINFO", "127.0.0.2", "127.0.0.2", "127.0.0.3"),
        ("inet6", "IPV6_RECVPKTINFO", "::ffff:127.0.0.2", "127.0.0.2", "::ffff:127.0.0.3"),
        ("inet6", "IPV6_RECVPKTINFO", "::1", "::1", "::1"),
    ],
)
def test_a_socket_on_every_address_learns_where_it_was_asked_and_answers_from_where_it_is_told(
    start: Start, family: str, option: str, named: str, address: str, source: str
) -> None:
    """By control messages: without the option there is none. The loopback interface has the index 1."""
    port = free_port()
    every = "::" if family == "inet6" else "0.0.0.0"  # noqa: S104 - only for the length of the test
    actor = start(f"""socket as=s family={family} type=dgram
        bind sock=s addr={every} port={port}
        socket as=c family={family} type=dgram
        sendmsg sock=c parts=61 addr={named} port={port}
        recvmsg sock=s sizes=10
        setsockopt sock=s name={option} value=1
        sendmsg sock=c parts=6263 addr={named} port={port} from={source}
        recvmsg sock=s sizes=10""")
    events = actor.finish()
    assert of_step(events, 5).pktinfo is None
    assert (of_step(events, 8).data, of_step(events, 8).pktinfo) == (b"bc", {"address": address, "interface": 1})


def test_the_address_that_a_message_leaves_from_is_the_one_it_names(start: Start) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.settimeout(20)
        actor = start(f"""socket as=s family=inet type=dgram
            sendmsg sock=s parts=61,62 from=127.0.0.9 addr=127.0.0.1 port={port_of(peer)}
            sendmsg sock=s parts=63 from=192.0.2.1 addr=127.0.0.1 port={port_of(peer)} expect=any""")
        assert of_step(actor.finish(), 3).errno, "no address of this host"
        data, (address, _) = peer.recvfrom(10)
    assert (data, address) == (b"ab", "127.0.0.9")
