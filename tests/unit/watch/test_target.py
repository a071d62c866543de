"""What is to be watched, as it is named on the command line."""

from __future__ import annotations

import os
import re

import pytest

from testbed.lab.docker.running_containers import RunningContainers
from testbed.model.errors import UsageError
from testbed.watch.find_target import find_target
from testbed.watch.target import Target, TargetKind, ends, outside_of, parse_target


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("api", Target("api", TargetKind.CONTAINER, "api")),
        ("client=curl-1", Target("client=curl-1", TargetKind.CONTAINER, "curl-1", "client")),
        ("server=pid:123", Target("server=pid:123", TargetKind.PID, "123", "server")),
        ("name:nginx", Target("name:nginx", TargetKind.NAME, "nginx")),
        ("netns:/run/netns/blue", Target("netns:/run/netns/blue", TargetKind.NAMESPACE, "/run/netns/blue")),
        ("db.example:5432", Target("db.example:5432", TargetKind.OUTSIDE, "db.example:5432")),
        (
            "server=[2001:db8::1]:80",
            Target("server=[2001:db8::1]:80", TargetKind.OUTSIDE, "[2001:db8::1]:80", "server"),
        ),
    ],
)
def test_a_target_is_read(text: str, target: Target) -> None:
    assert parse_target(text) == target


@pytest.mark.parametrize("text", ["", "pid:", "pid:nginx", "name:", "docker:api", "client=", "outside:", "a:b:c"])
def test_what_names_nothing_is_told(text: str) -> None:
    with pytest.raises(UsageError):
        parse_target(text)


def test_the_first_is_the_client_unless_something_else_is_said() -> None:
    one, other = parse_target("api"), parse_target("redis")
    assert ends(one, other) == (one, other)
    server = parse_target("server=api")
    assert ends(server, other) == (other, server)
    with pytest.raises(UsageError, match="both"):
        ends(server, parse_target("server=redis"))


def test_a_label_can_be_part_of_a_path() -> None:
    assert all(re.fullmatch(r"[\w.-]+", parse_target(text).label) for text in ("netns:/run/netns/a b", "api", "pid:7"))
    assert parse_target("netns:/../..").label == "target"


def test_a_process_is_found_by_its_number_and_one_that_is_not_there_is_told() -> None:
    containers = RunningContainers("00000000", lambda _: None)  # asks no engine unless a container is named
    found = find_target(parse_target(f"pid:{os.getpid()}"), containers)
    assert found.pid == os.getpid()
    assert find_target(parse_target(f"netns:/proc/{os.getpid()}/ns/net"), containers).namespace == found.namespace
    assert found.lives()
    with pytest.raises(UsageError, match="no process"):
        find_target(parse_target("pid:999999999"), containers)
    with pytest.raises(UsageError, match="no network namespace"):
        find_target(parse_target("netns:nonesuch"), containers)
    with pytest.raises(UsageError, match="no process of this machine"):
        find_target(parse_target("name:nonesuch"), containers)


def test_an_address_outside_is_a_name_or_an_address_and_a_port() -> None:
    assert outside_of(parse_target("server=[2001:db8::1]:80")) == ("2001:db8::1", 80)
    containers = RunningContainers("00000000", lambda _: None)
    assert find_target(parse_target("192.0.2.1:443"), containers).outside == ("192.0.2.1", 443)
    with pytest.raises(UsageError, match="no port"):
        find_target(parse_target("192.0.2.1:99999"), containers)
