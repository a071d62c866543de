"""Labs of Linux namespaces on this machine, as root or as a plain user."""

from __future__ import annotations

import atexit
import contextlib
import os
import platform
import socket
import subprocess
import threading
from types import TracebackType
from typing import IO, NamedTuple, Self

from testbed.lab import call_trace
from testbed.lab.addresses import Claims
from testbed.lab.agent import Agent
from testbed.lab.engine import LabSpec, LinkHost, LiveLab, Progress, device_name
from testbed.lab.identity import numbers_tasks_as_the_kernel
from testbed.lab.kernel_trace import instance_name
from testbed.lab.namespace import lab_orders, machine, toolchain, unpacked_programs
from testbed.lab.namespace.namespace_trace import SYMBOLS, has_symbols
from testbed.lab.namespace.refusal import explain
from testbed.lab.topology import Topology, topology
from testbed.model import Host
from testbed.model.errors import BothendsError, EngineError

DOWN_TIMEOUT = 20.0
_CHUNK = 1 << 18


class SocketChannel:
    """One end of a socket pair, the other is an agent's standard input and output."""

    def __init__(self, ours: socket.socket, words: IO[bytes]) -> None:
        self._socket = ours
        self._words = words
        self._closing = threading.Lock()
        self._closed = False

    def receive(self) -> bytes:
        """Return the next bytes of the agent's standard output."""
        return self._socket.recv(_CHUNK)

    def send(self, data: bytes) -> None:
        """Send to the agent's standard input."""
        self._socket.sendall(data)

    def close(self) -> None:
        """Close both ways."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        with contextlib.suppress(OSError):  # the agent may be gone
            self._socket.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Give the descriptor back, once nothing reads it any more."""
        self._socket.close()

    def last_words(self) -> str:
        """Return what the agents of this lab printed on standard error."""
        return _text(self._words)


class RememberedInstances(NamedTuple):
    """Instances of tracefs that are kept, by their name, and the file that remembers their events (witness/memo.h)."""

    instance: str
    memo: int


class Namespaces:
    """Makes engines; what they share is found out once: what is compiled, and what of the machine they show.

    ``keep_up``: what records the kernel's trace of one lab is kept for the next ones, until this process ends. To make
    and remove it takes a third of a second in which the kernel makes no other.
    """

    keep_up = False
    overlaps = True

    def __init__(self) -> None:
        self._recorders: list[RememberedInstances] = []
        self._idle: list[RememberedInstances] = []
        self._ending: list[subprocess.Popen[bytes]] = []
        self._closes_at_exit = False
        self._toolchain: toolchain.Toolchain | None = None
        self._files: lab_orders.MachineFiles | None = None
        self.versions: dict[str, str] = {}

    def __call__(self, progress: Progress) -> NamespaceEngine:
        """Return an engine for one lab."""
        return NamespaceEngine(self, progress)

    def get_ready(self, progress: Progress) -> None:
        """Provide ahead: it reads many small files, and waits at each while another thread of ours is busy."""
        with contextlib.suppress(BothendsError):
            self.provide(progress)

    def provide(self, progress: Progress) -> tuple[toolchain.Toolchain, lab_orders.MachineFiles]:
        """Return what a lab is made of, compiling it the first time."""
        if self._toolchain is None or self._files is None:
            self._toolchain = toolchain.provide(progress)
            self._files = lab_orders.MachineFiles(
                *machine.visible(), os.path.exists, unpacked_programs.provide(progress)
            )
        return self._toolchain, self._files

    def take_recorder(self) -> RememberedInstances:
        """Return instances of tracefs that no lab uses now."""
        self._close_at_exit()
        if not self._idle:
            memo = os.memfd_create("bothends-events")
            self._recorders.append(RememberedInstances(instance_name(os.urandom(4).hex()), memo))
            return self._recorders[-1]
        return self._idle.pop()

    def give_recorder(self, recorder: RememberedInstances) -> None:
        """Take back what a lab recorded with, which has ended as it should."""
        self._idle.append(recorder)

    def leave(self, recorder: subprocess.Popen[bytes]) -> None:
        """Take over what is removing its instances of tracefs, which takes the kernel a fifth of a second.

        This process does not end before, nor does :meth:`close`.
        """
        self._close_at_exit()
        self._ending = [process for process in (*self._ending, recorder) if process.poll() is None]

    def _close_at_exit(self) -> None:
        if not self._closes_at_exit:
            self._closes_at_exit = True
            atexit.register(self.close)

    def close(self) -> None:
        """Remove the instances of tracefs that were kept; return when all are removed."""
        ending, self._ending = self._ending, []
        for process in ending:
            with contextlib.suppress(KeyboardInterrupt):  # whoever is in a hurry: it goes on without us
                _end(process)
        recorders, self._recorders, self._idle = self._recorders, [], []
        for recorder in recorders:
            os.close(recorder.memo)
        if recorders and self._toolchain is not None:
            words = [str(self._toolchain.witness), "remove", *(recorder.instance for recorder in recorders)]
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                subprocess.run(words, timeout=DOWN_TIMEOUT, check=False)


