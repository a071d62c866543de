"""What can be known to be wrong before a run, beyond the form of each value: within a host, and between the two.

Each function takes validated parts and yields the path of a problem in the file, a message and a hint.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from testbed.model import HOSTS, Host, peer_of
from testbed.model.hosts import IpVersion
from testbed.scenario.check_addresses import check_addresses
from testbed.scenario.expect.all_expectations import AnyExpectation
from testbed.scenario.expect.expectations import (
    CallExpectation,
    LedgerExpectation,
    OrderExpectation,
    TimerExpectation,
)
from testbed.scenario.expect.packet_patterns import Event, Moment
from testbed.scenario.language.base import nearest
from testbed.scenario.language.own_paths import wrong_files
from testbed.scenario.link.check_link import check_link
from testbed.scenario.link.link_model import LinkSpec
from testbed.scenario.scenario import HostSpec, Observe, Server
from testbed.scenario.steps.all_steps import WrittenStep, follow, written
from testbed.scenario.steps.control_steps import BarrierStep, SleepStep
from testbed.scenario.steps.opening_steps import BindStep, ConnectStep, ListenStep
from testbed.scenario.steps.step import STEPS, CallStep, Step

LEAST_MTU6 = 1280
"""RFC 8200 section 5."""
MOST_STEPS = 100_000
"""How many steps a host makes at most, those that are repeated counted each time."""


class Flaw(NamedTuple):
    """A problem: where in the file's tree, what, and a hint. ``key`` says that the key itself is wrong."""

    path: tuple[str | int, ...]
    message: str
    hint: str = ""
    key: bool = False


def check(
    hosts: Mapping[Host, HostSpec],
    observe: Observe | None,
    expect: Mapping[int, AnyExpectation],
    timeout: float,
    link: LinkSpec | None,
    ip: tuple[IpVersion, ...],
) -> Iterator[Flaw]:
    """Yield all findings. A host, a link or an expectation that is not valid by itself is absent and not looked at."""
    too_long = {host: made for host, spec in hosts.items() if (made := sum(map(_times, spec.steps or ()))) > MOST_STEPS}
    if too_long:  # too many to follow them
        for host, made in too_long.items():
            message = f"{made:,} steps, those that are repeated counted each time: at most {MOST_STEPS:,}"
            yield Flaw((host, "steps"), message, key=True)
        return
    for host, spec in hosts.items():
        yield from _host(host, spec, observe)
        yield from _steps(host, spec.steps or (), timeout)
        if 6 in ip and spec.mtu is not None and spec.mtu < LEAST_MTU6:
            yield Flaw((host, "mtu"), f"an interface of {spec.mtu} bytes carries no IPv6", f"at least {LEAST_MTU6}")
    yield from (Flaw(*problem) for problem in check_addresses(hosts, ip))
    if len(hosts) == len(HOSTS):
        yield from _barriers(hosts)
        yield from _connects(hosts)
    if link is not None:
        yield from (Flaw(*problem) for problem in check_link(link, hosts))
    if observe:
        for index, expectation in expect.items():
            yield from _observed(index, expectation, observe)


def _host(host: Host, spec: HostSpec, observe: Observe | None) -> Iterator[Flaw]:
    given = spec.model_fields_set
    if (spec.steps is None) == (spec.command is None):
        message = "either `steps` or `command`, not both" if spec.steps else "`steps` or `command` is missing"
        yield Flaw((host,), message, key=True)
    if spec.steps is not None:
        for key in ("exit", "ready", "env", "workdir"):
            if key in given:
                yield Flaw((host, key), f"`{key}` goes with `command`", "it cannot be used with `steps`", key=True)
    for place, message, hint in wrong_files(spec.files):
        yield Flaw((host, "files", *place), message, hint, key=True)
    if spec.build is not None and "image" in given:
        yield Flaw((host, "build"), "either `image` or `build`, not both", key=True)
    if isinstance(spec, Server) and spec.until and "exit" in given:
        yield Flaw((host, "exit"), "`exit` is for a program that ends by itself; `until` stops this one", key=True)
    probed = observe is not None and getattr(observe, host) in ("auto", "probe")
    for name in spec.env:
        if name.startswith("BOTHENDS_") or (name == "LD_PRELOAD" and probed):
            hint = "" if name != "LD_PRELOAD" else f"or observe: {{{host}: none}}"
            yield Flaw((host, "env", name), f"`{name}` is set by the observer", hint, key=True)


