"""Two runs side by side: what is in both in one row, what differs in rows of its own."""

from __future__ import annotations

from testbed.report.run_difference import DifferenceRow, Told, align, compare


def told(**changes: object) -> Told:
    host: dict[str, object] = {"calls": []}
    result = {"outcome": "pass", "hosts": {"client": host, "server": host}, "crossings": [], "ledger": [], "checks": []}
    return Told("run", {**result, **changes}, {"scenario": {"name": "x"}, "engine": {"kernel": "6"}})


def checks(*texts: str) -> list[dict[str, object]]:
    return [{"ok": True, "text": text} for text in texts]


def test_a_line_that_only_one_has_moves_no_other_line() -> None:
    one, other = told(checks=checks("a", "b", "c", "d")), told(checks=checks("a", "x", "b", "d"))
    rows = next(section.rows for section in align(one, other) if section.what == "expectations")
    assert rows == (
        DifferenceRow("holds: a", "holds: a"),
        DifferenceRow("", "holds: x"),
        DifferenceRow("holds: b", "holds: b"),
        DifferenceRow("holds: c", ""),
        DifferenceRow("holds: d", "holds: d"),
    )
    (section,) = compare(one, other)
    assert section.rows == (DifferenceRow("", "holds: x"), DifferenceRow("holds: c", ""))


def test_very_long_lists_are_put_side_by_side_without_alignment() -> None:
    many = [str(k % 7) for k in range(5000)]
    one, other = told(checks=checks("a", *many, "b")), told(checks=checks("x", *many, "y"))
    (section,) = compare(one, other)
    assert section.rows == (DifferenceRow("holds: a", "holds: x"), DifferenceRow("holds: b", "holds: y"))


def test_conditions_are_told_by_what_they_are_about() -> None:
    names = [section.what for section in align(told(), told()) if section.rows]
    assert names == ["outcome", "scenario and settings", "kernel and versions"]


def witnessed(*, cwnd: int, reason: str) -> Told:
    """A FIN that a close made, and a RST that was dropped for this reason."""
    crossings = [
        {"n": number, "sender": "client", "flow": 0, "flags": flags, "protocol": "tcp", "length": 0, "payload": "",
         "fate": "crossed", "cause": {"rule": "fin", "calls": []}, "kernel": {"cwnd": cwnd, "ssthresh": None}}
        for number, flags in enumerate(("F.", "R"))
    ]  # fmt: skip
    close = {"n": 7, "name": "close", "result": 0, "errno": None, "length": 0}
    kernel = {
        "complete": True,
        "state_changes": [{"host": "client", "flow": 0, "old": "ESTABLISHED", "new": "FIN_WAIT1", "kind": "call",
                           "calls": [7], "packets": []}],
        "retransmissions": [],
        "resets": [],
        "drops": [{"host": "server", "time_ns": 1, "packets": [1], "reason": reason, "event": "kfree_skb"}],
    }  # fmt: skip
    hosts = {"client": {"calls": [close]}, "server": {"calls": []}}
    return told(crossings=crossings, kernel=kernel, hosts=hosts)


def test_where_two_kernels_differ() -> None:
    """Reasons and congestion windows; what both say alike, and a run without a witness, makes no difference."""
    one, other = witnessed(cwnd=10, reason="NO_SOCKET"), witnessed(cwnd=1, reason="TCP_RESET")
    assert [(section.what, section.rows) for section in compare(one, other)] == [
        (
            "server: kernel trace: retransmitted, reset, dropped",
            (DifferenceRow("dropped client R, 0 bytes: NO_SOCKET", "dropped client R, 0 bytes: TCP_RESET"),),
        ),
        (
            "client: kernel trace: at the end",
            (DifferenceRow("#1: congestion window 10, threshold none", "#1: congestion window 1, threshold none"),),
        ),
    ]
    same = next(section.rows for section in align(one, other) if section.what.startswith("client: kernel trace: state"))
    assert same == (DifferenceRow(*["#1 ESTABLISHED to FIN_WAIT1: close"] * 2),)
    assert not [section for section in align(one, told()) if "the kernel" in section.what]
