"""The real agent, compiled here, driven over pipes as an engine would."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.lab.agent import Agent, AgentRefused
from testbed.model.errors import LabError, LabTimeout

WAIT = 20.0


class PipeChannel:
    """A channel to an agent that is a plain child process."""

    def __init__(self, *command: str | Path) -> None:
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._in = self.process.stdin
        self._out = self.process.stdout

    def receive(self) -> bytes:
        return os.read(self._out.fileno(), 1 << 16)

    def send(self, data: bytes) -> None:
        self._in.write(data)
        self._in.flush()

    def close(self) -> None:
        if not self._in.closed:
            self._in.close()
        self.process.wait(WAIT)

    def release(self) -> None:
        self._out.close()

    def last_words(self) -> str:
        return ""


@pytest.fixture
def channel(agent_program: Path) -> PipeChannel:
    return PipeChannel(agent_program)


@pytest.fixture
def agent(channel: PipeChannel) -> Iterator[Agent]:
    made = Agent(channel, "test agent")
    made.hello()
    yield made
    made.close()
    channel.release()


def test_output_environment_and_status_of_a_program(agent: Agent) -> None:
    """Both streams arrive apart, our environment reaches it, and its exit status comes after its output."""
    out: list[bytes] = []
    err: list[bytes] = []
    program = agent.start(
        ["sh", "-c", 'echo "$WORD"; echo oops >&2; exit 7'], env={"WORD": "hello"}, out=out.append, err=err.append
    )
    ended = program.wait(WAIT)
    assert ended is not None
    assert (b"".join(out), b"".join(err), ended.status, ended.signal) == (b"hello\n", b"oops\n", 7, None)
    assert program.started <= ended.time


def test_few_descriptors_are_enough(agent_program: Path) -> None:
    """`ulimit -n 24` where the runner was started: poll refuses more entries than that."""
    channel = PipeChannel("sh", "-c", 'ulimit -n 24 && exec "$0"', agent_program)
    agent = Agent(channel, "test agent")
    assert agent.run(["echo", "alive"]) == "alive\n"
    agent.close()
    channel.release()


def test_an_agent_that_is_stopped_is_waited_for_once(
    channel: PipeChannel, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks it after that is told at once, until it answers again."""
    program = agent.start(["sleep", "100"], out=lambda _: None, err=lambda _: None)
    monkeypatch.setattr("testbed.lab.agent.ANSWER_TIMEOUT", 0.2)
    channel.process.send_signal(signal.SIGSTOP)
    with pytest.raises(LabTimeout, match="did not answer"):
        agent.check()
    monkeypatch.setattr("testbed.lab.agent.ANSWER_TIMEOUT", WAIT)
    with pytest.raises(LabTimeout, match="did not answer"):
        agent.check()
    assert program.wait(WAIT) is None
    channel.process.send_signal(signal.SIGCONT)
    while agent.silent:
        time.sleep(0.01)
    agent.check()


def test_large_input_and_output_are_passed_whole(agent: Agent) -> None:
    """4 MiB through `cat` come back unchanged, though no pipe holds that much."""
    data = os.urandom(1 << 20) * 4
    out: list[bytes] = []
    program = agent.start(["cat"], out=out.append, err=out.append, stdin=True)
    program.write(data)
    program.end_input()
    ended = program.wait(WAIT)
    assert ended is not None
    assert ended.status == 0
    assert b"".join(out) == data


def test_unknown_program_is_refused_with_its_errno(agent: Agent) -> None:
    """A program that does not exist is an answer, not the end of the agent."""
    with pytest.raises(AgentRefused, match="No such file") as refused:
        agent.start(["/no/such/program"], out=lambda _: None, err=lambda _: None)
    assert refused.value.number == 2
    assert agent.run(["echo", "alive"]) == "alive\n"


def test_signal_reaches_the_whole_process_group(agent: Agent) -> None:
    """A signal ends a shell and the child that it waits for."""
    started = threading.Event()
    program = agent.start(
        ["sh", "-c", "echo up; sleep 100; echo survived"], out=lambda _: started.set(), err=lambda _: None
    )
    assert started.wait(WAIT)
    program.signal(signal.SIGTERM)
    ended = program.wait(WAIT)
    assert ended is not None
    assert ended.signal == "SIGTERM"


def test_failing_helper_says_what_it_printed(agent: Agent) -> None:
    """`run` turns a non-zero status into an error with the helper's last output."""
    with pytest.raises(LabError, match="failed") as failed:
        agent.run(["sh", "-c", "echo the reason >&2; exit 3"])
    assert "the reason" in failed.value.last_output
    assert "exit status 3" in failed.value.state