def _steps(host: Host, steps: tuple[Step, ...], timeout: float) -> Iterator[Flaw]:
    for each in written(steps):
        at = (host, "steps", *each.path)
        if isinstance(each.step, CallStep):
            yield from _own_error(at, each.step)
        yield from _last(at, each, steps)
    yield from _followed(host, steps, timeout)


def _times(step: Step) -> int:
    return 1 + step.rounds * sum(map(_times, step.inner))


def _last(at: tuple[str | int, ...], each: WrittenStep, steps: tuple[Step, ...]) -> Iterator[Flaw]:
    """Yield what is wrong with a step that ends its process and is not the last one."""
    step = each.step
    if not step.last:
        return
    beside, outer = steps, None
    for index in each.path[:-1:2]:
        outer = beside[int(index)]
        beside = outer.inner
    if int(each.path[-1]) + 1 < len(beside):
        yield Flaw((*at, step.key), f"nothing comes after `{step.key}`", "make it the last step", key=True)
    elif outer is not None and not outer.makes_process:
        yield Flaw((*at, step.key), f"`{step.key}` would end the program in the first round", key=True)


def _followed(host: Host, steps: tuple[Step, ...], timeout: float) -> Iterator[Flaw]:
    """Yield what the steps cannot do in their order; a mistake that every round makes is reported once."""
    slept = 0
    reported: set[Flaw] = set()
    for each in follow(steps, host):
        step = each.written.step
        at = (host, "steps", *each.written.path)
        for path, message, hint in each.mistakes:
            flaw = Flaw((*at, *path), message, hint)
            if flaw not in reported:
                reported.add(flaw)
                yield flaw
        if isinstance(step, SleepStep) and not each.written.processes:
            slept += step.sleep
            if slept - step.sleep < timeout * 1000 <= slept:
                message = f"the {host} sleeps for {slept / 1000:g} s, and the run's timeout is {timeout:g} s"
                yield Flaw((*at, "sleep"), message, "raise `timeout`")


def _own_error(at: tuple[str | int, ...], step: CallStep) -> Iterator[Flaw]:
    """Errors that are no errno are given by the steps that name them."""
    givers = [each.key for each in STEPS.values() if issubclass(each, CallStep) and step.error in each.own_errors]
    if givers and step.key not in givers:
        named = " and ".join(f"`{key}`" for key in givers)
        yield Flaw((*at, "error"), f"`{step.error}` is an error of {named}, not of `{step.key}`")


def _barriers(hosts: Mapping[Host, HostSpec]) -> Iterator[Flaw]:
    orders: dict[Host, list[tuple[WrittenStep, str]]] = {}
    for host in HOSTS:
        steps = hosts[host].steps or ()
        orders[host] = [
            (each.written, each.written.step.barrier)
            for each in follow(steps, host)
            if isinstance(each.written.step, BarrierStep)
        ]
        seen: dict[str, WrittenStep] = {}
        for at, name in orders[host]:
            if seen.setdefault(name, at) is not at:
                yield _at_barrier(host, at, f"the {host} reaches the barrier `{name}` twice")
    names = {host: tuple(dict.fromkeys(name for _, name in orders[host])) for host in HOSTS}
    for host in HOSTS:
        for at in dict.fromkeys(at for at, name in orders[host] if name not in names[peer_of(host)]):
            name = at.step.barrier if isinstance(at.step, BarrierStep) else ""
            message = f"the {peer_of(host)} has no barrier `{name}`{nearest(name, names[peer_of(host)])}"
            yield _at_barrier(host, at, message, f"the {host} would wait at it for ever")
    common = set(names["client"]) & set(names["server"])
    ours, theirs = ([(at, name) for at, name in orders[host] if name in common] for host in HOSTS)
    for name in common:
        met, there = (sum(other == name for _, other in side) for side in (ours, theirs))
        if met != there and any(at.loops for at, other in (*ours, *theirs) if other == name):
            at = next(at for at, other in ours if other == name)
            message = f"the client reaches the barrier `{name}` {met} times, the server {there} times"
            yield _at_barrier("client", at, message, "each host would wait for the other")
            return
    if any(at.processes for at, _ in (*ours, *theirs)):
        return  # what one process awaits, another may be the one to give
    for (at, first), (_, second) in zip(ours, theirs, strict=False):
        if first != second:
            message = f"the client reaches the barrier `{first}` where the server reaches `{second}`"
            yield _at_barrier("client", at, message, "each host would wait for the other")
            return


