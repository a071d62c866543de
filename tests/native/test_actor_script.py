"""Scripts that the real actor refuses: each bad line is named before any step runs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(60)


def run(actor_program: Path, script: str) -> tuple[str, str]:
    """Its standard output and standard error; the status must be 2."""
    done = subprocess.run([str(actor_program)], input=script, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2, done
    return done.stdout, done.stderr


S = "socket as=c family=inet type=stream"


@pytest.mark.parametrize(("script", "message"), [
    ("sokcet as=c", "line 1: unknown step 'sokcet'"),
    ("expect=ok", "line 1: unknown step 'expect=ok'"),
    ("socket as=c family=inet", "line 1: socket: type= is missing"),
    ("socket as=c family=inet9 type=stream", 'line 1: family="inet9" must be inet or inet6'),
    (f"{S} colour=red", "line 1: socket: unknown key 'colour'"),
    (f"{S} type=dgram", "line 1: socket: type= is given twice"),
    (f"{S} backlog=1", "line 1: socket: unknown key 'backlog'"),
    (f"{S} nonblock", "line 1: socket: unknown key 'nonblock'"),
    (f"{S} expect=ENONSENSE", "line 1: expect=\"ENONSENSE\" must be ok, any, EOF, TIMEOUT or an errno's name"),
    (f"{S}\n{S}", 'line 2: as="c" must be a name that no open socket has'),
    (f"{S}\nclose sock=d", 'line 2: sock="d" must be the name that an earlier step gave a socket'),
    (f"{S}\nsetsockopt sock=c name=TCP_NODELY value=1", 'line 2: name="TCP_NODELY" must be a socket option'),
    (f"{S}\nsetsockopt sock=c name=TCP_NODELAY value=yes", 'line 2: value="yes" must be an integer'),
    (f"{S}\nsetsockopt sock=c name=TCP_NODELAY value=99999999999", "must be an integer"),
    (f"{S}\nsetsockopt sock=c name=SO_LINGER value=1", 'line 2: value="1" must be two integers'),
    (f"{S}\nsetsockopt sock=c name=SO_RCVTIMEO value=-1", "must be milliseconds"),
    (f"{S}\nsetsockopt sock=c name=TCP_INFO value=1", "line 2: TCP_INFO can only be read"),
    (f"{S}\nsetsockopt sock=c name=IP_ADD_MEMBERSHIP value=ff02::1", "must be a group, or a group, % and an interface"),
    (f"{S}\nsetsockopt sock=c name=IP_MULTICAST_IF value=nothere", "must be an interface of this host"),
    (f"{S}\nsetsockopt sock=c name=IPV6_DSTOPTS value=0", "must be pairs of hex digits"),
    (f"{S}\nconnect sock=c addr=::1 port=1", 'line 2: addr="::1" must be an IPv4 address'),
    (f"{S}\nconnect sock=c addr=127.0.0.1 port=65536", "must be a number from 0 to 65535"),
    (f"{S}\nsend sock=c hex=6", 'line 2: hex="6" must be pairs of hex digits'),
    (f"{S}\nsend sock=c hex=6g", "must be pairs of hex digits"),
    (f"{S}\nsend sock=c", "line 2: send: needs either hex= or size= with seed="),
    (f"{S}\nsend sock=c size=3", "line 2: send: needs either hex= or size= with seed="),
    (f"{S}\nsend sock=c hex=00 size=3 seed=1", "line 2: send: needs either hex= or size= with seed="),
    (f"{S}\nsend sock=c hex=00 chunk=3", "line 2: send: chunk= goes with size="),
    (f"{S}\nsend sock=c size=3 seed=1 chunk=0", "must be a number from 1 to 67108864"),
    (f"{S}\nsend sock=c hex=00 flags=MSG_MORE,MSG_LESS", "must be MSG_ names with commas between"),
    (f"{S}\nsend sock=c hex=00 addr=127.0.0.1", "line 2: send: addr= and port= go together"),
    (f"{S}\nsendmsg sock=c parts=00,0", "must be pairs of hex digits with commas between"),
    (f"{S}\nsendmsg sock=c parts=00 from=::1", 'line 2: from="::1" must be an IPv4 address'),
    (f"{S}\nrecv sock=c size=67108865", "line 2: recv: size= is above 67108864"),
    (f"{S}\non_readable sock=c mode=twice size=1", "must be once, drain or each"),
    ("socket as=u family=inet type=dgram\nrecv_all sock=u", "line 2: recv_all: only a stream socket has an end"),
    ("sleep ms=-1", "must be a number from 0"),
    ("barrier name=", "line 1: name= has no value"),
])  # fmt: skip
def test_a_bad_script_is_told_before_anything_runs(actor_program: Path, script: str, message: str) -> None:
    """One line on standard error, no event, status 2."""
    lines = [f"{n} {line}\n" for n, line in enumerate(script.splitlines(), 1)]
    out, err = run(actor_program, "".join(lines) + "end\n")
    assert out == ""
    assert message in err
    assert len(err.splitlines()) == 1


def test_every_bad_line_is_told_at_once(actor_program: Path) -> None:
    """Also a line without a number, and a script without its end."""
    out, err = run(actor_program, "0 sleep ms=x\n1 sleep ms=1\nsleep ms=1\n")
    assert out == ""
    assert [line.partition(": ")[0] for line in err.splitlines()] == ["line 1", "line 3", "line 4"]
    assert "no 'end'" in err
