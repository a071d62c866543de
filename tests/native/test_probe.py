"""What the real probe logs: calls, bytes, digests, sockets, callers; and that a program does not notice it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import xxhash

from .building import COMPOSE
from .probing import HERE, NEEDS_PROBE, Probe, named, sock

pytestmark = NEEDS_PROBE


@pytest.mark.parametrize("program", ["probe_moves", "probe_fortified"])
def test_each_way_to_move_bytes_is_logged_with_its_bytes_and_digest(probe: Probe, program: str) -> None:
    probe.run(program)
    result = probe.complete()
    moves = [(c.name, c.direction, c.length, c.data) for c in result.calls if c.direction and c.socket]
    assert moves == [
        ("send", "out", 4, b"send"),
        ("recv", "in", 0, b""),
        ("recv", "in", 4, b"send"),
        ("sendto", "out", 6, b"sendto"),
        ("recvfrom", "in", 6, b"sendto"),
        ("write", "out", 5, b"write"),
        ("read", "in", 5, b"write"),
        ("writev", "out", 4, b"abcd"),
        ("readv", "in", 4, b"abcd"),
        ("sendmsg", "out", 4, b"abcd"),
        ("recvmsg", "in", 4, b"abcd"),
        ("send", "out", 7, b"dropped"),
        ("recv", "in", 7, b""),
        ("sendfile", "out", 8, b""),
        ("recv", "in", 8, b"sendfile"),
        ("splice", "out", 6, b""),
        ("splice", "in", 6, b""),
        ("recv", "in", 0, b""),
        ("sendto", "out", 8, b"datagram"),
        ("recvfrom", "in", 4, b"data"),
        ("sendmmsg", "out", 3, b"one"),
        ("sendmmsg", "out", 5, b"three"),
        ("recvmmsg", "in", 3, b"one"),
        ("recvmmsg", "in", 5, b"three"),
    ]
    for call in result.calls:
        assert call.digest == (xxhash.xxh3_64_hexdigest(call.data) if call.data else None), call
        assert call.end is not None or call.name == "exit"


_PACKET_INFO = """
import socket, sys
IP_PKTINFO, IPV6_RECVPKTINFO = 8, 49
family, level, option, address = {
    "ipv4": (socket.AF_INET, socket.IPPROTO_IP, IP_PKTINFO, "127.0.0.2"),
    "mapped": (socket.AF_INET6, socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, "::ffff:127.0.0.2"),
    "ipv6": (socket.AF_INET6, socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, "::1"),
}[sys.argv[1]]
server, client = (socket.socket(family, socket.SOCK_DGRAM) for _ in range(2))
server.bind(("", 0))
client.sendto(b"first", (address, server.getsockname()[1]))
server.recvmsg(9, 200)
server.setsockopt(level, option, 1)
client.sendto(b"second", (address, server.getsockname()[1]))
_, control, _, peer = server.recvmsg(9, 200)
server.sendmsg([b"answer"], control, 0, peer)
"""


@pytest.mark.parametrize(("kind", "address"), [("ipv4", "127.0.0.2"), ("mapped", "127.0.0.2"), ("ipv6", "::1")])
def test_to_which_address_a_message_came_and_from_which_one_it_leaves(probe: Probe, kind: str, address: str) -> None:
    """Where a control message says so, as packets bear it; the index of the loopback interface is 1."""
    probe.run(sys.executable, "-c", _PACKET_INFO, kind)
    calls = [call for call in probe.complete().calls if call.name in ("recvmsg", "sendmsg") and call.socket]
    told = {"address": address, "interface": 1}
    assert [(call.length, call.args.get("pktinfo")) for call in calls] == [(5, None), (6, told), (6, told)]


_WITHIN_A_HOST = """
import socket, sys
family, address = {"ipv4": (socket.AF_INET, "127.0.0.1"), "ipv6": (socket.AF_INET6, "::1")}.get(sys.argv[1], (0, ""))
if family:
    listener = socket.create_server((address, 0), family=family)
    one = socket.create_connection(listener.getsockname()[:2])
    other, _ = listener.accept()
else:
    one, other = socket.socketpair()
for size in (4096, 4097):
    one.sendall(bytes(size))
    other.recv(size, socket.MSG_WAITALL)
