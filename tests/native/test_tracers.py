"""A tracer and the program that it holds, with the real agent, without Docker: compiled here."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.lab.agent import Agent, AgentProcess, AgentRefused
from testbed.lab.engine import Debugger
from testbed.lab.observers import tracers
from testbed.lab.observers.tracers import StraceObserver
from testbed.model.errors import Unsupported

from .test_agent import PipeChannel

COMPOSE = Path(__file__).parents[2] / "compose"
DENIED = "#!/bin/sh\necho 'strace: attach: ptrace(PTRACE_SEIZE, 7): Operation not permitted' >&2\nexit 1\n"


@pytest.fixture
def tools(programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory as a host has it, for `hold`."""
    folder = tmp_path / "tools"
    folder.mkdir()
    shutil.copy(programs / "tools" / "hold", folder)
    monkeypatch.setattr(tracers, "TOOLS_DIRECTORY", str(folder))
    return folder


@pytest.fixture
def agent(agent_program: Path) -> Iterator[Agent]:
    channel = PipeChannel(agent_program)
    made = Agent(channel, "test host")
    made.hello()
    yield made
    made.close()
    channel.release()


def held(agent: Agent, observer: StraceObserver, argv: list[str], said: list[bytes]) -> AgentProcess:
    return agent.start(observer.command(argv), out=said.append, err=said.append, stdin=True)


@pytest.mark.usefixtures("tools")
@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace on this machine")
def test_a_static_program_is_seen_and_keeps_its_streams(agent: Agent, tmp_path: Path) -> None:
    """strace sees each call of a static client; its exit status and output are its own."""
    program = tmp_path / "client"
    subprocess.run(["cc", "-static", "-o", program, COMPOSE / "own-program" / "client.c"], check=True)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        got: list[bytes] = []

        def serve() -> None:
            with server.accept()[0] as peer:
                while data := peer.recv(100):
                    got.append(data)

        thread = threading.Thread(target=serve)
        thread.start()
        observer, said = StraceObserver(agent, "client", Debugger()), list[bytes]()
        process = held(agent, observer, [str(program), "127.0.0.1", str(port)], said)
        observer.attach(process)
        ended = process.wait(20)
        thread.join(20)
    assert ended is not None
    assert ended.status == 0
    assert said == []
    assert b"".join(got) == b"ccstring"
    seen = observer.collect()
    assert seen.problems == ()
    assert [call.name for call in seen.calls] == ["socket", "connect", "send", "send", "send", "close", "exit"]
    assert seen.calls[1].program == "client"


def test_no_permission_to_trace_is_said(tools: Path, agent: Agent) -> None:
    """Where ptrace is refused the run is unsupported here, with the reason and an observer that needs none."""
    strace = tools / "strace"
    strace.write_text(DENIED)
    strace.chmod(0o755)
    observer, said = StraceObserver(agent, "client", Debugger(strace=(str(strace),))), list[bytes]()
    process = held(agent, observer, ["true"], said)
    with pytest.raises(Unsupported) as caught:
        observer.attach(process)
    assert "Operation not permitted" in str(caught.value)
    assert "observe: {client: probe}" in str(caught.value)
    process.signal(signal.SIGKILL)  # it waits to be traced, and outside a lab nobody else ends it
    assert process.wait(20) is not None


def test_what_cannot_be_executed_is_said(tools: Path, agent: Agent) -> None:
    """hold says at once what the agent would have said, and ends as a shell does; the observer as the agent."""
    assert (tools / "hold").exists()
    said: list[bytes] = []
    process = held(agent, StraceObserver(agent, "client", Debugger()), ["/no/such/program"], said)
    ended = process.wait(20)
    assert ended is not None
    assert ended.status == 127
    assert b"cannot execute `/no/such/program`: No such file" in b"".join(said)
    with pytest.raises(AgentRefused, match="No such file"):
        StraceObserver(agent, "client", Debugger()).attach(process)