class NamespaceEngine:
    """One lab in namespaces. Leaving the context removes it: the kernel does, once its processes have ended."""

    name = "namespace"

    def __init__(self, shared: Namespaces, progress: Progress) -> None:
        self._shared = shared
        self._progress = progress
        self._claims = Claims()
        self._launch: subprocess.Popen[bytes] | None = None
        self._agents: list[tuple[Agent, SocketChannel]] = []
        self._words: IO[bytes] | None = None
        self._witness: tuple[subprocess.Popen[bytes], SocketChannel, RememberedInstances | None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.take_down()

    def bring_up(self, spec: LabSpec) -> LiveLab:
        """Make namespaces, joined directly or by a link host, and agents; Unsupported where this machine cannot."""
        debugger = any(host.debugger for host in spec.hosts.values())
        machine.check(spec.hosts.values(), routed=spec.routed, debugger=debugger)
        tools, files = self._shared.provide(self._progress)
        self._words = os.fdopen(os.memfd_create("bothends-stderr"), "r+b", buffering=0)
        # The kernel makes what the witness needs while it makes the hosts: it takes a sixth of a second.
        witness = self._start_witness(spec, tools) if spec.witness else None
        net = topology(spec, lambda: self._claims.choose(tuple(spec.hosts)))
        self._progress(f"making {len(spec.hosts)} hosts with their taps")
        agents, pids = self._start(spec, net, tools, files)
        if witness is not None and self._parents_follow(spec):
            with contextlib.suppress(OSError):  # it may have ended, and has then said why
                witness.send(call_trace.parents_order(pids[f"{host}-host"] for host in spec.hosts))
        for agent in agents.values():
            agent.hello()
        return LiveLab(
            hosts={host: agents[host, "host"] for host in spec.hosts},
            taps={host: agents[host, "tap"] for host in spec.hosts},
            addresses=net.addresses,
            routes={
                host: {} if lab_orders.makes_routes(spec) else net.routes(host, described.route)
                for host, described in spec.hosts.items()
            },
            devices={host: device_name(spec.run_id, host) for host in spec.hosts},
            link=(
                LinkHost(agents[lab_orders.LINK, lab_orders.LINK], net.link, lab_orders.link_interfaces(spec))
                if spec.routed
                else None
            ),
            witness=witness,
            versions=self._shared.versions,
            manifest={
                "engine": {
                    "name": self.name,
                    "kernel": platform.release(),
                    "architecture": platform.machine(),
                    "tools": tools.key,
                    "user": "root" if os.geteuid() == 0 else "plain",
                },
                "subnet": net.text,
                "processes": pids,
            },
        )

    def take_down(self) -> None:
        """End every process of the lab; the kernel then removes namespaces, interfaces and mounts."""
        launch, self._launch = self._launch, None
        if launch is not None:
            assert launch.stdin is not None  # noqa: S101 - pipes were asked for
            assert launch.stdout is not None  # noqa: S101
            with contextlib.suppress(OSError):  # it may be gone
                launch.stdin.close()
            try:
                launch.wait(DOWN_TIMEOUT)
            except subprocess.TimeoutExpired:
                launch.kill()  # the kernel kills its processes with it
                launch.wait()
            launch.stdout.close()
        witness, self._witness = self._witness, None
        if witness is not None:
            process, its_channel, kept = witness
            its_channel.close()  # it removes its instances of tracefs, if it has not kept them, and ends
            its_channel.release()
            if kept is None:
                self._shared.leave(process)
            elif _end(process) == 0:
                self._shared.give_recorder(kept)
        for agent, channel in self._agents:
            agent.close()
            channel.release()
        self._agents.clear()
        if self._words is not None:
            self._words.close()
            self._words = None
        self._claims.release()

    def describe_death(self, host: Host) -> str:
        """Say if the process that holds the lab is gone; an agent's own end shows in its channel."""
        del host
        ended = None if self._launch is None else self._launch.poll()
        return "" if ended is None else f"the lab's launcher ended with {ended}"

    def _parents_follow(self, spec: LabSpec) -> bool:
        return call_trace.records_calls(spec.witness) and numbers_tasks_as_the_kernel()

    def _start_witness(self, spec: LabSpec, tools: toolchain.Toolchain) -> SocketChannel:
        """Start the witness outside the lab, with the rights that we have."""
        assert self._words is not None  # noqa: S101 - bring_up made it
        kept = self._shared.take_recorder() if self._shared.keep_up else None
        words = spec.witness if kept is None else ("reuse", f"--memo={kept.memo}", kept.instance, *spec.witness[2:])
        if self._parents_follow(spec):
            words = call_trace.awaiting_parents(words)
        if has_symbols():  # the run is evaluated here, with our rights
            words = (words[0], SYMBOLS, *words[1:])
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [tools.witness, *words],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=self._words,
                pass_fds=() if kept is None else (kept.memo,),
                start_new_session=True,
                cwd="/",
                env={},
            )
        channel = SocketChannel(ours, self._words)
        self._witness = process, channel, kept
        return channel

    def _start(
        self, spec: LabSpec, net: Topology, tools: toolchain.Toolchain, files: lab_orders.MachineFiles
    ) -> tuple[dict[lab_orders.Role, Agent], dict[str, int]]:
        assert self._words is not None  # noqa: S101 - bring_up made it
        words = self._words
        pairs = {role: socket.socketpair() for role in lab_orders.roles(spec)}
        try:
            channels = {role: theirs.fileno() for role, (_, theirs) in pairs.items()}
            orders = lab_orders.orders(spec, net, tools, files, channels)
            self._launch = launch = subprocess.Popen(
                [tools.launch],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=words,
                pass_fds=tuple(channels.values()),
                # Away from our terminal: its keys are for us, and nothing inside may write to it.
                start_new_session=True,
                cwd="/",
                env={},
            )
        except BaseException:
            for ours, _ in pairs.values():
                ours.close()
            raise
        finally:
            for _, theirs in pairs.values():
                theirs.close()
        agents = {}
        for role, (ours, _) in pairs.items():
            channel = SocketChannel(ours, words)
            agents[role] = Agent(channel, "link host" if role[0] == lab_orders.LINK else " ".join(role))
            self._agents.append((agents[role], channel))
        pids = _give_orders(launch, orders, words)
        return agents, {"-".join(role): pid for role, pid in zip(agents, pids, strict=True)}


def _end(process: subprocess.Popen[bytes]) -> int:
    """Wait until a process has ended, which it was told to; return its exit status."""
    try:
        return process.wait(DOWN_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _give_orders(launch: subprocess.Popen[bytes], orders: bytes, words: IO[bytes]) -> list[int]:
    """Carry the orders out; return the agents' process ids."""
    assert launch.stdin is not None  # noqa: S101 - pipes were asked for
    assert launch.stdout is not None  # noqa: S101
    with contextlib.suppress(BrokenPipeError):  # why it ended is in its answer
        launch.stdin.write(orders)
        launch.stdin.flush()
    answer = launch.stdout.readline().decode(errors="replace").split(maxsplit=2)
    if answer[:1] == ["ready"]:
        return [int(word) for word in " ".join(answer[1:]).split()]
    if answer[:1] == ["error"]:
        raise explain(int(answer[1]), answer[2].strip())
    raise EngineError("the lab's launcher ended", state=f"exit status {launch.wait()}", last_output=_text(words))


def _text(words: IO[bytes]) -> str:
    if words.closed:
        return ""
    return os.pread(words.fileno(), 4096, 0).decode(errors="replace")
