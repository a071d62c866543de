"""Who sent the FIN: the last holder of the socket, in whatever process."""

from __future__ import annotations

from typing import Any

from tests.builders.exchange import Exchange, OpenCall, Tcp

from .caused import evidence, no_packet, rules

CHILD = 200


def connected() -> tuple[Exchange, Tcp]:
    """A connection on which all was sent and acknowledged."""
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"a")
    tcp("client P.", b"a")
    tcp("server .")
    return run, tcp


def begins(run: Exchange, tcp: Tcp, *fds: int, **given: Any) -> OpenCall:
    """A process image that began with the client's socket under these descriptors."""
    holds = [{"fd": fd, "cookie": tcp.cookie["client"]} for fd in fds]
    return run.call("client", "execve", fd=-1, pid=CHILD, args={"program": "/bin/sleep", "holds": holds}, **given)


def test_a_child_of_posix_spawn_holds_the_socket_until_it_ends() -> None:
    run, tcp = connected()
    begins(run, tcp, 3)
    close = tcp.client("close")
    run.pause(300)
    end = run.call("client", "exit", fd=-1, pid=CHILD, end=None)
    fin = tcp("client F.")
    found = run.analysis()
    assert rules(found)[fin] == "exit"
    assert evidence(found, fin) == f"process {CHILD} ended with the socket open (exit #{end.n})"
    assert no_packet(found, "client", close.n) == f"another descriptor of the socket was open until exit #{end.n}"


def test_the_close_may_come_before_the_child_is_seen() -> None:
    """The child logs what it holds only when its image starts."""
    run, tcp = connected()
    tcp.client("close")
    begins(run, tcp, 3)
    run.pause(300)
    end = run.call("client", "exit", fd=-1, pid=CHILD, end=None)
    fin = tcp("client F.")
    assert evidence(run.analysis(), fin) == f"process {CHILD} ended with the socket open (exit #{end.n})"


def test_a_child_that_was_killed_held_it() -> None:
    run, tcp = connected()
    begins(run, tcp, 3)
    tcp.client("close")
    run.pause(300)
    fin = tcp("client F.")
    found = evidence(run.analysis(), fin)
    assert found == f"no logged call closed the socket: process {CHILD} ended with it open"


def test_an_exec_closes_what_is_close_on_exec() -> None:
    run, tcp = connected()
    run.call("client", "fork", fd=-1, result=CHILD)
    tcp.client("close")
    run.pause(100)
    with begins(run, tcp) as exec_call:
        fin = tcp("client F.")
    found = run.analysis()
    assert rules(found)[fin] == "exit"
    assert evidence(found, fin) == f"execve #{exec_call.n} closed the last descriptor (close-on-exec)"


def test_a_tracer_names_the_descriptors_that_an_exec_closed() -> None:
    run, tcp = connected()
    run.call("client", "fork", fd=-1, result=CHILD)
    tcp.client("close")
    with run.call("client", "execve", fd=-1, pid=CHILD, args={"closed": [3]}) as exec_call:
        fin = tcp("client F.")
    assert evidence(run.analysis(), fin) == f"execve #{exec_call.n} closed the last descriptor (close-on-exec)"


def test_a_process_without_a_log_held_it() -> None:
    """All was acknowledged: the close would have sent the FIN before it returned."""
    run, tcp = connected()
    close = tcp.client("close")
    run.pause(300)
    fin = tcp("client F.")
    found = run.analysis()
    assert rules(found)[fin] == "exit"
    assert evidence(found, fin) == (
        f"close #{close.n} closed the last descriptor in a log; a process without one still held the socket"
    )


def test_a_fin_behind_bytes_that_wait_is_the_closes() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"abc")
    tcp("client P.", b"abc", lost=True)
    close = tcp.client("close")
    run.pause(300)
    fin = tcp("client F.")
    found = run.analysis()
    assert rules(found)[fin] == "fin"
    assert evidence(found, fin).startswith(f"close #{close.n} closed the last descriptor, ")
