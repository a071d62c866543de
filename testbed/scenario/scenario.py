"""A scenario as a value: what ``load`` returns, and what the schema and the reference are generated from."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StrictBool, model_validator

from testbed.model import Host
from testbed.model.expect import Expectation
from testbed.model.hosts import MOST_ADDRESSES
from testbed.scenario.expect.all_expectations import AnyExpectation
from testbed.scenario.language.base import Frozen, Opt
from testbed.scenario.language.endpoints import IpVersions
from testbed.scenario.language.own_paths import Files, InsidePath, OwnPath, Packages, Ports, User, WantedFiles
from testbed.scenario.language.values import (
    Duration,
    Image,
    Line,
    Seconds,
    Setting,
    Size,
    Sysctl,
    Tag,
    Text,
    Variable,
    Version,
    WantedExit,
    Whole,
    Word,
    Words,
)
from testbed.scenario.language.yaml_source import in_one_line
from testbed.scenario.link.link_model import LinkSpec
from testbed.scenario.link.link_values import PacketSize, Rate
from testbed.scenario.steps.all_steps import WrittenStep, follow, written
from testbed.scenario.steps.control_steps import LinkStep
from testbed.scenario.steps.step import AnyStep

Observer = Literal["auto", "probe", "trace", "strace", "gdb", "winsock", "none"]
OBSERVERS: tuple[Observer, ...] = ("none", "probe", "trace", "strace", "gdb")
"""All observers of Linux programs that can be compared, the ones that disturb least first."""


class Ready(Frozen):
    """What shows that a server's command is ready: bound ports, all of them. At least one of ``port`` and ``udp``."""

    port: Opt[Ports] = None
    """A TCP port on which something listens, or several."""
    udp: Opt[Ports] = None
    """A UDP port that is bound, or several."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.port is None and self.udp is None:
            raise ValueError("port or udp is needed")
        return self


class Route(Frozen):
    """Options of a host's route to the other one (ip-route(8)); they hold for this host's connections."""

    rto_min: Opt[Duration] = None
    """The minimum retransmission timeout: 5ms. Default: the kernel's, 200ms."""

    @property
    def words(self) -> tuple[str, ...]:
        """The options as words for `ip route`."""
        return () if self.rto_min is None else ("rto_min", f"{self.rto_min}ms")


class HostSpec(Frozen):
    """What a host is and runs. Exactly one of ``steps`` and ``command``."""

    image: Image = "host"
    """An image of ours, any image reference, or a folder of your own with a Dockerfile: ./app."""
    build: Opt[OwnPath] = None
    """Instead of `image`: a Dockerfile of your own, or its folder, which is what it is built of: ./app/Dockerfile. With
    `ARG BASE` and `FROM ${BASE}` it needs no registry."""
    packages: Packages = ()
    """Debian packages that the host needs beside its image: memcached. On Docker they are installed into an image made
    for that; on the other engines this machine must have them."""
    files: Files = WantedFiles()
    """Files and folders of your own that are copied into the host, read-only: {./server.py: /app/server.py}; ./app
    alone is {./app: /app}, and the program then starts in it. See [files](#files)."""
    user: Opt[User] = None
    """The user whose name the program has. No user gains a right from it. Default: nobody, or what the image says."""
    workdir: Opt[InsidePath] = None
    """The directory in which a command starts."""
    steps: Opt[tuple[AnyStep, ...]] = Field(default=None, min_length=1)
    """Socket calls, made one after the other."""
    command: Opt[Words] = None
    """A program and its arguments: a list, or text that is split as a POSIX shell would (no shell is run). {client}
    and {server} become the hosts' [addresses](#addresses); a brace itself is written twice."""
    env: dict[Variable, Word] = Field(default_factory=dict)
    """Environment variables of the program; {client} and {server} as in `command`."""
    sysctl: dict[Sysctl, Word] = Field(default_factory=dict)
    """Kernel settings of the host's own network namespace: {net.ipv4.tcp_sack: 0}."""
    route: Route = Route.model_construct()
    """Options of the route to the other host: {rto_min: 5ms}."""
    mtu: Opt[PacketSize] = None
    """The MTU of the host's interface, in bytes; IPv6 needs 1280. Default: 1500."""
    addresses: Annotated[Whole, Field(ge=1, le=MOST_ADDRESSES)] = 1
    """How many addresses of each version of IP the host has: `server`, `server.2` and so on. See
    [addresses](#addresses)."""
    egress: Opt[Rate] = None
    """How many bits per second the host's interface sends. Packets that have to wait, wait in the host's own queue
    (tc-tbf(8)) and not yet on the wire. Default: no limit."""
    loopback: Opt[StrictBool] = None
    """Also capture what the host sends to itself. Default: where it runs a command."""
    exit: WantedExit = 0
    """How a command that ends by itself must end: an exit status, a signal's name, or any."""

    @property
    def built_of(self) -> str:
        """The path of the user's own Dockerfile or its folder; empty where the host has any other image."""
        return self.build or (self.image if self.image.startswith(".") else "")

    @property
    def written_steps(self) -> tuple[WrittenStep, ...]:
        """Its steps in the order in which they are written, those within others too."""
        return tuple(written(self.steps or ()))

    @property
    def ends(self) -> int | str | None:
        """How its program must end: an exit status, a signal's name, or None for any."""
        end = self.steps[-1].program_end if self.steps else self.exit
        return None if end == "any" else end

    @property
    def announces(self) -> bool:
        """Whether the steps listen, or bind a UDP socket: then the actor says when the host can be reached."""
        return any(made.written.step.announces(made.use) for made in follow(self.steps or (), "client"))


