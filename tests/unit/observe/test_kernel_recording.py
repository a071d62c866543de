"""The ring buffer's pages and the recorder's frames, made up byte by byte, and kernel.jsonl."""

from __future__ import annotations

import io
import socket
import struct
from pathlib import Path

import pytest

from testbed.lab.kernel_trace import instance_name, is_owner_alive, run_of
from testbed.model import Host
from testbed.model.errors import CaptureError
from testbed.observe.kernel.kernel_jsonl import read_jsonl, write_jsonl
from testbed.observe.kernel.trace_format import PageHeader, parse_format
from testbed.observe.kernel.trace_recording import RunSources, decode

HEADER = """\
\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;
\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;
\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;
\tfield: char data;\toffset:16;\tsize:4080;\tsigned:0;
"""
STATE = """\
name: inet_sock_set_state
ID: 2287
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;

\tfield:const void * skaddr;\toffset:8;\tsize:8;\tsigned:0;
\tfield:int oldstate;\toffset:16;\tsize:4;\tsigned:1;
\tfield:int newstate;\toffset:20;\tsize:4;\tsigned:1;
\tfield:__u16 sport;\toffset:24;\tsize:2;\tsigned:0;
\tfield:__u16 dport;\toffset:26;\tsize:2;\tsigned:0;
\tfield:__u16 family;\toffset:28;\tsize:2;\tsigned:0;
\tfield:__u16 protocol;\toffset:30;\tsize:2;\tsigned:0;
\tfield:__u8 saddr[4];\toffset:32;\tsize:4;\tsigned:0;
\tfield:__u8 daddr[4];\toffset:36;\tsize:4;\tsigned:0;
\tfield:__u8 saddr_v6[16];\toffset:40;\tsize:16;\tsigned:0;
\tfield:__u8 daddr_v6[16];\toffset:56;\tsize:16;\tsigned:0;

print fmt: "%s", __print_symbolic(REC->protocol, { 6, "IPPROTO_TCP" }, { 132, "IPPROTO_SCTP" })
"""
WALL, MONO, WIDTH = 1_700_000_000_000_000_000, 5_000_000_000, 40

TIMER = """\
name: timer_expire_entry
ID: 400
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;

\tfield:void * timer;\toffset:8;\tsize:8;\tsigned:0;
\tfield:unsigned long now;\toffset:16;\tsize:8;\tsigned:0;
\tfield:void * function;\toffset:24;\tsize:8;\tsigned:0;
"""
WRITES, ACKS = 0x10_0000, 0x20_0000


def record(old: int, new: int, *, port: int, source: str = "198.18.0.2") -> bytes:
    """Return a change of state of the socket at 0xffff0001."""
    ends = struct.pack("<HHHH", port, 10011, socket.AF_INET, 6) + socket.inet_aton(source)
    ends += socket.inet_aton("198.18.0.3") + bytes(32)
    return struct.pack("<HBBiQii", 2287, 0x10, 0, 0, 0xFFFF0001, old, new) + ends