def _at_barrier(host: Host, at: WrittenStep, message: str, hint: str = "") -> Flaw:
    return Flaw((host, "steps", *at.path, "barrier"), message, hint)


def _connects(hosts: Mapping[Host, HostSpec]) -> Iterator[Flaw]:
    for host in HOSTS:
        peer = peer_of(host)
        theirs = hosts[peer].steps
        if theirs is None:
            continue
        there = [each.step for each in hosts[peer].written_steps]
        ports = {step.listen.port for step in there if isinstance(step, ListenStep)}
        ports |= {step.bind.port for step in there if isinstance(step, BindStep)}
        reported: set[tuple[str | int, ...]] = set()
        for each in follow(hosts[host].steps or (), host):
            step, path = each.written.step, each.written.path
            wanted = isinstance(step, ConnectStep) and step.error is None and each.use.type == "tcp"
            if not wanted or not isinstance(step, ConnectStep) or step.connect.host != peer:
                continue
            if step.connect.port not in ports and 0 not in ports and path not in reported:
                reported.add(path)
                listed = ", ".join(str(port) for port in sorted(port for port in ports if port))
                message = f"no step of the {peer} listens on port {step.connect.port}"
                hint = f"it listens on {listed}" if listed else "if you mean it: `error: ECONNREFUSED`"
                yield Flaw((host, "steps", *path, "connect"), message, hint)


def _observed(index: int, expectation: AnyExpectation, observe: Observe) -> Iterator[Flaw]:
    blind = {host for host in HOSTS if getattr(observe, host) == "none"}
    if isinstance(expectation, CallExpectation) and expectation.host in blind:
        message = f"no calls of the {expectation.host} are recorded: observe.{expectation.host} is none"
        yield Flaw(("expect", index, "call"), message)
    for path, moment in _moments(expectation):
        if moment.host in blind:
            message = f"no calls of the {moment.host} are recorded: observe.{moment.host} is none"
            yield Flaw(("expect", index, *path, "call"), message)
    if isinstance(expectation, LedgerExpectation):
        for host, figures in expectation.ledger.items():
            for figure, watched in (("written", host), ("read", peer_of(host)), ("unread", peer_of(host))):
                if figure in figures.model_fields_set and watched in blind:
                    message = f"`{figure}` cannot be known: observe.{watched} is none"
                    yield Flaw(("expect", index, "ledger", host, figure), message)


def _moments(expectation: AnyExpectation) -> Iterator[tuple[tuple[str | int, ...], Moment]]:
    """Yield the moments of calls that an expectation names, and where."""
    named: list[tuple[tuple[str | int, ...], Event | None]] = []
    if isinstance(expectation, OrderExpectation):
        named = [(("order", at), event) for at, event in enumerate(expectation.order)]
    elif isinstance(expectation, TimerExpectation):
        named = [(("timer", "after"), expectation.timer.after), (("timer", "until"), expectation.timer.until)]
    yield from ((path, event) for path, event in named if isinstance(event, Moment))
