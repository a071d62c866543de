"""The real probe, compiled here, in real programs on the loopback interface."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import xxhash

from testbed.observe.probe.probe_log import ProbeResult, decode

from .building import COMPOSE, make

if TYPE_CHECKING:
    from testbed.model import Call, SocketInfo

HERE = Path(__file__).parent / "programs"
STRICT = ("cc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror")


def has_header() -> bool:
    include = b"#include <xxhash.h>"
    return subprocess.run(["cc", "-E", "-x", "c", "-"], input=include, capture_output=True, check=False).returncode == 0


pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(bool(shutil.which("cc")) and not has_header(), reason="no xxhash.h (libxxhash-dev) here"),
]


class Probe:
    """The library, the compiled programs, and one directory of logs."""

    def __init__(self, build: Path, logs: Path) -> None:
        self.build = build
        self.logs = logs

    def env(self, directory: Path | None = None) -> dict[str, str]:
        library = str(self.build / "libprobe.so")
        return os.environ | {"LD_PRELOAD": library, "BOTHENDS_LOG_DIR": str(directory or self.logs)}

    def command(self, *argv: str) -> list[str]:
        """A program by its name here, or any other by path."""
        own = self.build / argv[0]
        return [str(own) if own.exists() else argv[0], *argv[1:]]

    def run(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*argv), env=self.env(), capture_output=True, text=True, check=check)

    def start(self, *argv: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        return subprocess.Popen(self.command(*argv), env=self.env(), stdin=pipe, stdout=pipe, text=True)

    def decode(self) -> ProbeResult:
        return decode({path.name: path.read_bytes() for path in self.logs.iterdir()}, "client")

    def complete(self) -> ProbeResult:
        result = self.decode()
        assert (result.lost, result.problems) == (0, ())
        return result


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("probe", numbered=True)
    folder.chmod(0o755)
    make(folder, f"{folder}/tools/libprobe.so", f"{folder}/probe/tests/digests")
    shutil.copyfile(folder / "tools" / "libprobe.so", folder / "libprobe.so")
    for name in ("probe_moves", "probe_same", "probe_hard"):
        subprocess.run([*STRICT, "-g", "-o", str(folder / name), str(HERE / f"{name}.c"), "-pthread"], check=True)
    fortified = ["-D_FORTIFY_SOURCE=2", "-o", str(folder / "probe_fortified"), str(HERE / "probe_moves.c")]
    subprocess.run([*STRICT, *fortified], check=True)
    return folder


@pytest.fixture
def probe(build: Path, tmp_path: Path) -> Probe:
    logs = tmp_path / "logs"
    logs.mkdir()
    logs.chmod(0o1777)
    return Probe(build, logs)


def sock(call: Call) -> SocketInfo:
    assert call.socket, call
    return call.socket


def named(calls: tuple[Call, ...], *names: str) -> list[Call]:
    return [call for call in calls if call.name in names]


PYTHON = """
import socket, threading
listener = socket.create_server(("127.0.0.1", 0))
def serve():
    peer, _ = listener.accept()
    while data := peer.recv(4096):
        peer.sendall(data)
    peer.close()
thread = threading.Thread(target=serve)
thread.start()
client = socket.create_connection(listener.getsockname())
client.sendall(b"hello")
got = client.recv(5, socket.MSG_WAITALL)
client.close()
thread.join()
listener.close()
print(got)
"""


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


def test_the_digest_is_the_same_by_every_set_of_instructions(build: Path) -> None:
    """Around the lengths at which XXH3 takes another way, in one buffer and in two."""
    program = build / "probe" / "tests" / "digests"
    for length in (2, 16, 17, 128, 129, 240, 241, 1023, 1025, 100_000):
        data = bytes(range(251)) * (length // 251 + 1)
        done = subprocess.run([str(program)], input=data[:length], capture_output=True, check=True)
        said = [line.split()[1:] for line in done.stdout.decode().splitlines()]
        assert len(said) >= 2
        assert {digest for digests in said for digest in digests} == {xxhash.xxh3_64_hexdigest(data[:length])}


def test_nothing_is_exported_but_the_functions_that_the_probe_stands_before(build: Path) -> None:
    """Any other name of ours could stand before one of the program's own."""
    if shutil.which("nm") is None:
        pytest.skip("no nm")
    words = ["nm", "-D", "--defined-only", str(build / "libprobe.so")]
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


def test_a_python_program_is_seen_in_its_threads(probe: Probe) -> None:
    assert probe.run(sys.executable, "-c", PYTHON).stdout == "b'hello'\n"
    result = probe.complete()
    out = b"".join(c.data for c in result.calls if c.direction == "out")
    taken = b"".join(c.data for c in result.calls if c.direction == "in")
    assert (out, taken) == (b"hellohello", b"hellohello")
    assert len({call.tid for call in result.calls}) == 2
    assert len({call.pid for call in result.calls}) == 1