class Client(HostSpec):
    """The host that begins. The run ends when its program and the server's have ended."""


class Server(HostSpec):
    """The host that is started first."""

    ready: Opt[Ready] = None
    """When a command is ready for the client. Steps are ready after their first `listen`, or `bind` of a UDP socket;
    without these, and a command without `ready`, when they have been started."""
    until: Opt[Literal["client-ends"]] = None
    """client-ends: stop the server (SIGTERM, then SIGKILL) when the client has ended. Default: it ends by itself."""


class Observe(Frozen):
    """How the socket calls of each host are recorded."""

    client: Observer = "auto"
    """auto, probe (a preloaded library), trace (the kernel's tracepoints: any program, no content), strace (any
    program), gdb (each call held), winsock (a Windows program under Wine) or none. auto: the probe; for a program that
    it cannot see, such as a static or Go one, trace, or else strace; winsock for a Windows program."""
    server: Observer = "auto"
    """As for the client."""
    hold: Opt[Duration] = None
    """How long gdb holds each call, before it and after it: 400ms. Default: until no packet is in transit."""
    kernel: bool | Literal["offered"] = "offered"
    """The kernel trace. offered: record it where that is possible. true: record it; where that is not possible the run
    is unsupported. false: do not. On the command line: --witness and --no-witness."""
    kernel_arrivals: Opt[StrictBool] = None
    """Also trace each packet that arrives, which shows why a packet reached no socket, and have a call stack also of
    frames of 300 bytes and more. Default: if both hosts run steps. It slows a bulk transfer to less than half."""
    kernel_buffer: Annotated[Size, Field(ge=8 << 10, le=1 << 30)] = 4 << 20
    """The size of the kernel trace's buffer for each processor: 16MiB. If it was too small, the trace is marked as
    incomplete."""


class ScenarioFile(Frozen):
    """The keys of a scenario file."""

    summary: Line
    """What the scenario shows, in one line."""
    tags: tuple[Tag, ...] = ()
    """Keywords."""
    about: Text = ""
    """What to look for, and which rule explains it."""
    ip: IpVersions = (4,)
    """The version of IP, 4 or 6; or both, that of a host's bare name first: [4, 6]. See [addresses](#addresses)."""
    timeout: Seconds = 30.0
    """How long the whole run may take."""
    seed: Whole = Field(default=1, ge=0, le=(1 << 63) - 1)
    """Determines the bytes of `size` patterns and the random decisions of the link."""
    offloads: StrictBool = False
    """Leave the interfaces' offloads (GSO, TSO, GRO) on; captures then show segments larger than the MTU."""
    kernel: Opt[Version] = None
    """The version of Linux that the hosts run on, 6.12: a kernel of our own (`invoke kernels`), on the engine `uml`.
    Default: the engine's."""
    clock: Opt[Literal["virtual", "real"]] = None
    """virtual: idle time costs nothing, as on the engine `uml`; on the others the scenario is then unsupported. real:
    time is waited for, on every engine. Default: as the engine has it."""
    link: LinkSpec = LinkSpec.model_construct()
    """How the hosts are connected: direct, routed, or what the link does to packets: {delay: 5ms}."""
    server: Server
    """The host that is started first."""
    client: Client
    """The host that begins."""
    observe: Observe = Observe.model_construct()
    """How socket calls are recorded on each host."""
    matrix: dict[Setting, Annotated[tuple[Any, ...], Field(min_length=1)]] = Field(default_factory=dict)
    """Variants: values of settings, in every combination: {observe.client: [probe, none]}. Without
    a campaign the first of each is used."""
    expect: tuple[AnyExpectation, ...] = ()
    """What must be true of the run."""

    @property
    def hosts(self) -> Mapping[Host, HostSpec]:
        """Both hosts by name."""
        return {"client": self.client, "server": self.server}

    @property
    def routed(self) -> bool:
        """Whether a link host is between the hosts: it impairs, or some step makes it do so later."""
        steps = (each.step for host in self.hosts.values() for each in host.written_steps)
        return self.link.routed or any(isinstance(step, LinkStep) for step in steps)


class Scenario(ScenarioFile):
    """A scenario that was read from a file.

    ``name`` is the file's stem, ``path`` where it was read from, ``source`` its text, ``settings`` the variant that it
    is. ``expect`` holds what applies to this variant; ``written`` is the plain value and the place (``x.yaml:12``) of
    each. Durations of steps are milliseconds, the timeout seconds, sizes bytes.
    """

    name: str
    path: Path
    source: str
    settings: dict[str, Any]
    written: tuple[tuple[Any, str], ...]

    @cached_property
    def expectations(self) -> tuple[Expectation, ...]:
        """What is expected of the run, compiled; in the order of ``expect``."""
        both = zip(self.expect, self.written, strict=True)
        return tuple(each.compiled(in_one_line(value), where) for each, (value, where) in both)

    def without_expectations(self) -> Scenario:
        """Return a copy that expects nothing of the run."""
        return self.model_copy(update={"expect": (), "written": (), "expectations": ()})  # the last one is cached