def test_files_and_directories(agent: Agent, tmp_path: Path) -> None:
    """Files come back byte for byte, directories as sorted names, what is missing as ENOENT."""
    content = os.urandom(700_000)
    (tmp_path / "b").write_bytes(content)
    (tmp_path / "a").touch()
    assert agent.list_directory(str(tmp_path)) == ["a", "b"]
    assert agent.read_file(str(tmp_path / "b")) == content
    assert agent.read_file(str(tmp_path / "a")) == b""
    assert agent.read_part(str(tmp_path / "b"), 300_000, 350_000) == content[300_000:650_000]
    assert agent.read_part(str(tmp_path / "b"), 650_000, 100_000) == content[650_000:]
    assert agent.read_part(str(tmp_path / "b"), 1 << 40, 10) == b""
    with pytest.raises(AgentRefused, match="No such file"):
        agent.read_file(str(tmp_path / "c"))
    with pytest.raises(AgentRefused, match="No such file"):
        agent.list_directory(str(tmp_path / "c"))


def test_trees_of_files(agent: Agent, tmp_path: Path) -> None:
    """Regular files below directories come with their paths; some directories, links and what is hidden do not."""
    (tmp_path / "one" / "deep" / "deeper").mkdir(parents=True)
    (tmp_path / "two").mkdir()
    (tmp_path / "one" / "without").mkdir()
    (tmp_path / "one" / "without" / "left-out").write_text("no")
    (tmp_path / "one" / ".hidden").write_text("no")
    (tmp_path / "one" / "link").symlink_to(tmp_path / "two" / "b")
    files = {
        tmp_path / "one" / "a": "1\t2\n",
        tmp_path / "one" / "empty": "",
        tmp_path / "one" / "deep" / "deeper" / "c": "x" * 4096,
        tmp_path / "two" / "b": "3\n",
        **{tmp_path / "two" / f"many{n}": "y" * 4000 for n in range(300)},
    }
    for path, content in files.items():
        path.write_text(content)
    trees = [str(tmp_path / "one"), str(tmp_path / "two")]
    assert agent.begin_trees(trees, ["without"])() == {str(path): content for path, content in files.items()}
    assert str(tmp_path / "one" / "without" / "left-out") in agent.begin_trees(trees)()
    with pytest.raises(AgentRefused, match="No such file"):
        agent.begin_trees([*trees, str(tmp_path / "three")])()


def test_sentinel_needs_its_port_first(agent: Agent) -> None:
    """Sending before `open` is refused, afterwards it goes out; what is no address is refused.

    That it is on the wire, once each way, is proved by every lab test.
    """
    with pytest.raises(AgentRefused, match="Bad file descriptor"):
        agent.send_sentinel("127.0.0.1", "too early")
    try:
        agent.open_sentinel()
    except AgentRefused as refused:
        pytest.skip(f"UDP port 9 cannot be bound here: {refused.what}")
    agent.send_sentinel("127.0.0.1", "text")
    with pytest.raises(AgentRefused, match="Invalid argument"):
        agent.send_sentinel("not an address", "x")


def test_programs_beyond_the_table_are_refused_and_slots_are_reused(agent: Agent) -> None:
    """32 programs at once are served, the 33rd is refused, and an ended one makes room."""
    running = [agent.start(["cat"], out=lambda _: None, err=lambda _: None, stdin=True) for _ in range(32)]
    with pytest.raises(AgentRefused, match="temporarily unavailable"):
        agent.start(["true"], out=lambda _: None, err=lambda _: None)
    for program in running:
        program.end_input()
    for program in running:
        assert program.wait(WAIT) is not None
    assert agent.run(["echo", "again"]) == "again\n"


def test_end_of_the_channel_ends_the_agent(channel: PipeChannel) -> None:
    """When the runner is gone the agent exits by itself; who still asks is told that it went away."""
    agent = Agent(channel, "test agent")
    agent.hello()
    agent.close()
    assert channel.process.returncode == 0
    with pytest.raises(LabError, match="went away"):
        agent.hello()
    channel.release()


def test_killed_agent_is_noticed(channel: PipeChannel) -> None:
    """Programs of an agent that dies count as ended without an exit, and waiting for them is an error."""
    agent = Agent(channel, "test agent")
    program = agent.start(["cat"], out=lambda _: None, err=lambda _: None, stdin=True)
    channel.process.kill()
    with pytest.raises(LabError, match="went away"):
        program.wait(WAIT)
    agent.close()
    channel.release()


def test_offloads_are_read_and_turned_off(agent_program: Path) -> None:
    """In a network namespace of one's own; of what cannot be turned off the name is told."""
    channel = PipeChannel("unshare", "--user", "--map-root-user", "--net", agent_program)
    agent = Agent(channel, "test agent")
    try:
        agent.run(["ip", "link", "add", "one", "type", "veth", "peer", "name", "other"])
        names = ("tx-checksumming", "tcp-segmentation-offload", "generic-segmentation-offload", "tx-tcp-segmentation")
        before = agent.offloads("one")
        agent.turn_off_offloads("one")
        after = agent.offloads("one")
        assert {before[name] for name in names} == {"on"}
        assert {after[name] for name in (*names, "generic-receive-offload")} == {"off"}
        assert before.keys() == after.keys()
        assert len(after) > 30
        with pytest.raises(AgentRefused, match="tx-checksumming"):
            agent.turn_off_offloads("lo")
        with pytest.raises(AgentRefused, match="none"):
            agent.offloads("none")
    finally:
        agent.close()
        channel.release()
