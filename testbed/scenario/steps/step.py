"""What every step has: its keys, what it does to its host's sockets, and its lines of the actor's script.

A step is one class, in the module of its family. Its first own field is the key that names it, so that a model mirrors
its YAML; the class is known as soon as it is defined (:data:`DEFINED`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from testbed.scenario.language.base import Frozen, Opt, Short, one_of
from testbed.scenario.language.endpoints import HostName, HostPort
from testbed.scenario.language.values import ExpectedError, Name
from testbed.scenario.steps.open_sockets import OpenSocket, OpenSockets, Use

DEFINED: dict[str, type[Step]] = {}
"""The class of each step by the key that names it, in the order of definition."""
STEPS: dict[str, type[Step]] = {}
"""The same for the steps of the language, family by family; all_steps fills it."""
BESIDE = ("on", "as", "error", "steps")
"""Keys that may be beside the one that names a step."""


@dataclass(frozen=True, slots=True)
class ScriptContext:
    """What a step's lines depend on besides the step and the name of its socket.

    ``family`` is the socket's, ``addresses`` are those of both hosts in the lab by their names, ``seed`` makes the
    pattern of bytes, ``index`` is the number of the step.
    """

    family: Literal["inet", "inet6"]
    addresses: Mapping[str, str]
    seed: int
    index: int

    def new_socket(self, name: str, kind: Literal["tcp", "udp"]) -> str:
        """Return the line that makes a socket."""
        return f"socket as={name} {self.kind(kind)}"

    def kind(self, kind: Literal["tcp", "udp"]) -> str:
        """Return the arguments that say what a socket is."""
        return f"family={self.family} type={'stream' if kind == 'tcp' else 'dgram'}"

    def to(self, endpoint: HostPort | None) -> str:
        """Return the arguments that name an endpoint, nothing for None; IPv4 on a socket of IPv6 is IPv4-mapped."""
        if endpoint is None:
            return ""
        any_address = "0.0.0.0" if self.family == "inet" else "::"  # noqa: S104 - a host of the lab, not this machine
        address = endpoint.address or any_address if endpoint.name is None else self.address(endpoint.name)
        return f" addr={self._of_socket(address)} port={endpoint.port}"

    def address(self, name: HostName) -> str:
        """Return a host's address as the socket takes it."""
        return self._of_socket(self.addresses[str(name)])

    def _of_socket(self, address: str) -> str:
        return f"::ffff:{address}" if self.family == "inet6" and ":" not in address else address


class Step(Frozen):
    """What all steps have."""

    key: ClassVar[str]
    last: ClassVar[bool] = False
    """Whether no step can come after it."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:  # noqa: ANN401 - pydantic's own
        super().__pydantic_init_subclass__(**kwargs)
        if "key" in vars(cls):
            DEFINED[cls.key] = cls

    @property
    def inner(self) -> tuple[Step, ...]:
        """The steps that it holds, under its key ``steps``."""
        return ()

    @property
    def rounds(self) -> int:
        """How often these are made."""
        return 1

    @property
    def makes_process(self) -> bool:
        """Whether these are the steps of a process of their own."""
        return False

    @property
    def sends(self) -> int:
        """At most so many bytes go out by it each time that it is made."""
        return 0

    def closing_lines(self) -> Iterator[str]:
        """Yield the lines of the actor's script that come after those of the steps that it holds."""
        return iter(())

    @property
    def program_end(self) -> int | str:
        """How the program ends if this is its last step: an exit status, a signal's name, or any."""
        return 0

    def announces(self, use: Use) -> bool:  # noqa: ARG002 - for those that override it
        """Whether the actor reports after it that the host can be reached."""
        return False

    def act(self, sockets: OpenSockets) -> Use:  # noqa: ARG002 - as above
        """Follow what the step does to its host's sockets, and report what it cannot do."""
        return Use()

    def lines(self, use: Use, context: ScriptContext) -> Iterator[str]:
        """Yield its lines of the actor's script, without the step's number."""
        raise NotImplementedError


if TYPE_CHECKING:
    AnyStep = Step
else:
    AnyStep = one_of(Step, STEPS)
"""A step of any kind, as pydantic reads it."""


class CallStep(Step):
    """A step that makes a socket call."""

    own_errors: ClassVar[tuple[str, ...]] = ()
    """Errors that are no errno and that this step can give: EOF, TIMEOUT."""

    error: Opt[ExpectedError] = None
    """The error that the call must give: an errno (ECONNREFUSED), EOF (recv_exact), TIMEOUT (on_readable), or any."""

    @property
    def expect(self) -> str:
        """The argument that says which error is expected."""
        return f" expect={self.error}" if self.error else ""


class OnSocketStep(CallStep):
    """A step that makes a call on an open socket."""

    on: Opt[Name] = None
    """The socket's name; without it the socket made last that is still open."""

    def act(self, sockets: OpenSockets) -> Use:
        """Find the socket, judge the call on it and follow what it does to it."""
        sock = sockets.find(self.on, self.place, self.key)
        self.judge(sock, sockets)
        if self.error is None:
            self.change(sock)
        return Use(sock.name, "", sock.type, sock.version)

    @property
    def place(self) -> str:
        """The key at which a wrong socket is reported."""
        return "on" if self.on else self.key

    def judge(self, sock: OpenSocket, sockets: OpenSockets) -> None:
        """Report what the step cannot do to its socket; one that expects an error may do anything."""
        if self.error is None and sock.type != "unknown":
            self.check(sock, sockets)

    def check(self, sock: OpenSocket, sockets: OpenSockets) -> None:
        """Report what the step cannot do to a socket of a known type; most steps can do everything."""

    def change(self, sock: OpenSocket) -> None:
        """Follow what the step does to its socket when it succeeds; most steps change nothing."""

    def lines(self, use: Use, context: ScriptContext) -> Iterator[str]:
        """Yield the step's one call."""
        yield f"{self.key} sock={use.sock}{self.arguments(context)}{self.expect}"

    def arguments(self, context: ScriptContext) -> str:  # noqa: ARG002 - for those that override it
        """Return the arguments of the step's call, each with a blank before it."""
        return ""


class NoValue(Short):
    """No value after the key."""

    empty = True


def arguments_of(**values: object) -> str:
    """Return arguments by their keys, those that are None or empty left out."""
    return "".join(f" {key}={value}" for key, value in values.items() if value not in (None, ""))