"""


@pytest.mark.parametrize("kind", ["ipv4", "ipv6", "unix"])
def test_large_moves_within_a_host_have_no_digest(probe: Probe, kind: str) -> None:
    """No capture sees them; their length and first bytes are in the log, and a digest of what is small."""
    probe.run(sys.executable, "-c", _WITHIN_A_HOST, kind)
    moves = [call for call in probe.complete().calls if call.direction and call.length]
    assert [(call.direction, call.length) for call in moves] == [
        ("out", 4096),
        ("in", 4096),
        ("out", 4097),
        ("in", 4097),
    ]
    assert [call.digest for call in moves] == 2 * [xxhash.xxh3_64_hexdigest(bytes(4096))] + [None, None]
    assert all(call.data == bytes(64) for call in moves)


def test_the_digest_is_the_same_by_every_set_of_instructions(probe_build: Path) -> None:
    """Around the lengths at which XXH3 takes another way, in one buffer and in two."""
    program = probe_build / "probe" / "tests" / "digests"
    for length in (2, 16, 17, 128, 129, 240, 241, 1023, 1025, 100_000):
        data = bytes(range(251)) * (length // 251 + 1)
        done = subprocess.run([str(program)], input=data[:length], capture_output=True, check=True)
        said = [line.split()[1:] for line in done.stdout.decode().splitlines()]
        assert len(said) >= 2
        assert {digest for digests in said for digest in digests} == {xxhash.xxh3_64_hexdigest(data[:length])}


def test_nothing_is_exported_but_the_functions_that_the_probe_stands_before(probe_build: Path) -> None:
    """Any other name of ours could stand before one of the program's own."""
    if shutil.which("nm") is None:
        pytest.skip("no nm")
    words = ["nm", "-D", "--defined-only", str(probe_build / "libprobe.so")]
    lines = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    table = (COMPOSE / "probe" / "next.h").read_text(encoding="utf-8").partition("#define EVERY_FUNCTION")[2]
    listed = re.findall(r"\bX\((\w+)\)", table.partition("\n\n")[0])
    assert sorted(line.split()[-1] for line in lines) == sorted(listed)


def test_arguments_are_symbolic_and_sockets_carry_their_addresses(probe: Probe) -> None:
    probe.run("probe_moves")
    calls = probe.complete().calls
    assert [call.n for call in calls] == list(range(len(calls)))
    assert [call.start for call in calls] == sorted(call.start for call in calls)
    create, bind, listen, _, create_out, connect, accept = calls[:7]
    assert create.args == {"domain": "AF_INET", "type": "SOCK_STREAM", "protocol": "0"}
    assert listen.args == {"backlog": 1}
    assert bind.args == {"address": "127.0.0.1:0"}
    assert sock(create).local is None
    assert sock(bind).cookie == sock(create).cookie
    assert str(sock(bind).local) == connect.args["address"]
    assert sock(create_out).cookie == sock(connect).cookie
    assert sock(connect).peer == sock(bind).local
    assert accept.args["accepted"]["peer"] == str(sock(connect).local)
    assert accept.args["accepted"]["local"] == str(sock(bind).local)
    peek, received = named(calls, "recv")[:2]
    assert peek.args == {"size": 2, "flags": "MSG_PEEK", "peeked": 2}
    assert sock(received).cookie == accept.args["accepted"]["cookie"]
    assert named(calls, "shutdown")[0].args == {"how": "SHUT_WR"}
    assert named(calls, "writev")[0].args == {"size": 4, "parts": 2}
    exit_call = calls[-1]
    assert (exit_call.name, exit_call.args, exit_call.end) == ("exit", {"status": 0}, None)


def test_datagrams_know_the_port_that_the_first_send_chose_and_a_cut_one_its_length(probe: Probe) -> None:
    probe.run("probe_moves")
    calls = probe.complete().calls
    sent = named(calls, "sendto")[1]
    cut = named(calls, "recvfrom")[1]
    local = sock(sent).local
    assert local
    assert sock(sent).protocol == "udp"
    assert cut.args["datagram"] == 8
    assert cut.args["flags"] == "MSG_TRUNC"
    assert cut.args["address"] == f"127.0.0.1:{local.port}"
    assert str(sock(cut).local) == sent.args["address"]
    second = named(calls, "sendmmsg")[1]
    assert (second.args["message"], second.args["messages"], second.result) == (1, 2, 2)


def test_the_caller_is_the_line_that_made_the_call(probe: Probe) -> None:
    if shutil.which("addr2line") is None:
        pytest.skip("no addr2line")
    probe.run("probe_moves")
    call = named(probe.complete().calls, "send")[0]
    assert call.caller
    module, _, offset = call.caller.rpartition("+")
    before = hex(int(offset, 16) - 1)  # the return address follows the call
    line = subprocess.run(["addr2line", "-e", module, before], capture_output=True, text=True, check=True).stdout
    number = int(line.rpartition(":")[2].split()[0])
    assert "the caller test looks for this line" in (HERE / "probe_moves.c").read_text().splitlines()[number - 1]


