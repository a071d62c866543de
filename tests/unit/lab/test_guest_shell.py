"""A command with its caller's terminal through a directory: both sides of it, without a kernel between them."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.lab.uml.guest_shell import Pieces, serve_shells

CALL = "import sys; from pathlib import Path; from testbed.lab.uml.guest_shell import be_terminal as be; "
LIMIT = 120.0


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[Path]:
    """A directory in which requests are carried out."""
    with serve_shells(tmp_path):
        yield tmp_path


def call(guest: Path, script: str, **streams: int) -> subprocess.Popen[bytes]:
    program = f"{CALL}sys.exit(be(Path({str(guest)!r}), ['sh', '-c', {script!r}], {os.environ['PATH']!r}))"
    return subprocess.Popen([sys.executable, "-c", program], **streams)  # type: ignore[call-overload, no-any-return]


def test_streams_and_exit_status_are_the_commands(guest: Path) -> None:
    with call(guest, "cat; echo two >&2; exit 7", stdin=-1, stdout=-1, stderr=-1) as process:
        out, err = process.communicate(b"one\n" * 100_000, LIMIT)
    assert out == b"one\n" * 100_000
    assert err == b"two\n"
    assert process.returncode == 7
    assert list(guest.iterdir()) == []


def test_a_signal_is_what_a_shell_makes_of_it(guest: Path) -> None:
    with call(guest, "kill -9 $$", stdin=subprocess.DEVNULL) as process:
        assert process.wait(LIMIT) == 128 + 9


def test_a_terminal_is_one_and_is_left_as_it_was(guest: Path) -> None:
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (33, 99))
    before = termios.tcgetattr(slave)
    with call(guest, "stty size; read line; echo got $line; tty", stdin=slave, stdout=slave, stderr=slave) as process:
        os.write(master, b"words\n")
        printed = b""
        while b"/dev/pts" not in printed:
            printed += os.read(master, 4096)
        assert process.wait(LIMIT) == 0
    assert b"33 99" in printed
    assert b"got words" in printed
    assert termios.tcgetattr(slave) == before
    os.close(master)
    os.close(slave)


def test_what_runs_is_ended_with_the_lab(tmp_path: Path) -> None:
    with serve_shells(tmp_path):
        process = call(tmp_path, "echo begun; sleep 1000", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
    with process:
        assert process.wait(LIMIT) == 128 + 9


def test_a_command_that_is_not_there_says_so(guest: Path) -> None:
    program = f"{CALL}sys.exit(be(Path({str(guest)!r}), ['/no/such'], '/usr/bin:/bin'))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.returncode == 127
    assert "/no/such" in done.stderr


def test_pieces_wait_for_their_reader(tmp_path: Path) -> None:
    """What nobody reads does not fill the disk."""
    program = (
        "import sys; from pathlib import Path; from testbed.lab.uml.guest_shell import Pieces; "
        f"out = Pieces(Path({str(tmp_path)!r}), 'out'); [out.write(b'1', b'x') for _ in range(200)]"
    )
    with subprocess.Popen([sys.executable, "-c", program]) as writer:
        reader = Pieces(tmp_path, "out")
        most, got = 0, 0
        while got < 200:
            most = max(most, len(list(tmp_path.glob("out-*"))))
            got += reader.read() == (b"1", b"x")
            time.sleep(0)
        assert writer.wait(LIMIT) == 0
    assert 0 < most <= 64
    assert reader.read() is None
