"""The link program's plan: what the compiler writes it takes, and what is wrong it tells with the line's number.

A plan that is right would next open NFQUEUE, which needs a network namespace of its own: see tests/lab/test_link.py.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

GOOD = [
    "link seed=1 copy=payload",
    "end from=client address=198.18.0.4",
    "end from=server address=198.18.1.4",
    "set from=client delay=5000000",
]


@pytest.fixture
def link(programs: Path) -> Path:
    return programs / "tools" / "link"


def refused(link: Path, lines: list[str]) -> list[str]:
    """What the program says to a plan that it must refuse before it asks for anything."""
    text = "\n".join([*GOOD, *lines, "start", ""])
    done = subprocess.run([str(link)], input=text, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    return done.stderr.splitlines()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("set from=client loss=2", "loss=2 is not a probability from 0 to 1"),
        ("set from=client loss=nan", "loss=nan is not a probability from 0 to 1"),
        ("set from=client delay=-1", "delay=-1 is not a number up to 604800000000000"),
        ("set from=client delay=1 jitter=2", "jitter is larger than delay"),
        ("set from=client queue=0", "queue=0 lets nothing through"),
        ("set from=nobody", "from=nobody is not known"),
        ("set delay=1", "from is missing"),
        ("set from=client dealy=1", "unknown key dealy"),
        ("set from=client delay", "`delay` is not key=value"),
        ("fault do=drop from=client nth=0", "nth=0: the first is 1"),
        ("fault do=drop from=client flags=SX", "X is no TCP flag"),
        ("fault do=drop from=client of=sin", "of=sin is not known"),
        ("fault do=lose from=client", "do=lose is not known"),
        ("fault do=drop", "do or from is missing"),
        ("fault do=hold from=client", "hold needs for"),
        ("fault do=drop from=client payload=0g", "payload is not 1 to 4096 bytes in small hex digits"),
        ("fault do=drop from=client bytes=5", "bytes= is not a number"),
        ("fault do=forge from=client as=server raw=00 fill=tcp", "forge needs as and a raw packet"),
        (
            f"fault do=forge from=client as=server raw={'45' + '00' * 39} fill=tcp stamp=24",
            "forge needs as and a raw packet",
        ),
        (f"fault do=forge from=client as=server raw={'45' + '00' * 39} fill=tcp sack=36 blocks=1", "forge needs as"),
        ("fault do=forge from=client ack=x", "ack=x is not a number"),
        ("fault do=forget from=client", "forget needs for"),
        ("fault do=rewrite from=client of=syn", "rewrite needs ttl or mss"),
        ("fault do=rewrite from=client ttl=256", "ttl=256"),
        ("fault do=forget from=client for=1 raw=00 as=server fill=tcp", "where it answers as and a raw packet"),
        ("stop", "unknown line stop"),
        ("end from=client address=1.2.3", "address=1.2.3 is not known"),
    ],
)
def test_a_wrong_line_is_told_with_its_number(link: Path, line: str, message: str) -> None:
    assert any(told.startswith(f"line {len(GOOD) + 1}: ") and message in told for told in refused(link, [line]))


def test_every_wrong_line_is_told_at_once(link: Path) -> None:
    told = refused(link, ["set from=client loss=2", "fault do=drop", "nonsense"])
    assert [line.partition(":")[0] for line in told] == ["line 5", "line 6", "line 7"]


def test_what_needs_payload_is_refused_without_it(link: Path) -> None:
    lines = ["link seed=1 copy=headers", "set from=client corrupt=0.5", "fault do=duplicate from=server"]
    assert [line.split(": ", 1)[1] for line in refused(link, lines)] == [
        "duplicate and corrupt need copy=payload",
        "this fault needs copy=payload",
    ]


def test_input_that_ends_within_the_plan_ends_the_program(link: Path) -> None:
    done = subprocess.run([str(link)], input=GOOD[0] + "\n", capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2
