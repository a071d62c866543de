"""Steps that make no socket call: sleep, barrier, link, repeat, exit, kill."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import override

from testbed.scenario.language.values import Duration, Name, Whole
from testbed.scenario.link.impairments import ImpairmentChange
from testbed.scenario.steps.open_sockets import Use
from testbed.scenario.steps.step import AnyStep, ScriptContext, Step


class SleepStep(Step):
    """Waits."""

    key = "sleep"
    sleep: Duration
    """How long."""

    @override
    def lines(self, use: Use, context: ScriptContext) -> Iterator[str]:
        yield f"sleep ms={self.sleep}"


class BarrierStep(Step):
    """Waits until the other host's steps have reached the barrier of the same name."""

    key = "barrier"
    barrier: Name
    """The barrier's name, once in each host's steps, whichever process reaches it; within `repeat`, once a round."""

    @override
    def lines(self, use: Use, context: ScriptContext) -> Iterator[str]:
        yield f"barrier name={self.barrier}"


class LinkStep(Step):
    """Changes what the link does to packets, from here on."""

    key = "link"
    link: ImpairmentChange
    """Impairments; those that are not named stay as they are."""

    @override
    def lines(self, use: Use, context: ScriptContext) -> Iterator[str]:
        yield f"barrier name=link.{context.index}"


class RepeatStep(Step):
    """Makes the steps below it several times, one round after the other."""

    key = "repeat"
    repeat: Annotated[Whole, Field(ge=1, le=10_000)]
    """How often."""
    steps: Annotated[tuple[AnyStep, ...], Field(min_length=1)]
    """The steps of a round."""

    @property
    @override
    def inner(self) -> tuple[Step, ...]:
        return self.steps

    @property
    @override
    def rounds(self) -> int:
        return self.repeat

    @override
    def lines(self, use: Use, context: ScriptContext) -> Iterator[str]:
        return iter(())


class ExitStep(Step):
    """Ends the program at once, with its sockets open. Must be the last step."""

    key = "exit"
    last = True
    exit: Annotated[Whole, Field(ge=0, le=255)]
    """The exit status."""

    @property
    @override
    def program_end(self) -> int:
        return self.exit

    @override
    def lines(self, use: Use, context: ScriptContext) -> Iterator[str]:
        yield f"exit status={self.exit}"


class KillStep(Step):
    """Kills the program by a signal. Must be the last step."""

    key = "kill"
    last = True
    kill: Literal["SIGABRT", "SIGKILL", "SIGSEGV", "SIGTERM"]
    """The signal."""

    @property
    @override
    def program_end(self) -> str:
        return self.kill

    @override
    def lines(self, use: Use, context: ScriptContext) -> Iterator[str]:
        yield f"kill signal={self.kill}"
