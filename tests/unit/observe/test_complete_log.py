"""An observer's log beside the kernel's trace: what is added, what is kept, what contradicts."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from testbed.model import Call, Endpoint, SocketInfo
from testbed.observe.trace.complete_log import SLACK, complete_log

ENDS = Endpoint("198.18.0.2", 40000), Endpoint("198.18.0.3", 80)
LOGGED, TRACED = SocketInfo(77, "tcp", *ENDS), SocketInfo(1, "tcp")


def call(
    name: str, start: int, length: int = 0, *, fd: int = 3, tid: int = 7, socket: SocketInfo | None = LOGGED
) -> Call:
    """Return a call of 10 us; one with bytes has a digest if it is the log's."""
    ways: dict[str, Literal["out", "in"]] = {"send": "out", "write": "out", "recv": "in", "read": "in"}
    digest = "00" if length and socket is LOGGED else None
    end = start + 10_000
    return Call(
        0, "client", 7, tid, "p", name, fd, {}, start, end, length, None, socket, ways.get(name), length, digest=digest
    )


def traced(name: str, start: int, length: int = 0, *, fd: int = 3, tid: int = 7) -> Call:
    """Return what the kernel saw of a call that a log has at ``start``: within it."""
    made = call(name, start + 2_000, length, fd=fd, tid=tid, socket=TRACED)
    return replace(made, end=made.start + 1_000)


def test_the_logs_calls_are_kept_and_what_it_lacks_is_added() -> None:
    """A read that the log missed lies between two sends; its socket is the log's, with its addresses."""
    logged = [call("connect", 0), call("send", 20_000, 5), call("sendto", 60_000)]
    kernel = [traced("connect", 0), traced("send", 20_000, 5), traced("read", 40_000, 6), traced("send", 60_000)]
    done = complete_log(logged, kernel, 0)
    assert [(made.n, made.name, made.kernel_only) for made in done.calls] == [
        (0, "connect", False),
        (1, "send", False),
        (2, "read", True),
        (3, "sendto", False),
    ]
    assert done.calls[1].digest == "00"
    assert done.calls[2].socket == LOGGED
    assert (done.added, done.written, done.read, done.contradictions) == (1, 0, 6, ())


def test_a_socket_that_the_log_does_not_know_keeps_a_name_of_its_own() -> None:
    done = complete_log([], [traced("read", 0, 6)], 0)
    assert done.calls[0].socket == SocketInfo(-1, "tcp")


def test_calls_of_other_threads_and_other_times_are_not_the_same() -> None:
    """What the log has then did not happen: the kernel's is there alone."""
    for other in (traced("send", 0, 5, tid=8), traced("send", 0, 5, fd=4), traced("send", 9_000 + 2 * SLACK, 5)):
        done = complete_log([call("send", 0, 5)], [other], 0)
        assert [made.kernel_only for made in done.calls] == [True]
        assert len(done.contradictions) == 1
        assert "the kernel did not do" in done.contradictions[0]


def test_another_number_of_bytes_is_a_contradiction() -> None:
    done = complete_log([call("send", 0, 5)], [traced("send", 0, 4)], 0)
    assert [(made.length, made.digest, made.kernel_only) for made in done.calls] == [(4, None, False)]
    assert done.contradictions == (
        "the log of process 7 (p) says that send on descriptor 3 moved 5 bytes, the kernel says 4",
    )


def test_a_call_in_which_the_process_died_has_the_end_that_the_kernel_saw() -> None:
    """Its bytes went through, and nobody saw which they were."""
    unfinished = replace(call("send", 0, 5), end=None, length=0, result=0, digest=None)
    done = complete_log([unfinished], [traced("send", 0, 5)], 0)
    (made,) = done.calls
    assert (made.length, made.result, made.digest, made.end) == (5, 5, None, 3_000)
    assert done.contradictions == ()


def test_forks_and_ends_are_the_kernels() -> None:
    """A fork is known by its child; what the log only put together gives way; exec gets what it closed."""
    fork = replace(call("fork", 0, fd=-1, socket=None), result=9)
    made_up = replace(call("execve", 90_000, fd=-1, socket=None), args={"holds": []}, end=90_000)
    execve = replace(call("execve", 20_000, fd=-1, socket=None), args={"program": "/bin/x"}, end=None)
    kernel = [
        replace(traced("fork", 500_000, fd=-1), result=9, socket=None),
        replace(traced("execve", 20_000, fd=-1), args={"closed": [3]}, socket=None),
        replace(traced("exit", 600_000, fd=-1), socket=None, end=None),
    ]
    done = complete_log([fork, execve, made_up], kernel, 0)
    assert [(made.name, made.kernel_only) for made in done.calls] == [
        ("fork", False),
        ("execve", False),
        ("exit", True),
    ]
    assert done.calls[1].args == {"program": "/bin/x", "closed": [3]}
    assert done.added == 0
