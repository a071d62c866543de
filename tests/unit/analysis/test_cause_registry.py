"""The registry of causes is the only list of them: every set is derived, every row has its rule or another origin."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest

import testbed
from testbed.analysis.causes import find_causes as rules
from testbed.analysis.kernel.agreement import TraceIndex, assess
from testbed.analysis.label_check import LABELS_OF_CAUSES
from testbed.model import CAUSES, Cause, CauseKind, CauseName
from testbed.model.causes import CauseOrigin
from testbed.model.kernel_log import Agreement, KernelLog
from testbed.report.text.contradiction_text import SHOWN_BY_WIRESHARK
from testbed.scenario.language.kernel_names import LABELS
from tests.builders.exchange import Exchange

ROOT = Path(testbed.__file__).parent
RULES = {*(ROOT / "analysis/causes").glob("*.py"), ROOT / "model/causes.py"}
NAMES = {name.value for name in CauseName}
BOUND = [name for stages in (rules.TCP_STAGES, rules.DATAGRAM_STAGES) for stage in stages for name in stage]

# ------------------------------------------------------------------ rows


def test_every_cause_has_a_row_and_says_what_it_is() -> None:
    assert list(CAUSES) == list(CauseName)
    for name, row in CAUSES.items():
        assert row.meaning, name
        assert row.source or row.kind in (CauseKind.UNKNOWN, CauseKind.LINK), name


def test_every_row_has_a_rule_or_another_origin() -> None:
    """``unlogged-data`` is bound twice, for segments and for datagrams."""
    assert set(BOUND) == {name for name, row in CAUSES.items() if row.origin is CauseOrigin.RULE}
    assert len(BOUND) == len(set(BOUND)) + 1
    others = {name: row.origin for name, row in CAUSES.items() if row.origin is not CauseOrigin.RULE}
    assert {name for name, origin in others.items() if origin is CauseOrigin.LINK} == {
        name for name in others if name.startswith("link-")
    }
    assert others[CauseName.APPEARED] is CauseOrigin.CAPTURES
    assert others[CauseName.UNKNOWN] is CauseOrigin.NO_RULE


def test_the_rows_are_in_the_order_in_which_rules_are_tried() -> None:
    tried = [name for stage in rules.TCP_STAGES for name in stage]
    assert [name for name in CAUSES if name in tried] == tried


@pytest.mark.parametrize("name", CauseName)
def test_what_the_kernel_must_show_can_be_judged_for_every_cause(name: CauseName) -> None:
    """Of a trace without any tracepoint nothing is confirmed or contradicted."""
    run = Exchange()
    run.tcp()("client S")
    packet = run.analysis().inputs.joined.crossings[0]
    assert assess(TraceIndex(KernelLog((), ()), {}), packet, Cause(name, ())).agreement is Agreement.NOT_COVERED


def test_labels_are_those_of_wireshark_and_each_has_its_words() -> None:
    assert set(LABELS) >= LABELS_OF_CAUSES
    assert set(SHOWN_BY_WIRESHARK) == LABELS_OF_CAUSES


def test_what_is_sent_again_is_not_sent_for_the_first_time() -> None:
    again = {name for name, row in CAUSES.items() if row.sent_again}
    first = {name for name, row in CAUSES.items() if row.first}
    assert again
    assert first
    assert not again & first


# ------------------------------------------------------------------ no other list

REASONED: Mapping[str, str] = {
    "analysis/verdict.py": "says of a refused connection, and of unread bytes, which of a few ways it was",
    **dict.fromkeys(
        ("diagnosis/ending_rules.py", "diagnosis/idle_rules.py", "diagnosis/loss_rules.py"),
        "a finding is about a cause of its own, or about two or three of them",
    ),
}
"""Modules that name several causes, and why no trait says the same."""
OTHER_WORDS = {("data", "ack", "fin"): "kinds of forged segments", ("data", "fin"): "kinds of forged segments"}
"""Texts that are names of causes as well, and what they are where they stand in ``scenario/link/faults.py``."""

SCENARIOS = {"model/findings.py": ["closed-port"]}
"""Names of scenarios that are names of causes as well, by the module that has them."""


def literal_lists(tree: ast.AST) -> Iterator[list[str]]:
    """Yield the texts of every display of two or more texts, all of which are names of causes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            parts: list[ast.expr | None] = list(node.keys)
        elif isinstance(node, (ast.Set, ast.List, ast.Tuple)):
            parts = list(node.elts)
        else:
            continue
        texts = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
        if len(parts) > 1 and len(texts) == len(parts) and NAMES.issuperset(texts):
            yield texts


def unmistakable(tree: ast.AST) -> Iterator[str]:
    """Yield texts that can only be names of causes: those of several words."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "-" in node.value and node.value in NAMES:
            yield node.value


def members(tree: ast.AST) -> set[str]:
    """Return the members of the enumeration that a module names."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "CauseName"
    }


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_no_other_module_lists_causes() -> None:
    paths = sorted(path for path in ROOT.rglob("*.py") if path not in RULES)
    assert len(paths) > 100
    found = {}
    for path in paths:
        tree, name = parsed(path), path.relative_to(ROOT).as_posix()
        listed = [
            *(each for each in literal_lists(tree) if tuple(each) not in OTHER_WORDS),
            *(each for each in unmistakable(tree) if each not in SCENARIOS.get(name, ())),
        ]
        several = members(tree)
        if name not in REASONED and (listed or len(several) > 1):
            found[name] = listed or sorted(several)
    assert not found


