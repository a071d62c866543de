"""Of what the kernel reports of a target, what concerns the pair that is watched."""

from __future__ import annotations

import pytest

from testbed.model import Endpoint
from testbed.model.kernel_log import KernelEvent
from testbed.watch.call_recorder import Checkpoint
from testbed.watch.happenings import Happening
from testbed.watch.watched_kernel import is_between
from testbed.watch.watched_pair import before_it

ADDRESSES = {"client": ["10.0.0.2"], "server": ["10.0.0.3", "fd00::3"]}


@pytest.mark.parametrize(
    ("host", "peer", "wanted"),
    [
        ("client", "10.0.0.3", True),
        ("client", "fd00::3", True),
        ("server", "10.0.0.2", True),
        ("server", "10.0.0.4", False),  # a third service, whose packets are in another pair's captures
        ("server", "10.0.0.3", False),  # its own loopback
        ("server", "::", True),  # a listener
    ],
)
def test_events_of_other_conversations_are_left_out(host: str, peer: str, wanted: bool) -> None:
    event = KernelEvent(0, "sock/inet_sock_set_state", 0, False, host, Endpoint("10.0.0.9", 1), Endpoint(peer, 2))  # type: ignore[arg-type]
    assert is_between(event, ADDRESSES) is wanted  # type: ignore[arg-type]


def test_an_event_that_names_no_peer_may_be_of_the_pair() -> None:
    assert is_between(KernelEvent(0, "skb/kfree_skb", 0, True), ADDRESSES)  # type: ignore[arg-type]


@pytest.mark.parametrize(("time", "kept"), [(None, [3, 5, 8]), (9, [3, 5, 8]), (5, [3, 5]), (4, [3]), (1, [3])])
def test_calls_are_counted_from_before_what_ended_watching(time: int | None, kept: list[int]) -> None:
    moments = [Checkpoint(begun, {}) for begun in (3, 5, 8)]
    happened = None if time is None else Happening("reset", time, "10.0.0.2:1", "10.0.0.3:2")
    assert [each.begun for each in before_it(moments, happened)] == kept
