"""Steps that make processes and pass descriptors between them: fork, waitpid, exec, socketpair, send_fd, recv_fd."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from typing_extensions import override

from testbed.scenario.language.base import Opt, Short
from testbed.scenario.language.endpoints import fill
from testbed.scenario.language.values import Name, WantedExit, Words
from testbed.scenario.steps.open_sockets import OpenSocket, OpenSockets, Use
from testbed.scenario.steps.step import AnyStep, CallStep, OnSocketStep, ScriptContext, Step, arguments_of


class ForkStep(Step):
    """Makes a child process, which has all descriptors that are open here and makes steps of its own.

    The host's program ends when all its children have ended. A child ends after its last step, its sockets closed by
    the kernel; it must end as its steps say.
    """

    key = "fork"
    fork: Name
    """The child's name, for `waitpid`."""
    steps: Annotated[tuple[AnyStep, ...], Field(min_length=1)]
    """The steps of the child. What it does to its descriptors leaves those of its parent as they are."""

    @property
    @override
    def inner(self) -> tuple[Step, ...]:
        return self.steps

    @property
    @override
    def makes_process(self) -> bool:
        return True

    @override
    def act(self, sockets: OpenSockets) -> Use:
        # Its name can be waited for.
        sockets.children.append(self.fork)
        return Use()

    @override
    def lines(self, use: Use, context: ScriptContext) -> Iterator[str]:
        end = self.steps[-1].program_end
        yield f"fork name={self.fork}" + (
            arguments_of(status=end) if isinstance(end, int) else "" if end == "any" else f" signal={end}"
        )

    @override
    def closing_lines(self) -> Iterator[str]:
        yield "end_fork"


class WaitpidStep(Step):
    """Waits until a child process has ended."""

    key = "waitpid"
    waitpid: Name
    """The name that `fork` gave it; of several children with this name all are waited for."""

    @override
    def act(self, sockets: OpenSockets) -> Use:
        # There must be such a child.
        if self.waitpid not in sockets.children:
            known = ", ".join(dict.fromkeys(sockets.children))
            hint = f"children here: {known}" if known else "`fork` makes one"
            sockets.wrong(self.key, f"this process has no child `{self.waitpid}` at this step", hint)
        return Use()

    @override
    def lines(self, use: Use, context: ScriptContext) -> Iterator[str]:
        yield f"waitpid name={self.waitpid}"


class Execution(Short):
    """What to execute."""

    short = "command"
    command: Words
    """A program and its arguments: a list, or text that is split as a POSIX shell would (no shell is run). {client}
    and {server} become the hosts' [addresses](#addresses); a brace itself is written twice."""
    stdin: Opt[Name] = None
    """The socket that is its standard input. Default: /dev/null."""
    stdout: Opt[Name] = None
    """The socket that is its standard output. Default: the host's log of errors."""
    exit: WantedExit = 0
    """How it must end: an exit status, a signal's name, or any."""


class ExecStep(Step):
    """Becomes another program (execvp), with all descriptors that are open. Must be the last step of its process."""

    key = "exec"
    last = True
    exec: Execution
    """The command, or a mapping."""

    @property
    @override
    def program_end(self) -> int | str:
        return self.exec.exit

    @property
    @override
    def sends(self) -> int:
        return sys.maxsize  # what the program does, nobody knows before

    @override
    def act(self, sockets: OpenSockets) -> Use:
        # Sockets that become its standard input and output.
        for key in ("stdin", "stdout"):
            name = getattr(self.exec, key)
            if name:
                sockets.find(name, self.key, self.key)
        return Use()

    @override
    def lines(self, use: Use, context: ScriptContext) -> Iterator[str]:
        words = ",".join(fill(word, context.addresses).encode().hex() for word in self.exec.command)
        yield f"exec parts={words}{arguments_of(stdin=self.exec.stdin, stdout=self.exec.stdout)}"


class SocketpairStep(CallStep):
    """Makes a pair of connected Unix sockets, over which processes of the host talk to each other."""

    key = "socketpair"
    socketpair: tuple[Name, ...]
    """The two names."""

    @model_validator(mode="after")
    def _two(self) -> Self:
        if len(set(self.socketpair)) != 2 or len(self.socketpair) != 2:
            raise ValueError("a pair has two different names", "for instance [ours, theirs]")
        return self

    @override
    def act(self, sockets: OpenSockets) -> Use:
        # Both are connected from the beginning.
        for name in self.socketpair:
            sockets.make(name, "unix", self.key).state = "connected"
        return Use(made=self.socketpair[0], type="unix")

    @override
    def lines(self, use: Use, context: ScriptContext) -> Iterator[str]:
        first, second = self.socketpair
        yield f"socketpair as={first} and={second}{self.expect}"


class _OverPairStep(OnSocketStep):
    """Passes a descriptor over a Unix socket."""

    @override
    def check(self, sock: OpenSocket, sockets: OpenSockets) -> None:
        # Descriptors go over Unix sockets only.
        if sock.type != "unix":
            hint = "`socketpair` makes two; name one with `on`"
            sockets.wrong(self.place, f"`{sock.name}` is no Unix socket, and a descriptor goes over one only", hint)


class SendFdStep(_OverPairStep):
    """Passes a descriptor to another process: sendmsg with SCM_RIGHTS and one byte."""

    key = "send_fd"
    send_fd: Name
    """The socket that is passed; it stays open here."""

    @override
    def act(self, sockets: OpenSockets) -> Use:
        # The socket must be open here.
        sockets.find(self.send_fd, self.key, self.key)
        return super().act(sockets)

    @override
    def arguments(self, context: ScriptContext) -> str:
        return f" fd={self.send_fd}"


class RecvFdStep(_OverPairStep):
    """Takes a descriptor that another process passes (recvmsg, SCM_RIGHTS). A message without one is the error EOF."""

    key = "recv_fd"
    own_errors = ("EOF",)
    recv_fd: Literal["tcp", "udp"]
    """What kind of socket it is: tcp or udp."""
    as_: Name = Field(default="passed", alias="as")
    """Its name in this process."""

    @override
    def act(self, sockets: OpenSockets) -> Use:
        # What was done to it elsewhere, these steps do not show.
        use = super().act(sockets)
        made = sockets.make(self.as_, self.recv_fd, "as" if "as_" in self.model_fields_set else self.key)
        made.state = "unknown"
        return Use(use.sock, made.name, self.recv_fd)

    @override
    def lines(self, use: Use, context: ScriptContext) -> Iterator[str]:
        yield f"recv_fd sock={use.sock} as={use.made} {context.kind(self.recv_fd)}{self.expect}"
