"""Calls from a trace's events, made up one by one: descriptors, sockets, processes, bytes."""

from __future__ import annotations

from testbed.model import Endpoint
from testbed.observe.trace.running_process import HeldSocket, RunningProcess
from testbed.observe.trace.trace_events import Deferred, Submitted
from tests.builders.traced import CLIENT, ROOT, SERVER, TCP, UDP, Trace, told

CLOEXEC = 0o2000000
CHILD = 1001


def test_bytes_go_through_the_socket_that_the_kernel_names() -> None:
    """A send, a read through stdio, and a look that takes nothing; no content, so no digest."""
    trace = Trace().connect(3, 0xA, 40000)
    trace.enter("sendto", 3, 0, 6, 0, 0, 0).moved(6, out=True, sk=0xA).leave("sendto", 6)
    trace.enter("recvfrom", 3, 0, 9, 2, 0, 0).moved(4, out=False, sk=0xA, flags=2).leave("recvfrom", 4)
    trace.enter("read", 3, 0, 4096).moved(4, out=False, sk=0xA).leave("read", 4)
    _, connect, send, peek, read = trace.calls()
    assert connect.args["address"] == f"{SERVER}:80"
    assert connect.socket is not None
    assert (connect.socket.local, connect.socket.peer) == (Endpoint(CLIENT, 40000), Endpoint(SERVER, 80))
    assert (send.name, send.direction, send.length, send.digest) == ("send", "out", 6, None)
    assert (peek.name, peek.direction, peek.length) == ("recv", "in", 0)
    assert (read.name, read.direction, read.length, read.args) == ("read", "in", 4, {"size": 4096})
    assert (read.pid, read.tid) == (7, 7)


def test_files_and_other_sockets_are_left_out() -> None:
    trace = (
        Trace().call("read", 0, 0, 100, result=100).call("socket", 1, 1, 0, result=3).call("write", 3, 0, 5, result=5)
    )
    assert trace.calls() == ()


def test_a_descriptor_that_was_closed_unseen_is_no_socket_any_more() -> None:
    """What is read from it did not go through a socket, and is not counted."""
    trace = Trace().connect(3, 0xA, 40000).call("read", 3, 0, 100, result=100).call("close", 3)
    assert list(told(trace.calls())) == ["7 socket(3) = 3", "7 connect(3) = 0"]


def test_a_failed_call_has_its_error_and_one_begun_again_is_one() -> None:
    trace = Trace().call("socket", *TCP, result=3)
    trace.enter("connect", 3, 1, 16).changed(0xA, 7, 2, 0, 80).leave("connect", -512)
    trace.enter("connect", 3, 1, 16).changed(0xA, 2, 7, 40000, 80, aside=True).leave("connect", -111)
    assert list(told(trace.calls())) == ["7 socket(3) = 3", "7 connect(3) = ECONNREFUSED"]
    trace.enter("recvfrom", 3, 0, 9, 0, 0, 0).leave("recvfrom", -512).call("shutdown", 3, 1)
    assert list(told(trace.calls()))[2:] == ["7 recv(3) = EINTR", "7 shutdown(3) = 0"]


def test_a_child_keeps_its_parents_sockets_until_it_ends_or_executes() -> None:
    """Of two sockets the exec of the child closes that with SOCK_CLOEXEC; its end gives the other up."""
    trace = Trace().connect(3, 0xA, 40000).connect(4, 0xB, 40001, flags=CLOEXEC)
    trace.enter("vfork").made(CHILD, 0x4100).enter("execve", 0, 0, 0, task=CHILD).became("sleep", task=CHILD)
    trace.leave("execve", 0, task=CHILD).leave("vfork", 8).call("close", 3).enter("exit_group", 5, task=CHILD)
    trace.ended(task=CHILD)
    calls = trace.calls()
    assert list(told(calls))[4:] == ["7 fork() = 8", "8 execve() = 0", "7 close(3) = 0", "8 exit() = 0"]
    assert calls[5].args == {"program": "sleep", "closed": [4]}
    assert calls[7].args == {"status": 5}


def test_a_killed_process_ends_without_a_status() -> None:
    """The call that it died in never returned."""
    trace = Trace().connect(3, 0xA, 40000).enter("read", 3, 0, 10).ended()
    read, end = trace.calls()[2:]
    assert (read.name, read.end, read.direction) == ("read", None, "in")
    assert (end.name, end.args) == ("exit", {"killed": True})


def test_threads_share_descriptors_and_have_their_own_numbers() -> None:
    trace = Trace().connect(3, 0xA, 40000)
    trace.enter("clone3", 0, 88).made(CHILD, 0x10F00).leave("clone3", 9)
    trace.enter("write", 3, 0, 2, task=CHILD).moved(2, out=True, sk=0xA, task=CHILD).leave("write", 2, task=CHILD)
    trace.ended(task=CHILD)
    calls = trace.calls()
    assert [(call.name, call.pid, call.tid) for call in calls[2:]] == [("write", 7, 9)]


