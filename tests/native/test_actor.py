"""The real actor, compiled here, against Python sockets on the loopback interface."""

from __future__ import annotations

import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from testbed.observe.actor import ActorEvent, explain, parse_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Start = Callable[..., "Actor"]

SOURCE = Path(__file__).parents[2] / "compose" / "tools" / "actor.c"
CFLAGS = ["-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-Werror"]
MASK = 2**64 - 1

pytestmark = [
    pytest.mark.native,
    pytest.mark.timeout(60),
    pytest.mark.skipif(sys.platform != "linux", reason="the actor's calls are Linux's"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler (cc) on this machine"),
]


def mix(x: int) -> int:
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & MASK
    return x ^ (x >> 31)


def pattern(seed: int, size: int) -> bytes:
    """The first bytes of the stream, from the words of docs/architecture.md, not from the C."""
    first = mix(seed)
    words = (mix((first + k) & MASK) for k in range(size // 8 + 1))
    return b"".join(struct.pack("<Q", word) for word in words)[:size]


class Actor:
    """A running actor; its script is given, its standard input stays open."""

    def __init__(self, command: list[str], script: str) -> None:
        lines = [line.strip() for line in script.strip().splitlines()]
        numbered = [f"{n} {line}" for n, line in enumerate(lines, 1)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        self.tell(*numbered, "end")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def tell(self, *lines: str) -> None:
        assert self.process.stdin
        self.process.stdin.write("".join(line + "\n" for line in lines))
        self.process.stdin.flush()

    def event(self) -> ActorEvent:
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, f"the actor ended instead: {self.process.stderr and self.process.stderr.read()}"
        return parse_event(line)

    def until(self, event: str) -> ActorEvent:
        while (found := self.event()).event != event:
            assert found.event != "done", f"no {event}"
        return found

    def finish(self, status: int = 0) -> list[ActorEvent]:
        """Wait for its end and give the events that were not read yet."""
        out, err = self.process.communicate(timeout=30)
        assert self.process.returncode == status, (out, err)
        assert not err or status, err
        events = [parse_event(line) for line in out.splitlines()]
        assert (events[-1].event == "done") == (status == 0)
        return events

    def state(self) -> str:
        """The kernel's letter for what it does: S sleeping in a call, T stopped."""
        return Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0]

    def wait_state(self, letter: str) -> None:
        deadline = time.monotonic() + 20
        while self.state() != letter:
            assert time.monotonic() < deadline, self.state()
            time.sleep(0.001)


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compiling without a warning is part of the contract."""
    made = tmp_path_factory.mktemp("actor") / "actor"
    subprocess.run(["cc", *CFLAGS, "-o", str(made), str(SOURCE)], check=True, timeout=60)
    return made


@pytest.fixture
def start(binary: Path) -> Iterator[Start]:
    running: list[Actor] = []

    def begin(script: str, *, wrapper: tuple[str, ...] = ()) -> Actor:
        running.append(Actor([*wrapper, str(binary)], script))
        return running[-1]

    yield begin
    for actor in running:
        actor.__exit__()


@pytest.fixture(params=["inet", "inet6"])
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


LOOPBACK = {"inet": "127.0.0.1", "inet6": "::1"}
AF = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.settimeout(20)
        yield made


def port_of(sock: socket.socket) -> int:
    return int(sock.getsockname()[1])


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM, family: str = "inet") -> int:
    with socket.socket(AF[family], kind) as probe:
        probe.bind((LOOPBACK[family], 0))
        return port_of(probe)


def connected(listener: socket.socket, steps: str, *, option: str = "") -> str:
    """A script that connects socket c to the listener, then does `steps`."""
    return f"""socket as=c family=inet type=stream {option}
        connect sock=c addr=127.0.0.1 port={port_of(listener)} expect={"any" if option else "ok"}
        {steps}"""


def take(listener: socket.socket) -> socket.socket:
    peer, _ = listener.accept()
    peer.settimeout(20)
    return peer


def read_all(peer: socket.socket) -> bytes:
    return b"".join(iter(lambda: peer.recv(1 << 16), b""))


def of_step(events: list[ActorEvent], step: int) -> ActorEvent:
    """The event that ended a step: exactly one."""
    (ended,) = [e for e in events if e.step == step and e.event in {"ok", "error", "unexpected-success"}]
    return ended


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
