"""A recorded trace of strace 6.1 as calls, and each form of value and line that strace writes."""

from __future__ import annotations

from pathlib import Path

import pytest
import xxhash

from testbed.model import Call, Endpoint, Host
from testbed.observe.strace.strace_lines import Lines
from testbed.observe.strace.strace_log import decode
from testbed.observe.strace.strace_values import Descriptor, Function, TracedBytes, UnreadableError, arguments

RECORDED = Path(__file__).parent / "strace"
BEGIN = '7  1000.000000001 execve("\\x2f\\x78", ["\\x78"], 0x7f /* 1 var */) = 0 <0.000000001>\n'
OPENED = "7  1000.100000000 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3<TCP:[55]> <0.000000010>\n"


def recorded(host: Host) -> tuple[Call, ...]:
    seen = decode((RECORDED / f"{host}.txt").read_text().splitlines(keepends=True), host)
    assert seen.problems == ()
    assert not seen.blind
    assert [call.n for call in seen.calls] == list(range(len(seen.calls)))
    return seen.calls


def test_a_recorded_client() -> None:
    """Names, bytes, digests, threads, duplicates; a connect knows the address that only later calls show."""
    calls = recorded("client")
    connect = next(call for call in calls if call.name == "connect")
    assert connect.socket is not None
    assert (connect.socket.local, connect.socket.peer) == (Endpoint("127.0.0.1", 36246), Endpoint("127.0.0.1", 18081))
    (send,) = (call for call in calls if call.name == "send")
    assert (send.data, send.length, send.direction, send.program) == (b'hello\n"x"\x01', 10, "out", "python3")
    assert send.digest == xxhash.xxh3_64_hexdigest(send.data)
    assert send.end is not None
    (recv,) = (call for call in calls if call.name == "recv")
    assert (recv.pid, recv.data, recv.socket) == (send.pid, b"abcd\x00\xff", send.socket)
    assert recv.tid != recv.pid
    copies = [call for call in calls if call.name == "close" and call.socket == send.socket]
    assert [call.fd for call in copies] == [3, 4]
    (datagram,) = (call for call in calls if call.name == "sendto")
    assert datagram.socket is not None
    assert (datagram.socket.protocol, datagram.args["address"]) == ("udp", "127.0.0.1:9")
    assert datagram.socket.cookie != send.socket.cookie if send.socket else False
    refused = [call for call in calls if call.name == "connect"][-1]
    assert (refused.errno, refused.args) == ("ECONNREFUSED", {"address": "[::1]:1"})


def test_a_recorded_server() -> None:
    """An accepted socket is the same one in the parent and in the forked child; SO_LINGER is read as the probe does."""
    calls = recorded("server")
    (accept,) = (call for call in calls if call.name == "accept4")
    (fork,) = (call for call in calls if call.name == "fork")
    (recv,) = (call for call in calls if call.name == "recv")
    (shutdown,) = (call for call in calls if call.name == "shutdown")
    assert recv.pid == fork.result != shutdown.pid
    assert recv.socket is not None
    assert shutdown.socket is not None
    assert accept.args["accepted"]["cookie"] == recv.socket.cookie == shutdown.socket.cookie
    (message,) = (call for call in calls if call.name == "sendmsg")
    assert (message.data, message.length, message.args["parts"]) == (b"abcd\x00\xff", 6, 2)
    values = [call.args["value"] for call in calls if call.name == "setsockopt"]
    assert values == [1, {"onoff": 1, "linger": 0}]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"\\x63\\x00"', TracedBytes(b"c\0")),
        ('"\\x63"...', TracedBytes(b"c", cut=True)),
        ("3<TCP:[10.0.0.1:4->10.0.0.2:80]>", Descriptor(3, "TCP:[10.0.0.1:4->10.0.0.2:80]")),
        ("3<TCPv6:[[::1]:4->[::1]:80]>", Descriptor(3, "TCPv6:[[::1]:4->[::1]:80]")),
        ("1<\\x2f\\x6e<char 1:3>>", Descriptor(1, "\\x2f\\x6e<char 1:3>")),
        ("4<\\x2f\\x6e>(deleted)", Descriptor(4, "\\x2f\\x6e")),
        ("htons(80)", Function("htons", ("80",))),
        ("[128 => 16]", ["16"]),
        ("[INT TERM]", ["INT", "TERM"]),
        ("SOCK_STREAM|SOCK_CLOEXEC", "SOCK_STREAM|SOCK_CLOEXEC"),
        ("0x55b9 /* 6 entries */", "0x55b9"),
        ("{a=1, b=[{c=2}], msg_namelen=16 => 0}", {"a": "1", "b": [{"c": "2"}], "msg_namelen": "0"}),
        (
            '{inet_pton(AF_INET6, "\\x3a", &sin6_addr)}',
            {"inet_pton": Function("inet_pton", ("AF_INET6", TracedBytes(b":"), "&sin6_addr"))},
        ),
    ],
)
def test_each_form_of_value(text: str, value: object) -> None:
    """As the table in the module's docstring says, alone and among others."""
    assert arguments(text) == [value]
    assert arguments(f"{text}, 0") == [value, "0"]


