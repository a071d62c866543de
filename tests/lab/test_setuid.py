"""A set-user-id program of root's on a host whose programs are nobody's: what the bit does, and what the probe sees."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from testbed.lab.choose_engine import choose
from testbed.lab.docker import images
from testbed.lab.namespace import lab_orders, machine
from testbed.model import Outcome
from testbed.run.live_lab import Finished, run
from testbed.scenario.load import load

from .conftest import ROOT

NOBODY = 65534
CLIENT = "/opt/setuid/client"
# After owner, mode and privileges the program's auxiliary vector: ld.so shows it, though not in secure-execution mode.
SHOW = 'stat -c "%u %a" "$0"; grep NoNewPrivs /proc/self/status; LD_SHOW_AUXV=1 exec "$0" "$1" 10011'
SCENARIO = f"""
summary: a set-user-id client
server: {{{{image: own-program, command: [/opt/own-program/server, 10011], ready: {{{{port: 10011}}}}}}}}
client: {{{{image: {{image}}, command: [sh, -c, '{SHOW}', {CLIENT}, "{{{{server}}}}"]}}}}
observe: {{{{client: probe, server: probe}}}}
expect:
  - {{{{ledger: {{{{client: {{{{written: 8, sent: 8, arrived: 8, acknowledged: 8, read: 8, content: equal}}}}}}}}}}}}
"""
DOCKERFILE = """
FROM {parent}
RUN mkdir /opt/setuid && cp /opt/own-program/client {client} && chmod 4755 {client}
USER {user}
"""


@pytest.fixture
def on_docker(engine: docker.DockerClient, tmp_path: Path) -> Iterator[str]:
    """An image as somebody may have it: a set-user-id program, and a user that is not root."""
    parent = images.ensure(engine, ["own-program"], print)["own-program"]
    (tmp_path / "Dockerfile").write_text(DOCKERFILE.format(parent=parent, client=CLIENT, user=NOBODY))
    tag = f"test-{secrets.token_hex(4)}:1"
    engine.images.build(path=str(tmp_path), tag=tag, rm=True)
    yield tag
    engine.images.remove(tag)


@pytest.fixture
def on_namespace(namespaces: None, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same as files of this machine's root."""
    del namespaces
    if os.geteuid():
        pytest.skip("only root can make a program that becomes root")
    made = tmp_path_factory.mktemp("setuid")
    for directory in (made, made.parent, made.parent.parent):
        directory.chmod(0o755)
    client = made / "client"
    subprocess.run(["cc", "-o", client, ROOT / "compose/own-program/client.c"], check=True)
    client.chmod(0o4755)
    ours = {"setuid": machine.Ours(made={str(Path(CLIENT).parent): str(made)})}
    for module in (machine, lab_orders):
        monkeypatch.setattr(module, "IMAGES", {**machine.IMAGES, **ours})
    return "setuid"


@pytest.mark.parametrize("name", ["docker", "namespace"])
def test_a_set_user_id_program_gains_nothing_and_is_seen(
    name: str, request: pytest.FixtureRequest, tmp_path: Path, scenario: Callable[[str], str]
) -> None:
    """The bit is there and has no effect (no_new_privs), so the loader preloads: all calls and bytes are told."""
    image = request.getfixturevalue(f"on_{name}")
    finished: Finished = run(
        load(Path(scenario(SCENARIO.format(image=image)))),
        root=tmp_path,
        make_engine=choose(name).make,
        progress=lambda _: None,
    )
    assert finished.analysis.outcome is Outcome.PASS, finished.analysis.reasons
    said = (finished.directory.path / "client.out").read_text()
    owner_and_mode, privileges, *vector = said.splitlines()
    assert owner_and_mode == "0 4755"
    assert privileges.split() == ["NoNewPrivs:", "1"]
    told = dict(line.replace(" ", "").split(":", 1) for line in vector)
    assert {told[entry] for entry in ("AT_UID", "AT_EUID", "AT_GID", "AT_EGID")} == {str(NOBODY)}
    assert told["AT_SECURE"] == "0"
    calls = [call for call in finished.analysis.inputs.calls["client"] if call.program == "client"]
    assert [call.name for call in calls] == ["socket", "connect", "send", "send", "send", "close", "exit"]
