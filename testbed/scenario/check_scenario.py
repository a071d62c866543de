"""What can be known to be wrong before a run, beyond the form of each value: within a host, and between the two.

Each function takes validated parts and yields the path of a problem in the file, a message and a hint.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from testbed.model import HOSTS, Host, peer_of
from testbed.scenario.expect.expectations import (
    AnyExpectation,
    CallExpectation,
    LedgerExpectation,
    OrderExpectation,
    TimerExpectation,
)
from testbed.scenario.expect.packet_patterns import Event, Moment
from testbed.scenario.language.base import nearest
from testbed.scenario.link.check_link import check_link
from testbed.scenario.link.link_model import Link
from testbed.scenario.scenario import HostSpec, Observe, Server
from testbed.scenario.steps import steps as s
from testbed.scenario.steps.socket_options import option_value
from testbed.scenario.steps.step_sockets import follow


class Finding(NamedTuple):
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
    link: Link | None,
) -> Iterator[Finding]:
    """Yield all findings. A host, a link or an expectation that is not valid by itself is absent and not looked at."""
    for host, spec in hosts.items():
        yield from _host(host, spec, observe)
        yield from _steps(host, spec.steps or (), timeout)
    if len(hosts) == len(HOSTS):
        yield from _barriers(hosts)
        yield from _connects(hosts)
    if link is not None:
        yield from (Finding(*problem) for problem in check_link(link, hosts))
    if observe:
        for index, expectation in expect.items():
            yield from _observed(index, expectation, observe)


def _host(host: Host, spec: HostSpec, observe: Observe | None) -> Iterator[Finding]:
    given = spec.model_fields_set
    if (spec.steps is None) == (spec.command is None):
        message = "either `steps` or `command`, not both" if spec.steps else "`steps` or `command` is missing"
        yield Finding((host,), message, key=True)
    if spec.steps is not None:
        for key in ("exit", "ready", "env"):
            if key in given:
                yield Finding((host, key), f"`{key}` goes with `command`", "steps have their own", key=True)
    if isinstance(spec, Server) and spec.until and "exit" in given:
        yield Finding((host, "exit"), "`exit` is for a program that ends by itself; `until` stops this one", key=True)
    probed = observe is not None and getattr(observe, host) == "probe"
    for name in spec.env:
        if name.startswith("BOTHENDS_") or (name == "LD_PRELOAD" and probed):
            hint = "" if name != "LD_PRELOAD" else f"or observe: {{{host}: none}}"
            yield Finding((host, "env", name), f"`{name}` is set by the observer", hint, key=True)


def _steps(host: Host, steps: tuple[s.Step, ...], timeout: float) -> Iterator[Finding]:
    slept = 0
    for index, step, _, mistakes in follow(steps, host):
        at = (host, "steps", index)
        for path, message, hint in mistakes:
            yield Finding((*at, *path), message, hint)
        if isinstance(step, s.Setsockopt):
            yield from _options(at, step)
        if isinstance(step, s.CallStep):
            yield from _own_error(at, step, "EOF", s.RecvExact)
            if not isinstance(step, s.Wait):
                yield from _own_error(at, step, "TIMEOUT", s.OnReadable)
        if isinstance(step, (s.Exit, s.Kill)) and index + 1 < len(steps):
            yield Finding((*at, step.key), f"nothing comes after `{step.key}`", "make it the last step", key=True)
        if isinstance(step, s.Sleep):
            slept += step.sleep
            if slept - step.sleep < timeout * 1000 <= slept:
                message = f"the {host} sleeps for {slept / 1000:g} s, and the run's timeout is {timeout:g} s"
                yield Finding((*at, "sleep"), message, "raise `timeout`")


def _options(at: tuple[str | int, ...], step: s.Setsockopt) -> Iterator[Finding]:
    for name, value in step.setsockopt.items():
        try:
            option_value(name, value)
        except ValueError as error:
            yield Finding((*at, "setsockopt", name), *error.args)
    if step.error and len(step.setsockopt) > 1:
        yield Finding((*at, "error"), "each option is a call of its own", "one step for the one that must fail")


def _own_error(at: tuple[str | int, ...], step: s.CallStep, error: str, model: type[s.Step]) -> Iterator[Finding]:
    if step.error == error and not isinstance(step, model):
        yield Finding((*at, "error"), f"`{error}` is an error of `{model.key}`, not of `{step.key}`")


def _barriers(hosts: Mapping[Host, HostSpec]) -> Iterator[Finding]:
    orders: dict[Host, list[tuple[int, str]]] = {}
    for host in HOSTS:
        steps = hosts[host].steps or ()
        orders[host] = [(index, step.barrier) for index, step in enumerate(steps) if isinstance(step, s.Barrier)]
        seen: set[str] = set()
        for index, name in orders[host]:
            if name in seen:
                yield Finding((host, "steps", index, "barrier"), f"the {host} comes to the barrier `{name}` twice")
            seen.add(name)
    names = {host: tuple(dict.fromkeys(name for _, name in orders[host])) for host in HOSTS}
    for host in HOSTS:
        for index, name in orders[host]:
            if name not in names[peer_of(host)]:
                message = f"the {peer_of(host)} has no barrier `{name}`{nearest(name, names[peer_of(host)])}"
                yield Finding((host, "steps", index, "barrier"), message, "it would be waited for in vain")
    common = set(names["client"]) & set(names["server"])
    ours, theirs = ([name for name in names[host] if name in common] for host in HOSTS)
    for first, second in zip(ours, theirs, strict=True):
        if first != second:
            index = next(index for index, name in orders["client"] if name == first)
            message = f"the client comes to the barrier `{first}` where the server comes to `{second}`"
            yield Finding(("client", "steps", index, "barrier"), message, "each would wait for the other")
            return


def _connects(hosts: Mapping[Host, HostSpec]) -> Iterator[Finding]:
    for host in HOSTS:
        peer = peer_of(host)
        theirs = hosts[peer].steps
        if theirs is None:
            continue
        ports = {step.listen.port for step in theirs if isinstance(step, s.Listen)}
        ports |= {step.bind.port for step in theirs if isinstance(step, s.Bind)}
        for index, step, use, _ in follow(hosts[host].steps or (), host):
            wanted = isinstance(step, s.Connect) and step.error is None and use.type == "tcp"
            if not wanted or not isinstance(step, s.Connect) or step.connect.host != peer:
                continue
            if step.connect.port not in ports and 0 not in ports:
                listed = ", ".join(str(port) for port in sorted(port for port in ports if port))
                message = f"no step of the {peer} listens on port {step.connect.port}"
                hint = f"it listens on {listed}" if listed else "if you mean it: `error: ECONNREFUSED`"
                yield Finding((host, "steps", index, "connect"), message, hint)


def _observed(index: int, expectation: AnyExpectation, observe: Observe) -> Iterator[Finding]:
    blind = {host for host in HOSTS if getattr(observe, host) == "none"}
    if isinstance(expectation, CallExpectation) and expectation.host in blind:
        message = f"no calls of the {expectation.host} are recorded: observe.{expectation.host} is none"
        yield Finding(("expect", index, "call"), message)
    for path, moment in _moments(expectation):
        if moment.host in blind:
            message = f"no calls of the {moment.host} are recorded: observe.{moment.host} is none"
            yield Finding(("expect", index, *path, "call"), message)
    if isinstance(expectation, LedgerExpectation):
        for host, figures in expectation.ledger.items():
            for figure, watched in (("written", host), ("read", peer_of(host)), ("unread", peer_of(host))):
                if figure in figures.model_fields_set and watched in blind:
                    message = f"`{figure}` cannot be known: observe.{watched} is none"
                    yield Finding(("expect", index, "ledger", host, figure), message)


def _moments(expectation: AnyExpectation) -> Iterator[tuple[tuple[str | int, ...], Moment]]:
    """Yield the moments of calls that an expectation names, and where."""
    named: list[tuple[tuple[str | int, ...], Event | None]] = []
    if isinstance(expectation, OrderExpectation):
        named = [(("order", at), event) for at, event in enumerate(expectation.order)]
    elif isinstance(expectation, TimerExpectation):
        named = [(("timer", "after"), expectation.timer.after), (("timer", "until"), expectation.timer.until)]
    yield from ((path, event) for path, event in named if isinstance(event, Moment))
