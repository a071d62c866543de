"""What `invoke` prints in a real terminal of a given width, into a file, without colour, and without UTF-8."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from testbed.cli.encoding import never_fail

ROOT = Path(__file__).parents[3]
KEPT = next((ROOT / "tests/data/run-v1/server-reads-once").iterdir())
SUMMARY = "Ümläut € λ 漢字 🎉 \u202e" + "long " * 60
COLOUR = re.compile(r"\x1b\[[\d;]*(3[0-7]|9[0-7])m")
STYLE = re.compile(r"\x1b\[[\d;]*m")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run whose summary is long and in many scripts."""
    place = tmp_path_factory.mktemp("runs") / "long-name" / KEPT.name
    shutil.copytree(KEPT, place)
    manifest = json.loads((place / "manifest.json").read_text(encoding="utf-8"))
    manifest["scenario"] |= {"summary": SUMMARY, "name": "a-name-" * 3}
    (place / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return str(place)


def environment(more: dict[str, str]) -> dict[str, str]:
    told = {"COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "LANG", "LC_ALL", "PYTHONIOENCODING", "PYTHONUTF8", "TERM"}
    return {name: value for name, value in os.environ.items() if name not in told} | {"TERM": "xterm"} | more


def in_terminal(columns: int, *words: str, **more: str) -> list[str]:
    """Run a task in a pseudo-terminal; return what it shows, line by line."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "invoke", *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=ROOT,
        env=environment({"LANG": "C.UTF-8", **more}),
    )
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 1 << 16):
            shown += part
    except OSError:  # EIO: the other side has closed
        pass
    os.close(ours)
    assert process.wait(60) == 0, shown.decode()
    return shown.decode().replace("\r\n", "\n").splitlines()


def piped(*words: str, **more: str) -> bytes:
    """Run a task with its output into a pipe."""
    done = subprocess.run(
        [sys.executable, "-m", "invoke", *words], capture_output=True, cwd=ROOT, env=environment(more), check=False
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_a_terminal_gets_colour_and_no_line_wider_than_it_is(run: str, columns: int) -> None:
    shown = in_terminal(columns, "show", run)
    plain = [STYLE.sub("", line) for line in shown]
    assert max(map(cell_len, plain)) <= columns
    assert any(COLOUR.search(line) for line in shown)
    assert not any("\x1b" in line for line in plain)
    assert ("client capture" in "\n".join(plain)) == (columns >= 110), "four lanes where there is room"


def test_no_color_takes_the_colours_and_nothing_else(run: str) -> None:
    shown = in_terminal(100, "show", run, NO_COLOR="1")
    assert not any(COLOUR.search(line) for line in shown)
    coloured = in_terminal(100, "show", run)
    assert [STYLE.sub("", line) for line in shown] == [STYLE.sub("", line) for line in coloured]


def test_a_pipe_gets_plain_text_and_colour_if_it_is_forced(run: str) -> None:
    assert b"\x1b" not in piped("show", run)
    assert COLOUR.search(piped("show", run, FORCE_COLOR="1").decode())


@pytest.mark.parametrize(
    "more",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LANG": "C.UTF-8", "PYTHONIOENCODING": "latin-1"},
    ],
)
def test_without_utf_8_what_cannot_be_shown_is_a_code_point(run: str, more: dict[str, str]) -> None:
    encoding = more.get("PYTHONIOENCODING", "ascii")
    text = piped("show", run, **more, COLUMNS="400").decode(encoding)
    assert "\\u20ac \\u03bb \\u6f22\\u5b57" in text
    assert "server program read 1 and closed with 7 unread" in text
    told = json.loads(piped("show", run, "--json", **more).decode(encoding))
    assert told["scenario"]["summary"] == SUMMARY


@given(st.text())
def test_any_text_goes_into_any_stream_and_json_stays_the_same(text: str) -> None:
    for encoding in ("ascii", "latin-1", "cp437", "utf-8"):
        raw = io.BytesIO()
        stream = io.TextIOWrapper(raw, encoding=encoding, newline="\n")
        never_fail(stream)
        stream.write(json.dumps(text, ensure_ascii=False))
        stream.flush()
        assert json.loads(raw.getvalue().decode(encoding)) == text
