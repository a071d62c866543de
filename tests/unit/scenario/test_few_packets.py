"""Which scenarios can have few packets only."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.scenario.few_packets import FEWEST, MOST, has_few_packets
from testbed.scenario.load import parse
from testbed.scenario.steps.all_steps import FAMILIES
from testbed.scenario.steps.step import DEFINED, Step

SERVER = "server: {steps: [{listen: 10011}, {accept: }, {recv_all: }]}"


def _has_few(client: str, further: str = "", most: int = MOST) -> bool:
    text = f"summary: A test\n{SERVER}\nclient: {client}\n{further}\n"
    return has_few_packets(parse(text.encode(), name="test", path=Path("test.yaml"), shown="test.yaml"), most)


def _steps(*steps: str) -> str:
    return f"{{steps: [{', '.join(('{connect: server:10011}', *steps))}]}}"


@pytest.mark.parametrize(
    ("client", "further"),
    [
        (_steps("{send: {size: 600}}"), ""),
        (_steps(f"{{send: {'x' * 600}}}"), ""),
        (_steps(f"{{sendmsg: [{'x' * 300}, {'y' * 300}]}}"), ""),
        (_steps(f"{{sendmmsg: [{'x' * 300}, {'y' * 300}]}}"), ""),
        (_steps(f"{{writev: [{'x' * 300}, {'y' * 300}]}}"), ""),
        (_steps("{sendfile: 600}"), ""),
        (_steps("{splice: 600}"), ""),
        (_steps("{repeat: 300, steps: [{send: x}]}"), ""),
        (_steps("{fork: child, steps: [{send: {size: 600}}]}", "{waitpid: child}"), ""),
        (_steps("{exec: 'true'}"), ""),
        ("{command: 'true'}", ""),
        (_steps("{send: x}"), "link: {delay: 5ms}"),
        (_steps("{send: x}"), "offloads: true"),
        (f"{{mtu: 9000, {_steps('{send: x}')[1:]}", ""),
    ],
)
def test_many(client: str, further: str) -> None:
    """Many bytes, many rounds, programs, a link that may repeat packets, and packets larger than usual."""
    assert not _has_few(client, further)


def test_few() -> None:
    """A few steps that send a few bytes."""
    assert _has_few(_steps("{send: x}", "{repeat: 10, steps: [{send: {size: 40}}]}", "{close: }"))


@pytest.mark.parametrize(("size", "few"), [(30, True), (58, True), (59, False)])
def test_fewest(size: int, few: bool) -> None:
    """Six steps and the bytes are at most 64, or more."""
    assert _has_few(_steps(f"{{send: {{size: {size}}}}}", "{close: }"), most=FEWEST) is few


def test_every_step_that_sends_says_how_much() -> None:
    """A new one that does not would be taken for one that sends nothing."""
    sending = [step for step in DEFINED.values() if step.__module__ == FAMILIES["Sending"].__name__]
    assert sending
    assert all(step.sends is not Step.sends for step in sending)