def test_an_accepted_socket_is_told_by_its_first_use_and_else_by_order() -> None:
    """Two connections wait; the second that is accepted is used, the first is closed at once."""
    trace = Trace().call("socket", *TCP, result=3).enter("listen", 3, 5).changed(0xA, 7, 10, 80, 0).leave("listen", 0)
    for sk, port in ((0xB, 5001), (0xC, 5002)):
        trace.changed(sk, 10, 3, 80, port, aside=True).changed(sk, 3, 1, 80, port, aside=True)
    trace.call("accept4", 3, 0, 0, CLOEXEC, result=4).call("close", 4).call("accept", 3, 0, 0, result=4)
    trace.enter("read", 4, 0, 9).moved(1, out=False, sk=0xC).leave("read", 1)
    calls = trace.calls()
    first, second = (call.args["accepted"] for call in calls if call.name.startswith("accept"))
    assert first["peer"] == f"{SERVER}:5001"
    assert second["peer"] == f"{SERVER}:5002"
    assert calls[-1].socket is not None
    assert calls[-1].socket.cookie == second["cookie"] != first["cookie"]
    assert calls[1].socket is not None
    assert calls[1].socket.local == Endpoint(CLIENT, 80)


def test_copies_stand_for_the_same_socket() -> None:
    """dup, fcntl, dup2 over a descriptor; dup2 of something else over the last one closes it."""
    trace = Trace().connect(3, 0xA, 40000).call("dup", 3, result=5).call("fcntl", 5, 1030, 10, result=10)
    trace.call("dup2", 10, 11, result=11).call("close", 3).call("dup2", 1, 11, result=11)
    calls = trace.calls()
    assert list(told(calls))[2:] == [
        "7 dup(3) = 5",
        "7 fcntl(5) = 10",
        "7 dup2(10) = 11",
        "7 close(3) = 0",
        "7 close(11) = 0",
    ]
    assert len({call.socket.cookie for call in calls if call.socket is not None}) == 1


def test_datagrams_have_the_addresses_of_their_route() -> None:
    """sendmmsg is one call for each message; the system call is what the C library makes of it, or syscall(2)."""
    trace = Trace().call("socket", *UDP, result=3)
    trace.enter("sendmmsg", 3, 0, 2, 0).routed(5353, 53).moved(20, out=True, sk=0xA, protocol="udp")
    trace.routed(5353, 54).moved(30, out=True, sk=0xA, protocol="udp").leave("sendmmsg", 2)
    _, one, two = trace.calls()
    assert (one.length, one.args["address"], one.args["message"]) == (20, f"{SERVER}:53", 0)
    assert (two.length, two.args["address"], two.args["message"]) == (30, f"{SERVER}:54", 1)
    assert two.socket is not None
    assert two.socket.local == Endpoint(CLIENT, 5353)


def test_what_io_uring_moves_is_a_call_of_its_own() -> None:
    """A request that is given to a worker is counted: its bytes are not seen."""
    trace = Trace().connect(3, 0xA, 40000).enter("io_uring_enter", 5, 1, 1, 0, 0, 0)
    trace.events.append(Submitted(trace.tick(), ROOT, 0x77, "SEND"))
    trace.moved(5, out=True, sk=0xA)
    trace.events.append(Deferred(trace.tick(), ROOT))
    trace.leave("io_uring_enter", 1)
    assert [(call.name, call.fd, call.length) for call in trace.calls()[2:]] == [("io_uring_send", 3, 5)]
    assert trace.decoded().deferred == 1


def test_another_tasks_events_are_not_ours() -> None:
    trace = Trace().call("socket", *TCP, result=3, task=55).moved(5, out=True, sk=0xA, task=55)
    assert trace.calls() == ()


def test_processes_that_ran_before_keep_the_sockets_they_had() -> None:
    """Two share a listener; a thread's call is its process's; descriptors stand for what they stood for."""
    listener = HeldSocket(71, "tcp", Endpoint(CLIENT, 80))
    open_one = HeldSocket(72, "tcp", Endpoint(CLIENT, 80), Endpoint(SERVER, 5000))
    running = (
        RunningProcess(ROOT, 1, "nginx", {ROOT: 1}, {6: (listener, False)}),
        RunningProcess(2000, 8, "nginx", {2000: 8, 2001: 9}, {6: (listener, False), 9: (open_one, True)}),
    )
    trace = Trace()
    trace.enter("recvfrom", 9, 0, 9, 0, 0, 0, task=2001).moved(4, out=False, sk=0xB, task=2001)
    trace.leave("recvfrom", 4, task=2001)
    trace.call("accept4", 6, 0, 0, 0, result=11, task=ROOT)
    trace.call("close", 9, task=2000)
    recv, accept, close = trace.decoded(running).calls
    assert (recv.program, recv.pid, recv.tid, recv.length) == ("nginx", 8, 9, 4)
    assert recv.socket is not None
    assert (recv.socket.local, recv.socket.peer) == (Endpoint(CLIENT, 80), Endpoint(SERVER, 5000))
    assert (accept.pid, accept.args["accepted"]["fd"]) == (1, 11)
    assert accept.socket is not None
    assert accept.socket.local == Endpoint(CLIENT, 80)
    assert close.socket is not None
    assert close.socket.cookie == recv.socket.cookie


def test_memory_that_was_an_accepted_connections_is_a_connecting_sockets_next() -> None:
    """The kernel uses it again: what it stood for says nothing of the new one."""
    trace = Trace()
    trace.changed(0xA, 10, 3, 80, 5000, aside=True).changed(0xA, 3, 1, 80, 5000, aside=True)
    made, connect = trace.connect(3, 0xA, 40000).calls()
    for call in (made, connect):
        assert call.socket is not None
        assert call.socket.local == Endpoint(CLIENT, 40000)