def event(delta: int, body: bytes) -> bytes:
    """Return an entry of the ring buffer; its length stands in the header (RINGBUF_TYPE_DATA)."""
    return struct.pack("<I", delta << 5 | len(body) // 4) + body


def page(time: int, entries: bytes, flags: int = 0) -> bytes:
    return struct.pack("<QQ", time, len(entries) | flags) + entries + bytes(4080 - len(entries))


def frame(kind: bytes, payload: bytes) -> bytes:
    return kind + struct.pack(">I", len(payload)) + payload


def recording(path: Path, *pages: bytes, end: bool = True, overrun: int = 0) -> Path:
    """Write what the recorder writes."""
    clock = frame(b"C", struct.pack(">3Q", WALL - WIDTH // 2, MONO, WIDTH))
    text = frame(b"H", HEADER.encode()) + frame(b"F", b"sock/inet_sock_set_state\0" + STATE.encode())
    text += frame(b"M", b"tcp/tcp_probe") + clock + frame(b"R", b"")
    text += b"".join(frame(b"P", struct.pack(">I", 0) + each) for each in pages) + clock
    text += frame(b"S", struct.pack(">I", 0) + f"entries: 2\noverrun: {overrun}\ndropped events: 0\n".encode())
    path.write_bytes(text + (frame(b"E", b"") if end else b""))
    return path


def test_the_format_file_says_where_fields_are() -> None:
    made = parse_format(STATE)
    assert (made.name, made.id, made.fields["newstate"].offset) == ("inet_sock_set_state", 2287, 20)
    assert made.symbols == {"protocol": {6: "IPPROTO_TCP", 132: "IPPROTO_SCTP"}}
    with pytest.raises(ValueError, match="no format file"):
        parse_format("nothing")


def test_every_kind_of_entry_of_a_page() -> None:
    """Data of both lengths, a time extension, an absolute time, padding inside and at the end."""
    entries = event(5, b"abcd")
    entries += struct.pack("<III", 7 << 5, 12, 0) + b"12345678"[:4]  # length in the next word, itself included
    entries += struct.pack("<II", 3 << 5 | 30, 2) + event(1, b"efgh")
    entries += struct.pack("<II", 9 << 5 | 31, 1) + event(0, b"ijkl")
    entries += struct.pack("<II", 1 << 5 | 29, 4) + event(2, b"mnop") + struct.pack("<I", 29) + b"rubbish."
    found = [(time, bytes(body)) for time, body in PageHeader.parse(HEADER).records(page(1000, entries))]
    base = 1012 + 3 + (2 << 27) + 1
    assert found == [
        (1005, b"abcd"),
        (1012, bytes(4) + b"1234"),
        (base, b"efgh"),
        ((1 << 27) + 9, b"ijkl"),
        ((1 << 27) + 11, b"mnop"),
    ]


def test_only_the_labs_addresses_are_kept_on_the_captures_clock(tmp_path: Path) -> None:
    """A socket's port from before the kernel chose one is that of its next event; strangers are left out."""
    entries = event(100, record(7, 2, port=0)) + event(50, record(2, 1, port=40000))
    entries += event(1, record(7, 2, port=0, source="10.0.0.1"))
    log = decode(recording(tmp_path / "recording", page(MONO, entries)), {"client": ["198.18.0.2"], "server": []})
    assert log.complete
    assert log.missing == ("tcp/tcp_probe",)
    assert log.clock_error == WIDTH // 2
    assert [(event.time - WALL, str(event.local), event.host, event.interrupt) for event in log.events] == [
        (100, "198.18.0.2:40000", "client", True),
        (150, "198.18.0.2:40000", "client", True),
    ]
    assert [event.fields["newstate"] for event in log.events] == ["SYN_SENT", "ESTABLISHED"]
    assert {event.sk for event in log.events} == {1}
    text = io.StringIO()
    write_jsonl(log, text)
    assert read_jsonl(text.getvalue().splitlines()) == log


def expired(now: int, function: int) -> bytes:
    """Return the end of a timer in the memory of the socket at 0xffff0001."""
    return struct.pack("<HBB4xQQQ", 400, 0x10, 0, 0xFFFF0101, now, function)


def test_a_timer_has_its_functions_name_from_any_of_its_events(tmp_path: Path) -> None:
    """One line of text names a function for all its events; what no line names, this machine's symbols do."""
    entries = event(100, record(7, 2, port=40000))
    entries += b"".join(event(1, expired(*each)) for each in ((7, WRITES), (8, ACKS), (9, WRITES)))
    path = recording(tmp_path / "recording", page(MONO, entries))
    line = (
        b"<idle>-0 [000] ..s1. 5.0: timer_expire_entry: timer=00000000ffff0101 function=tcp_write_timer now=9 baseclk=9"
    )
    path.write_bytes(
        frame(b"F", b"timer/timer_expire_entry\0" + TIMER.encode()) + frame(b"L", line) + path.read_bytes()
    )
    symbols = f"{WRITES:x} t tcp_write_timer\n{ACKS:x} t tcp_delack_timer\n"
    hosts: dict[Host, list[str]] = {"client": ["198.18.0.2"], "server": []}
    log = decode(path, hosts, sources=RunSources(symbols=lambda: symbols))
    assert [timer.function for timer in log.timers] == ["tcp_write_timer", "tcp_delack_timer", "tcp_write_timer"]
    unknown = decode(path, hosts)
    assert [timer.function for timer in unknown.timers] == ["tcp_write_timer", hex(ACKS), "tcp_write_timer"]


@pytest.mark.parametrize(
    ("overrun", "flags", "end", "problem"),
    [
        (3, 0, True, "the kernel's buffer was too small: 3 events were lost"),
        (0, 1 << 31, True, "the kernel's buffer was too small: some events were lost"),
        (0, 0, False, "the witness's record has no end"),
    ],
)
def test_lost_events_make_it_incomplete(tmp_path: Path, overrun: int, flags: int, end: bool, problem: str) -> None:
    whole = page(MONO, event(1, record(7, 2, port=1)), flags)
    log = decode(recording(tmp_path / "r", whole, end=end, overrun=overrun), {"client": [], "server": []})
    assert log.problems == (problem,)
    assert not log.complete


def test_a_record_that_is_none_is_told(tmp_path: Path) -> None:
    path = tmp_path / "recording"
    path.write_bytes(frame(b"E", b""))
    with pytest.raises(CaptureError, match="the witness's record cannot be read"):
        decode(path, {"client": [], "server": []})
    with pytest.raises(CaptureError, match="has not the format"):
        read_jsonl(['{"format": "other"}'])


def test_an_instance_names_its_owner() -> None:
    """`invoke clean` must know whose an instance of tracefs is."""
    mine = instance_name("0123abcd")
    assert run_of(mine) == "0123abcd"
    assert is_owner_alive(mine) is True
    assert is_owner_alive(f"{mine}.stacks") is True
    head, _, start = mine.rpartition(".")
    assert is_owner_alive(f"{head}.{int(start) + 1}") is False
    assert is_owner_alive("bothends-01234567-other-boot.1.2") is None
