"""What the runner understands of the actor's lines."""

from __future__ import annotations

import pytest

from testbed.model.errors import LabError
from testbed.observe.actor_events import ActorEvent, describe_error, explain, parse_event


@pytest.mark.parametrize(
    ("line", "event"),
    [
        (
            '{"event":"ok","step":3,"call":"send","result":1,"bytes":1,"calls":1}',
            ActorEvent("ok", 3, "send", 1, bytes=1, calls=1),
        ),
        (
            b'{"event":"error","step":3,"call":"connect","errno":"ECONNREFUSED","expected":true}\n',
            ActorEvent("error", 3, "connect", errno="ECONNREFUSED"),
        ),
        (
            '{"event":"unexpected-success","step":2,"call":"connect","result":0,"expect":"EPIPE"}',
            ActorEvent("unexpected-success", 2, "connect", 0, expected=False, expect="EPIPE"),
        ),
        ('{"event":"listening","step":1,"port":10011}', ActorEvent("listening", 1, port=10011)),
        ('{"event":"barrier","step":5,"name":"a\\"b"}', ActorEvent("barrier", 5, name='a"b')),
        (
            '{"event":"ok","step":1,"call":"recv","result":2,"bytes":2,"calls":1,"data":"00ff"}',
            ActorEvent("ok", 1, "recv", 2, bytes=2, calls=1, data=b"\x00\xff"),
        ),
        ('{"event":"done"}', ActorEvent("done")),
    ],
)
def test_each_event_of_the_contract_is_read(line: str | bytes, event: ActorEvent) -> None:
    assert parse_event(line) == event


@pytest.mark.parametrize(
    "line",
    [
        "",
        "hello",
        "[1]",
        '{"event":"ok","step":',
        '{"event":"party"}',
        "{}",
        '{"event":"ok","step":"1"}',
        '{"event":"ok","step":true}',
        '{"event":"ok","colour":1}',
        '{"event":"ok","data":"0"}',
        b"\xff\xfe{}",
    ],
)
def test_a_line_that_is_no_event_is_a_lab_error_that_shows_it(line: str | bytes) -> None:
    with pytest.raises(LabError, match="no event"):
        parse_event(line)


def test_a_failed_step_is_told_in_one_sentence() -> None:
    refused = ActorEvent("error", 2, "connect", -1, "ECONNREFUSED", expected=False, expect="ok")
    assert (
        explain(refused) == "step 2 (connect) failed: ECONNREFUSED (connection refused); the scenario expected success"
    )


def test_the_sentence_names_host_place_and_bytes_so_far() -> None:
    """An end of stream is not an errno; what came before it is told."""
    early = ActorEvent("error", 4, "recv", 0, "EOF", expected=False, expect="ok", bytes=1)
    assert explain(early, host="server", where="echo.yaml:7") == (
        "server step 4 (recv) failed: EOF (the peer ended the stream first) after 1 byte; "
        "the scenario expected success [echo.yaml:7]"
    )


def test_a_success_that_was_to_fail_names_the_error_missed() -> None:
    missed = ActorEvent("unexpected-success", 2, "connect", 0, expected=False, expect="ECONNREFUSED")
    assert explain(missed).endswith("(connect) succeeded; the scenario expected ECONNREFUSED (connection refused)")


def test_an_unknown_error_name_is_shown_as_it_is() -> None:
    assert describe_error("EUNKNOWN") == "EUNKNOWN"
