"""Steps compiled into the actor's script (docs/architecture.md, "Actor script")."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from testbed.model import Host
from testbed.scenario.language.payload import Data
from testbed.scenario.language.values import Endpoint
from testbed.scenario.steps import steps as s
from testbed.scenario.steps.socket_options import option_value
from testbed.scenario.steps.step_sockets import Use, follow

CHANGE = "link."
"""What the name of a barrier begins with at which the runner changes the link; the step's index follows. No name that
a scenario can give has a dot."""
READINESS = {"readable": "in", "writable": "out", "urgent": "pri", "error": "error"}
HOWS = {"read": "rd", "write": "wr", "both": "rdwr"}


def actor_script(
    steps: tuple[s.Step, ...], *, family: Literal["inet", "inet6"], addresses: Mapping[Host, str], seed: int
) -> str:
    """Return the script for the steps of one host; each line begins with the index of its step.

    ``addresses`` are those of both hosts in the lab; ``seed`` makes the pattern of ``size``, which goes on over the
    sends of one socket. The steps must have passed the scenario's checks.
    """
    compiler = _Compiler(family, addresses, seed)
    lines = []
    # Which host these steps belong to matters only to the checks, which were made on loading.
    for index, step, use, _ in follow(steps, "client"):
        lines += [f"{index} {line}" for line in compiler.lines(index, step, use)]
    return "\n".join([*lines, "end", ""])


class _Compiler:
    def __init__(self, family: str, addresses: Mapping[Host, str], seed: int) -> None:
        self.family, self.addresses, self.seed = family, addresses, seed

    def lines(self, index: int, step: s.Step, use: Use) -> Iterator[str]:
        """Yield the calls of one step."""
        wanted = f" expect={step.error}" if isinstance(step, s.CallStep) and step.error else ""
        match step:
            case s.Setsockopt(setsockopt=options):
                for name, value in options.items():
                    yield f"setsockopt sock={use.sock} name={name} value={option_value(name, value)}{wanted}"
            case s.Listen() if step.listen.port is not None:
                yield self._socket(use.made, "stream")
                yield f"setsockopt sock={use.made} name=SO_REUSEADDR value=1"
                yield f"bind sock={use.made}{self._to(Endpoint(None, step.listen.port))}"
                yield f"listen sock={use.made} backlog={step.listen.backlog}"
            case s.Connect():
                if use.made:
                    yield self._socket(use.made, "stream")
                yield f"connect sock={use.sock}{self._to(step.connect)}{wanted}"
            case s.Sleep():
                yield f"sleep ms={step.sleep}"
            case s.Exit():
                yield f"exit status={step.exit}"
            case s.Kill():
                yield f"kill signal={step.kill}"
            case s.Barrier():
                yield f"barrier name={step.barrier}"
            case s.LinkChange():
                yield f"barrier name={CHANGE}{index}"
            case s.Socket():
                kind = "stream" if step.socket.type == "tcp" else "dgram"
                nonblock = " nonblock=1" if step.socket.nonblocking else ""
                yield self._socket(use.made, kind) + nonblock + wanted
            case s.Accept():
                yield f"accept sock={use.sock} as={use.made}{wanted}"
            case _:
                yield f"{step.key} sock={use.sock}{self._arguments(step)}{wanted}"

    def _socket(self, name: str, kind: str) -> str:
        return f"socket as={name} family={self.family} type={kind}"

    def _to(self, endpoint: Endpoint | None) -> str:
        if endpoint is None:
            return ""
        anywhere = "0.0.0.0" if self.family == "inet" else "::"  # noqa: S104 - a host of the lab, not this machine
        address = anywhere if endpoint.host is None else self.addresses[endpoint.host]
        return f" addr={address} port={endpoint.port}"

    def _arguments(self, step: s.Step) -> str:
        """Return the arguments of a step that is one call on one socket."""
        match step:
            case s.Getsockopt():
                return f" name={step.getsockopt}"
            case s.Bind():
                return self._to(step.bind)
            case s.Listen():
                return f" backlog={step.listen.backlog}"
            case s.Send(send=sending):
                if sending.size is not None:
                    what = f" size={sending.size} seed={self.seed}{_given(chunk=sending.chunk)}"
                else:
                    what = f" hex={_hex(sending)}"
                return what + _flags(sending.flags) + self._to(sending.to)
            case s.Sendmsg(sendmsg=sending):
                return f" parts={','.join(map(_hex, sending.parts))}{_flags(sending.flags)}{self._to(sending.to)}"
            case s.Writev(writev=parts):
                return f" parts={','.join(map(_hex, parts))}"
            case s.Sendfile(sendfile=size):
                return f" size={size} seed={self.seed}"
            case s.Wait(wait=waiting):
                return f" for={READINESS[waiting.for_]}{_given(timeout=waiting.timeout)}"
            case s.Recv(recv=receiving):
                return f" size={receiving.size}{_flags(receiving.flags)}"
            case s.RecvExact(recv_exact=receiving):
                return f" size={receiving.size}{_given(chunk=receiving.chunk)}"
            case s.RecvAll(recv_all=receiving):
                return _given(chunk=receiving.chunk)
            case s.OnReadable(on_readable=reading):
                by = "" if reading.by == "poll" else f" by={reading.by}"
                return f" mode={reading.read} size={reading.size}{by}{_given(timeout=reading.timeout)}"
            case s.Shutdown():
                return f" how={HOWS[step.shutdown]}"
        return ""


def _given(**values: int | None) -> str:
    return "".join(f" {key}={value}" for key, value in values.items() if value is not None)


def _flags(flags: tuple[str, ...]) -> str:
    return f" flags={','.join(flags)}" if flags else ""


def _hex(data: Data) -> str:
    content = data.content
    assert content is not None  # noqa: S101 - checked on loading
    return content.hex()
