"""An unpacked engine, running: in namespaces of its own, with a socket and a data folder of its own.

Its networks, bridges and packet filters are in its own network namespace, its containers in its own PID namespace: the
machine's engine does not meet it, and nothing outlives it.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker

from dev.other_engines.unpack_engine import ROOTLESS, USER, UnpackedEngine
from testbed.model.errors import EngineError

PATIENCE = 60.0
"""Seconds until an engine answers."""
_DATA = "/var/lib/engine"
_SHARED = "/run/engine"
_COMMANDS = {
    "docker": (
        f"dockerd --host unix://{_SHARED}/engine.sock --data-root {_DATA} --exec-root /run/docker "
        "--pidfile /run/dockerd.pid --bridge none --cgroup-parent {cgroup}"
    ),
    "podman": f"podman --root {_DATA} --runroot /run/podman system service --time 0 unix://{_SHARED}/engine.sock",
    ROOTLESS: (
        f"setpriv --reuid {USER} --regid {USER} --clear-groups env HOME={_DATA} XDG_RUNTIME_DIR=/run/user "
        f"podman system service --time 0 unix://{_SHARED}/engine.sock"
    ),
}
_CONTAINERS_CONF = """\
[containers]
cgroupns = "private"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "crun"
[network]
network_backend = "netavark"
"""
_STORAGE_CONF = f'[storage]\ndriver = "overlay"\ngraphroot = "{_DATA}"\nrunroot = "/run/podman"\n'
# Everything is mounted in a namespace of its own; then the unpacked system is the only one there is.
_SETUP = """\
set -e
mount --make-rprivate /
mount --bind {root} {root}
cd {root}
mount -t proc proc proc
mount -t sysfs sysfs sys
mount --rbind /sys/fs/cgroup sys/fs/cgroup
[ ! -d sys/fs/cgroup/unified ] || umount -l sys/fs/cgroup/unified  # crun takes no hybrid of both versions
mount --rbind /dev dev
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mkdir -p .{shared} .{data}
mount --bind {sockets} .{shared}
mount --bind {state} .{data}
mkdir run/user
chown {owner}:{owner} run/user .{shared} .{data}
chmod 1777 tmp var/tmp
ip link set lo up
pivot_root . mnt
cd /
umount -l /mnt
export PATH=/usr/sbin:/usr/bin HOME=/root
exec {command}
"""


@dataclass(slots=True)
class RunningEngine:
    """An engine that answers at ``address`` (a value for DOCKER_HOST). ``log`` is what it prints.

    ``kind`` is one of :data:`dev.other_engines.unpack_engine.PACKAGES`.
    """

    kind: str
    address: str
    log: Path
    process: subprocess.Popen[bytes]
    command: list[str]

    def client(self) -> docker.DockerClient:
        """Return a new client of it."""
        return docker.DockerClient(self.address, version="auto", timeout=120)

    def restart(self) -> None:
        """End it and start it anew with the same data, as after an update; its containers end."""
        self.stop()
        with self.log.open("ab") as written:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=written, stderr=written)
        wait_until_it_answers(self)

    def stop(self) -> None:
        """End it as a machine's owner would; its containers end with it."""
        self.signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the engine itself: the first process of its namespaces, whose parent is ours."""
        if self.process.poll() is None:
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
            for child in children:
                os.kill(int(child), number)


@contextlib.contextmanager
def running(engine: UnpackedEngine, *, state: Path | None = None) -> Iterator[RunningEngine]:
    """Start an engine and end it. ``state`` is where it keeps images, and stays; default: a folder that goes with it.

    EngineError with the engine's last words if it does not answer within :data:`PATIENCE` seconds.
    """
    with tempfile.TemporaryDirectory(prefix=f"bothends-{engine.kind}-", dir="/var/tmp") as work:
        sockets, data = Path(work) / "socket", state or Path(work) / "data"
        sockets.mkdir()
        data.mkdir(parents=True, exist_ok=True)
        cgroup = f"/{Path(work).name}"
        started = start(engine, sockets=sockets, data=data, cgroup=cgroup)
        try:
            wait_until_it_answers(started)
            yield started
        finally:
            started.stop()
            _remove_cgroups(cgroup)
            if state is None:
                shutil.rmtree(data, ignore_errors=True)


def start(engine: UnpackedEngine, *, sockets: Path, data: Path, cgroup: str) -> RunningEngine:
    """Start an engine's processes in namespaces of their own."""
    rootless = engine.kind == ROOTLESS
    if rootless or engine.kind == "podman":
        (engine.root / "etc/containers/containers.conf").write_text(_CONTAINERS_CONF)
    if engine.kind == "podman":
        (engine.root / "etc/containers/storage.conf").write_text(_STORAGE_CONF)
    script = _SETUP.format(
        root=shlex.quote(str(engine.root)),
        shared=_SHARED,
        data=_DATA,
        sockets=shlex.quote(str(sockets)),
        state=shlex.quote(str(data)),
        owner=USER if rootless else 0,
        command=_COMMANDS[engine.kind].format(cgroup=cgroup),
    )
    command = ["unshare", "--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "sh", "-c", script]
    log = sockets / "log"
    with log.open("ab") as written:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=written, stderr=written)
    return RunningEngine(engine.kind, f"unix://{sockets}/engine.sock", log, process, command)


def wait_until_it_answers(engine: RunningEngine) -> None:
    """Return when an engine answers; EngineError if it does not."""
    deadline = time.monotonic() + PATIENCE
    while not _answers(engine.address.removeprefix("unix://")):
        if time.monotonic() > deadline or engine.process.poll() is not None:
            words = engine.log.read_text(errors="replace")[-3000:]
            raise EngineError(f"{engine.kind} does not answer", last_output=words)
        time.sleep(0.1)


def _answers(address: str) -> bool:
    """Ping the engine. The SDK leaves sockets open where nobody answers."""
    with socket.socket(socket.AF_UNIX) as channel, contextlib.suppress(OSError):
        channel.settimeout(PATIENCE)
        channel.connect(address)
        channel.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
        return b" 200 " in channel.recv(64)
    return False


def _remove_cgroups(name: str) -> None:
    """Remove the folders of control groups that an engine which was ended left empty."""
    for top in (*Path("/sys/fs/cgroup").glob(f"*{name}"), Path(f"/sys/fs/cgroup{name}")):
        for path in sorted((*top.rglob("*/"), top), reverse=True):
            with contextlib.suppress(OSError):
                path.rmdir()