@pytest.mark.parametrize("text", ['"\\x63', "[1, 2", "{a=1", "f(1", "3)"])
def test_what_strace_does_not_write_is_refused(text: str) -> None:
    """Broken off or not closed: an error, never a guess."""
    with pytest.raises(UnreadableError):
        arguments(text)


def test_interrupted_lines_are_put_together() -> None:
    """Two threads in calls at the same time: each gets its own end; what never returns has none."""
    lines = Lines()
    calls = list(
        lines.read(
            [
                "7  1000.000000001 accept(3<TCP:[1.1.1.1:1]>,  <unfinished ...>\n",
                '8  1000.000000002 read(4<TCP:[55]>, "\\x63", 9) = 1 <0.000000004>\n',
                "7  1000.000000009 <... accept resumed>NULL, NULL) = 5<TCP:[1.1.1.1:1->2.2.2.2:2]> <0.000000008>\n",
                "7  1000.000000010 recvfrom(5<TCP:[1.1.1.1:1->2.2.2.2:2]>,  <unfinished ...>\n",
                "8  1000.000000011 +++ exited with 0 +++\n",
            ]
        )
    )
    assert [(call.name, call.start % 100, call.end and call.end % 100) for call in calls] == [
        ("read", 2, 6),
        ("accept", 1, 9),
        ("recvfrom", 10, None),
    ]
    assert lines.bad == []


def test_what_strace_let_go_of_had_not_returned() -> None:
    lines = Lines()
    calls = list(
        lines.read(
            [
                "7  1000.000000001 accept4(3<TCP:[0.0.0.0:1]>,  <detached ...>\n",
                "8  1000.000000002 recvfrom(5<TCP:[55]>,  <unfinished ...>\n",
                "8  1000.000000003 <... recvfrom resumed> <detached ...>\n",
            ]
        )
    )
    assert [(call.name, call.arguments[0], call.end) for call in calls] == [
        ("accept4", "3", None),
        ("recvfrom", "5", None),
    ]
    assert lines.bad == []


def test_a_call_between_whose_lines_others_stand_lasts_until_its_last_line() -> None:
    """strace's time in the call begins after it has printed the arguments: by that alone the next would be later."""
    trace = [
        '7  1000.000000001 write(3<TCP:[55]>, "\\x61", 1 <unfinished ...>\n',
        '8  1000.000000020 write(3<TCP:[55]>, "\\x62", 1 <unfinished ...>\n',
        "7  1000.000000030 <... write resumed>) = 1 <0.000000005>\n",
        "8  1000.000000040 <... write resumed>) = 1 <0.000000005>\n",
    ]
    assert [(call.start % 100, (call.end or 0) % 100) for call in Lines().read(trace)] == [(1, 30), (20, 40)]