def test_the_reasons_are_still_needed() -> None:
    assert REASONED
    assert [name for name in REASONED if len(members(parsed(ROOT / name))) < 2] == []


def test_the_scan_itself_finds_lists_texts_and_members() -> None:
    tree = ast.parse('x = {"data", "fin"}\ny = a == "d-sack"\nz = ("connect", "close")\nw = CauseName.DATA')
    assert [sorted(each) for each in literal_lists(tree)] == [["data", "fin"]]
    assert list(unmistakable(tree)) == ["d-sack"]
    assert members(tree) == {"DATA"}


# ------------------------------------------------------------------ order


def sent(option: str = "", flags: str = "") -> Exchange:
    """Bytes that leave at once, or are held by an option or a flag until a timer sends them."""
    run = Exchange()
    tcp = run.tcp().opened()
    if option:
        tcp.client("setsockopt", args={"name": option, "value": 1}, result=0)
    tcp.client("send", b"held", args={"flags": flags})
    run.pause(200 if option or flags else 0)
    tcp("client P.", b"held")
    return run


def gives_up() -> Exchange:
    """A connection whose probes nobody answers, with TCP_USER_TIMEOUT."""
    run = Exchange()
    tcp = run.tcp().opened()
    for option, value in (("SO_KEEPALIVE", 1), ("TCP_USER_TIMEOUT", 500)):
        tcp.client("setsockopt", args={"name": option, "value": value}, result=0)
    run.pause(1000)
    tcp("client .", seq=0, lost=True)
    run.pause(1000)
    tcp("client R.", lost=True)
    return run


def never_accepted() -> Exchange:
    run = Exchange()
    tcp = run.tcp()
    listen = tcp.server("listen")
    with tcp.client("connect"):
        tcp("client S")
        tcp("server S.")
    tcp("client .")
    with tcp.server("close", socket=listen.fields["socket"], fd=3):
        tcp("server R.")
    return run


def ends_with_unread(**observed: str) -> Exchange:
    run = Exchange(**observed)
    tcp = run.tcp().opened()
    tcp.client("send", b"x")
    tcp("client P.", b"x")
    tcp.server("poll", result=1)
    run.call("server", "exit", fd=-1, end=None)
    tcp("server R.")
    return run


def datagram() -> Exchange:
    run = Exchange()
    udp = run.udp()
    udp.client("connect")
    udp.client("send", b"anyone?")
    udp("client", b"anyone?")
    about = {"protocol": "udp", "sport": 40000, "dport": 5000}
    error = {"flow": None, "sender": "server", "protocol": "icmp", "payload": b"", "sent": run.now + 100_000}
    run.packets.append({**run.packets[0], **error, "length": 35, "arrived": run.now + 150_000})
    run.packets[1]["options"] = {"type": 3, "code": 3, "about": about}
    return run


def test_rules_of_one_stage_may_be_tried_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [sent(), sent("TCP_CORK"), sent(flags="MSG_MORE"), gives_up(), never_accepted(), datagram()]
    runs += [ends_with_unread(), ends_with_unread(server="none")]
    before = [run.analysis().causes for run in runs]
    explained = {cause.rule for causes in before for cause in causes}
    tables = ("TCP_STAGES", "DATAGRAM_STAGES")
    several = {name for table in tables for stage in getattr(rules, table) if len(stage) > 1 for name in stage}
    assert several - explained == {CauseName.ECHO_REPLY}
    for seed in range(8):
        for table in tables:
            monkeypatch.setattr(rules, table, tuple(shuffled(stage, seed) for stage in getattr(rules, table)))
        assert [run.analysis().causes for run in runs] == before


def shuffled(stage: Mapping[CauseName, Any], seed: int) -> dict[CauseName, Any]:
    names = list(stage)
    Random(seed).shuffle(names)
    return {name: stage[name] for name in names}


def test_rules_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rule is asked twice about each packet, and every later one as well: the causes stay the same."""
    runs = [sent(), gives_up(), never_accepted(), ends_with_unread(), repaired()]
    before = [run.analysis().causes for run in runs]
    assert CauseName.RECOVERY in {cause.rule for cause in before[-1]}
    every = [rule for stage in rules.TCP_STAGES for rule in stage.values()]

    def asking(rule: Any) -> Any:
        def ask(endpoint: Any, packet: Any) -> Any:
            for each in every:
                each(endpoint, packet)
            return rule(endpoint, packet)

        return ask

    stages = tuple({name: asking(rule) for name, rule in stage.items()} for stage in rules.TCP_STAGES)
    monkeypatch.setattr(rules, "TCP_STAGES", stages)
    assert [run.analysis().causes for run in runs] == before


def repaired() -> Exchange:
    """Two lost segments: a tail-loss probe, a timeout, and the rest as an ACK moves on."""
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"ab")
    tcp("client .", b"a", lost=True)
    tcp("client P.", b"b", lost=True)
    run.pause(20)
    tcp("client P.", b"b", seq=2, lost=True)
    run.pause(200)
    tcp("client .", b"a", seq=1)
    tcp("server .", ack=2)
    tcp("client P.", b"b", seq=2)
    return run