def test_a_program_cannot_tell_that_the_probe_is_there(probe: Probe) -> None:
    """Descriptor numbers, results and errno of good and bad calls are the same with and without it."""
    plain = subprocess.run(probe.command("probe_same"), capture_output=True, text=True, check=False)
    probed = probe.run("probe_same", check=False)
    assert plain.stdout.count("\n") > 70
    assert (probed.stdout, probed.stderr, probed.returncode) == (plain.stdout, plain.stderr, plain.returncode)
    assert len(probe.complete().calls) > 60


@pytest.mark.parametrize("directory", ["missing", "relative"])
def test_without_a_usable_directory_the_program_runs_unlogged_and_silent(probe: Probe, directory: str) -> None:
    where = Path("logs") if directory == "relative" else probe.logs / "missing"
    done = subprocess.run(
        probe.command("probe_moves"),
        env=probe.env() | {"BOTHENDS_LOG_DIR": str(where)},
        cwd=probe.logs.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not list(probe.logs.iterdir())


def test_a_full_log_counts_what_it_lost_and_the_program_goes_on(probe: Probe) -> None:
    """RLIMIT_FSIZE stands for a full disk; without care its signal would kill the program."""
    probe.run("probe_hard", "limited")
    result = probe.decode()
    kept = len(named(result.calls, "send", "recv"))
    assert result.lost > 0
    assert 100 < kept < 2000
    assert all(call.end is not None for call in result.calls)


def test_reused_passed_copied_and_replaced_descriptors_are_told_apart(probe: Probe) -> None:
    probe.run("probe_hard", "numbers")
    calls = probe.complete().calls
    first, second = (sock(call) for call in named(calls, "socketpair"))
    assert {c.data: sock(c).cookie for c in named(calls, "write")} == {
        b"passed": first.cookie,
        b"copied": first.cookie,
        b"other": second.cookie,
    }
    assert named(calls, "dup2")[1].args == {"to": 40, "closed": first.cookie}
    closes = named(calls, "fclose", "close_range", "close")
    assert [c.name for c in closes] == ["fclose", "close_range", "close"]
    assert closes[1].socket == second
    assert closes[1].args == {"first": 40, "last": 50}


def test_the_log_of_a_short_program_is_small(probe: Probe) -> None:
    probe.run("probe_moves")
    assert [path.stat().st_size for path in probe.logs.iterdir()] == [64 * 1024]


PERL = r"""
use IO::Socket::INET;
my $peer = IO::Socket::INET->new("127.0.0.1:$ARGV[0]") or die;
print $peer "GET /\r\n\r\n";
$peer->flush;
print while <$peer>;
"""


@pytest.mark.parametrize("program", ["perl", "curl"])
def test_stock_programs_are_seen(probe: Probe, program: str) -> None:
    """Against a Python server without the probe: all bytes of the exchange are in the log."""
    if shutil.which(program) is None:
        pytest.skip(f"no {program} on this machine")
    server = """
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
peer, _ = listener.accept()
peer.recv(65536)
peer.sendall(b"HTTP/1.0 200 OK\\r\\nContent-Length: 5\\r\\n\\r\\nhello")
peer.close()
"""
    with subprocess.Popen([sys.executable, "-c", server], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        port = process.stdout.readline().strip()
        argv = ["perl", "-e", PERL, port] if program == "perl" else ["curl", "-s", f"http://127.0.0.1:{port}/"]
        done = subprocess.run(argv, env=probe.env(), capture_output=True, text=True, check=True)
    assert done.stdout.endswith("hello")
    calls = [c for c in probe.complete().calls if c.socket and c.socket.protocol == "tcp"]
    assert b"".join(c.data for c in calls if c.direction == "out").startswith(b"GET /")
    assert b"".join(c.data for c in calls if c.direction == "in").endswith(b"hello")
    assert {c.args["address"] for c in calls if c.name == "connect"} == {f"127.0.0.1:{port}"}


def test_a_program_that_limits_its_address_space_gets_what_it_left_itself(probe: Probe) -> None:
    """The room that the log could grow into is given back first: vsftpd failed for want of it."""
    program = (
        "import resource, socket\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * 4096 - (256 << 20)\n"
        "limit = used + (96 << 20)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
        "held = bytearray(48 << 20)\n"
        "a, b = socket.socketpair(); a.send(b'x'); b.recv(1)\n"
        "import os\n"
        "pid = os.fork()\n"
        "c, d = socket.socketpair(); c.send(b'y'); d.recv(1)\n"
        "pid and os._exit(os.waitpid(pid, 0)[1] != 0)\n"
    )
    probe.run(sys.executable, "-c", program)
    assert len(named(probe.complete().calls, "send")) == 3
