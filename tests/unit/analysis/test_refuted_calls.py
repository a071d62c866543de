"""A program that forges the log of its calls: what its host's capture refutes is said, and the run never passes."""

from __future__ import annotations

import pytest

from testbed.model import Outcome
from tests.builders.exchange import MS, Exchange


def transfer(*, sent: bytes = b"string", read: bytes = b"string", shift: int = 0, host: str = "server") -> Exchange:
    """One transfer; the data call of ``host`` has its time moved by ``shift`` ns."""
    run = Exchange()
    tcp = run.tcp().opened()
    run.pause(1000)
    with tcp.client("send", sent) as send:
        tcp("client P.", b"string")
    tcp("server .")
    recv = tcp.server("recv", read)
    moved = send if host == "client" else recv
    for name in ("start", "end"):
        moved.fields[name] += shift
    return run


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (transfer(read=b"string and more"), "server: the log of its calls contradicts its capture: 15 bytes were read"),
        (transfer(shift=-500 * MS), "bytes were read 500 ms before its capture has any"),
        (
            transfer(shift=300 * MS, host="client"),
            "client: the log of its calls contradicts its capture: bytes left 300",
        ),
    ],
)
def test_what_cannot_be_true_is_inconclusive(run: Exchange, said: str) -> None:
    found = run.analysis()
    (reason,) = found.reasons
    assert found.outcome is Outcome.INCONCLUSIVE
    assert said in reason


@pytest.mark.parametrize(
    "run", [transfer(), transfer(read=b"str"), transfer(shift=-20 * MS), transfer(sent=b"string..")]
)
def test_what_may_be_true_is_believed(run: Exchange) -> None:
    """Less read than came, more written than left, a log that is a little late: programs and observers do that."""
    assert run.analysis().outcome is Outcome.PASS


def test_what_the_captures_cannot_support_is_not_held_against_the_log() -> None:
    """Where a capture is not whole, what is missing in it refutes nothing."""
    found = transfer(read=b"string and more").analysis(incomplete=("client: packets were dropped by the tap",))
    assert found.reasons == ("client: packets were dropped by the tap",)