def test_a_restarted_call_counts_once() -> None:
    """A signal ends a call with ERESTARTSYS, which the program never sees."""
    trace = [
        BEGIN,
        OPENED,
        "7  1001.000000001 recvfrom(3<TCP:[55]>, 0x7f, 9, 0, NULL, NULL) = ? ERESTARTSYS (To be) <0.000000001>\n",
        '7  1001.000000002 recvfrom(3<TCP:[55]>, "\\x63", 9, 0, NULL, NULL) = 1 <0.000000001>\n',
    ]
    calls = decode(trace, "client").calls
    assert [(call.name, call.result) for call in calls] == [("socket", 3), ("recv", 1)]


def test_bytes_that_were_cut_have_no_digest() -> None:
    """Of a write longer than what strace prints the length is known, the content not."""
    trace = [BEGIN, OPENED, '7  1001.000000001 write(3<TCP:[55]>, "\\x63\\x63"..., 9) = 9 <0.000000001>\n']
    call = decode(trace, "client").calls[-1]
    assert (call.length, call.data, call.digest) == (9, b"cc", None)


def test_several_messages_are_several_calls() -> None:
    """sendmmsg: one call for each message that was taken, as the probe has it."""
    message = '{{msg_hdr={{msg_name=NULL, msg_iov=[{{iov_base="{}", iov_len=1}}], msg_iovlen=1}}, msg_len=1}}'
    messages = ", ".join(message.format(byte) for byte in ("\\x61", "\\x62"))
    trace = [BEGIN, OPENED, f"7  1001.000000001 sendmmsg(3<TCP:[55]>, [{messages}], 2, 0) = 2 <0.000000001>\n"]
    calls = [call for call in decode(trace, "client").calls if call.name == "sendmmsg"]
    assert [(call.data, call.length, call.args["message"]) for call in calls] == [(b"a", 1, 0), (b"b", 1, 1)]


def test_a_descriptor_number_used_again_is_another_socket() -> None:
    """close and socket give the same number; the two sockets are told apart."""
    trace = [
        BEGIN,
        OPENED,
        "7  1001.000000001 close(3<TCP:[55]>) = 0 <0.000000001>\n",
        OPENED.replace("1000.1", "1002.1").replace("55", "56"),
    ]
    cookies = [call.socket.cookie for call in decode(trace, "client").calls if call.socket]
    assert cookies[0] == cookies[1] != cookies[2]


def test_what_cannot_be_read_is_said() -> None:
    """A line of nonsense makes the observation incomplete and the other calls stay."""
    seen = decode([BEGIN, OPENED, "nonsense\n"], "client")
    assert len(seen.calls) == 1
    assert seen.problems == ("1 lines of strace cannot be read, the first: nonsense",)


def test_an_empty_trace_is_blind() -> None:
    """Nothing seen is not the same as no call made."""
    assert decode([], "client").blind


def test_an_exec_closes_what_is_close_on_exec() -> None:
    """In the child of a fork too, whose own marks do not concern its parent; other execs are nobody's business."""
    lines = [
        BEGIN,
        "7  1000.100000000 socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_IP) = 3<TCP:[55]> <0.000000010>\n",
        "7  1000.200000000 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 4<TCP:[56]> <0.000000010>\n",
        "7  1000.300000000 vfork() = 8 <0.000000010>\n",
        "8  1000.400000000 fcntl(4<TCP:[56]>, F_SETFD, FD_CLOEXEC) = 0 <0.000000010>\n",
        "8  1000.500000000 ioctl(3<TCP:[55]>, FIONCLEX) = 0 <0.000000010>\n",
        '8  1000.600000000 execve("\\x2f\\x79", ["\\x79"], 0x7f /* 1 var */) = 0 <0.000000001>\n',
        '7  1000.700000000 execve("\\x2f\\x7a", ["\\x7a"], 0x7f /* 1 var */) = 0 <0.000000001>\n',
    ]
    execs = [call for call in decode(lines, "client").calls if call.name == "execve"]
    assert [(call.pid, call.args) for call in execs] == [
        (8, {"program": "/y", "closed": [4]}),
        (7, {"program": "/z", "closed": [3]}),
    ]
