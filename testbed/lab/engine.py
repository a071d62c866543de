"""What an engine must do: start agents in network namespaces that a link joins, and remove all of it.

Everything else (programs, taps, sentinel, files) is done through the agents and is the same on every engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

from testbed.lab.agent import Agent, Channel
from testbed.model import Host
from testbed.model.host_files import BuildContext, HostFile
from testbed.model.hosts import HostAddresses, IpVersion

Progress = Callable[[str], None]
TOOLS_DIRECTORY = "/opt/bothends"
"""Where every host and tap finds agent, actor, hold and probe."""
DEBUGGER_DIRECTORY = "/opt/bothends-debugger"
"""Where a host finds gdb, strace and gdb's scripts, if its observer needs them."""
ACTOR = (f"{TOOLS_DIRECTORY}/actor",)
"""What interprets a scenario's steps."""
LOG_DIRECTORY = "/run/bothends"
"""A memory file system in every host, writable by all, where the probe leaves its logs."""
SCRATCH_SIZE = "512m"
"""What each memory file system of a host that a program may fill holds: /tmp, /run, /dev/shm."""
PROBE_ENVIRONMENT = {"LD_PRELOAD": f"{TOOLS_DIRECTORY}/libprobe.so", "BOTHENDS_LOG_DIR": LOG_DIRECTORY}
"""What makes a program observed."""
INTERFACE = "eth0"
"""The name of a host's interface inside the host, by which everything there asks for it."""


def device_names(run_id: str) -> str:
    """Return the pattern that the first names of all interfaces of a run's hosts have (:func:`device_name`)."""
    return f"{INTERFACE}-{run_id[-8:]}*"


def device_name(run_id: str, host: Host) -> str:
    """Return the first name of a host's interface, which no other on the machine has.

    An event of the kernel's says a device's first name, and not whose it is. :data:`INTERFACE` is a further name of it.
    """
    return f"{INTERFACE}-{run_id[-8:]}{host[0]}"


@dataclass(frozen=True, slots=True)
class LabHost:
    """One host: ``image`` is a folder of compose/ or any image reference; ``sysctls`` are all ``net.*``.

    ``route_options`` are further words for `ip route`, for the route to the other host. ``debugger``: it needs gdb and
    strace (:attr:`LiveLab.debugger`). ``packages`` are Debian's, beside the image; ``files`` are copied in, for reading
    only; ``build`` is what an image of the user's own is built of, ``image`` is then its name in messages. ``user`` is
    the name of the user that programs run as, empty for the usual one; ``starts_in`` where a command starts, empty for
    the image's own directory. ``addresses``: how many it has of each version of IP.
    """

    image: str
    sysctls: Mapping[str, str]
    congestion_control: str
    debugger: bool = False
    route_options: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    files: tuple[HostFile, ...] = ()
    build: BuildContext | None = None
    user: str = ""
    starts_in: str = ""
    addresses: int = 1

    @property
    def route(self) -> str:
        """All that the host's routes say besides where they lead, as words for `ip route`."""
        return " ".join(("congctl", self.congestion_control, *self.route_options))


@dataclass(frozen=True, slots=True)
class Debugger:
    """How gdb and strace are started in a host that asked for them: the words that each command begins with.

    ``environment`` is what gdb's Python needs. gdb's scripts are at :data:`DEBUGGER_DIRECTORY`.
    """

    gdb: tuple[str, ...] = ("gdb",)
    strace: tuple[str, ...] = ("strace",)
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LabSpec:
    """What an engine is asked for. ``ip`` are the versions of IP, that of a host's bare name first.

    ``routed``: each host on a network of its own, and a link host on both that forwards. ``witness``: the arguments of
    the program that records the kernel's trace (:func:`testbed.lab.kernel_trace.command`), none where it is not asked
    for.
    """

    run_id: str
    hosts: Mapping[Host, LabHost]
    ip: tuple[IpVersion, ...]
    routed: bool = False
    witness: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LinkHost:
    """The host between the hosts: its agent, and its addresses on each host's network. It forwards, and no more.

    It has NET_ADMIN and NET_RAW in its network namespace, the programs ``link``, ``iptables`` and ``ip``,
    and no default route that matters: nothing is meant for outside.
    """

    agent: Agent
    addresses: Mapping[Host, HostAddresses]
    interfaces: Mapping[Host, str] = field(default_factory=dict)
    """Its interface on each host's side, where the engine made them, and then there is no default route at all."""


@dataclass(slots=True)
class LiveLab:
    """A lab that is up. ``manifest`` is what the engine has to tell for the run's manifest."""

    hosts: dict[Host, Agent]
    taps: dict[Host, Agent]
    addresses: dict[Host, HostAddresses]
    routes: dict[Host, dict[int, list[str]]]
    """The routes that each host shall have besides none, as lines for `ip -batch`, by IP version; before them the
    addresses that the engine did not give it. No version where the engine has made the routes."""
    devices: dict[Host, str] = field(default_factory=dict)
    """What each host's interface is called first, where the engine made it with a name that no other has."""
    link: LinkHost | None = None
    """There is one where :attr:`LabSpec.routed` asked for it."""
    debugger: Debugger = field(default_factory=Debugger)
    witness: Channel | None = None
    """Standard input and output of the witness, if it was asked for and the engine can have one."""
    witness_refused: str = ""
    """Why there is none."""
    capturing: str = ""
    """The program that captures where tcpdump does not; as :class:`testbed.lab.tcpdump.TcpdumpTap` has it."""
    look: float = 2.0
    """Seconds between two looks at whether all agents still answer."""
    versions: dict[str, str] = field(default_factory=dict)
    """What programs beside the hosts say of themselves, once they were asked; labs of the same files may share it."""
    manifest: dict[str, Any] = field(default_factory=dict)


class Engine(Protocol):
    """One way to make labs. Used as a context manager: leaving it removes everything that it made."""

    name: str

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def bring_up(self, spec: LabSpec) -> LiveLab:
        """Make the lab; on any error what was made is removed on leaving the engine's context."""

    def take_down(self) -> None:
        """Remove everything that :meth:`bring_up` made. Idempotent; raises EngineError if something stays."""

    def describe_death(self, host: Host) -> str:
        """Say how a host or its tap ended, if the engine knows (``out of memory``, ``exit 137``); else empty."""