def test_a_killed_process_leaves_its_log_and_the_call_in_which_it_hung(probe: Probe) -> None:
    script = """
import socket
listener = socket.create_server(("127.0.0.1", 0))
one = socket.create_connection(listener.getsockname())
two, _ = listener.accept()
one.sendall(b"x")
two.recv(1)
two.recv(5)
"""
    with probe.start(sys.executable, "-c", script) as process:
        while not any(c.args["size"] == 5 for c in named(probe.decode().calls, "recv")):
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    result = probe.complete()
    hung = result.calls[-1]
    assert (hung.name, hung.args["size"], hung.end, hung.length, hung.errno) == ("recv", 5, None, 0, None)
    assert [c.data for c in result.calls if c.direction] == [b"x", b"x", b""]
    assert result.processes[0].ended == "unknown"


def test_a_forked_child_has_a_log_of_its_own_and_exec_begins_another(probe: Probe) -> None:
    script = """
import os, socket, sys
a, b = socket.socketpair()
child = os.fork()
if child == 0:
    a.send(b"child")
    os.execv(sys.executable, [sys.executable, "-c", "import os; os._exit(3)"])
os.waitpid(child, 0)
b.recv(5)
"""
    probe.run(sys.executable, "-c", script)
    result = probe.complete()
    parent, child, image = sorted(result.processes, key=lambda process: process.start)
    assert (parent.ended, parent.status) == ("exit", 0)
    assert (child.parent, child.ended, child.end) == (parent.pid, "exec", image.start)
    assert (image.pid, image.ended, image.status) == (child.pid, "exit", 3)
    sent, received = named(result.calls, "send", "recv")
    assert (sent.pid, received.pid) == (child.pid, parent.pid)
    assert str(sent.caller).startswith("/"), "a child knows its parent's modules"
    assert named(result.calls, "fork")[0].result == child.pid


def test_threads_lose_no_record(probe: Probe) -> None:
    probe.run("probe_hard", "threads")
    result = probe.complete()
    sends = named(result.calls, "send")
    assert len(sends) == 16000
    per_thread = {tid: [c.data[0] for c in sends if c.tid == tid] for tid in {c.tid for c in sends}}
    assert list(per_thread.values()) == [[i % 256 for i in range(2000)]] * 8


def test_calls_of_a_signal_handler_in_the_middle_of_calls_are_logged(probe: Probe) -> None:
    alarms = int(probe.run("probe_hard", "handler").stdout)
    result = probe.complete()
    sends = named(result.calls, "send")
    assert sum(c.errno == "EBADF" for c in sends) == alarms
    assert sum(c.data == b"m" for c in sends) == len(named(result.calls, "recv")) >= 20000


def test_cancelling_a_thread_in_a_call_works_and_the_call_never_returned(probe: Probe) -> None:
    probe.run("probe_hard", "cancel")
    result = probe.complete()
    assert [c.end for c in named(result.calls, "recv")] == [None]
    assert named(result.calls, "send")[0].data == b"after"


def test_a_child_that_borrows_memory_leaves_its_parents_log_alone(probe: Probe) -> None:
    probe.run("probe_hard", "borrowed")
    result = probe.complete()
    parent = result.processes[0].pid
    sends = named(result.calls, "send")
    assert [(c.pid, c.data) for c in sends] == [(parent, b"parent")] * 2
    assert sock(sends[0]).cookie == sock(named(result.calls, "socketpair")[0]).cookie
    assert not named(result.calls, "close", "dup2")


def test_a_clone_that_runs_no_fork_handlers_has_its_log(probe: Probe) -> None:
    probe.run("probe_hard", "cloned")
    result = probe.complete()
    assert {(c.pid == result.processes[0].pid, c.data) for c in named(result.calls, "send")} == {
        (False, b"child"),
        (True, b"parent"),
    }


def test_a_full_log_counts_what_it_lost_and_the_program_goes_on(probe: Probe) -> None:
    """RLIMIT_FSIZE stands for a full disk; without care its signal would kill the program."""
    probe.run("probe_hard", "limited")
    result = probe.decode()
    kept = len(named(result.calls, "send", "recv"))
    assert result.lost > 0
    assert 100 < kept < 2000
    assert all(call.end is not None for call in result.calls)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root to become another user")
def test_a_program_that_gives_up_its_rights_is_still_logged(build: Path) -> None:
    """Its log goes on growing, and its child opens one. (pytest's own directories keep other users out.)"""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        logs = Path(folder) / "logs"
        logs.mkdir()
        logs.chmod(0o1777)
        probe = Probe(build, logs)
        probe.run("probe_hard", "nobody")
        result = probe.complete()
    assert [c.data for c in named(result.calls, "send")] == [b"x"] * 2000 + [b"child"]


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


@pytest.mark.parametrize("program", ["nc", "curl"])
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
        argv = ["nc", "127.0.0.1", port] if program == "nc" else ["curl", "-s", f"http://127.0.0.1:{port}/"]
        done = subprocess.run(argv, env=probe.env(), input="GET /\r\n\r\n", capture_output=True, text=True, check=True)
    assert done.stdout.endswith("hello")
    calls = [c for c in probe.complete().calls if c.socket and c.socket.protocol == "tcp"]
    assert b"".join(c.data for c in calls if c.direction == "out").startswith(b"GET /")
    assert b"".join(c.data for c in calls if c.direction == "in").endswith(b"hello")
    assert {c.args["address"] for c in calls if c.name == "connect"} == {f"127.0.0.1:{port}"}
