"""Find what a target names: a container of the engine, or a process or a network namespace of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from testbed.lab.docker.running_containers import RunningContainers
from testbed.model.errors import UsageError
from testbed.watch.target import Target, TargetKind, outside_of

_NAMED = Path("/run/netns")


@dataclass(frozen=True, slots=True)
class FoundTarget:
    """A target that was found: ``container`` is its id, or else ``namespace`` the path of its network namespace.

    ``pid`` is a process in it, of a container its first, 0 where none is known. ``what`` describes it in a few words.
    """

    target: Target
    what: str
    container: str = ""
    namespace: Path | None = None
    pid: int = 0
    outside: tuple[str, int] | None = None
    """Host and port, where it is outside."""

    @property
    def path(self) -> Path:
        """Its network namespace on this machine, if the engine is here too."""
        return self.namespace or Path(f"/proc/{self.pid}/ns/net")

    def lives(self) -> bool:
        """Say whether it is still there. A container is asked for elsewhere."""
        return not self.pid or _runs(self.pid)


def find_target(target: Target, containers: RunningContainers, compose: str = "") -> FoundTarget:
    """Find a target. ``compose`` is the compose file of whose project a service is, if it was named.

    Raises UsageError where nothing or more than one thing has the name, EngineError where the engine does not answer.
    """
    match target.kind:
        case TargetKind.PID:
            return _process(target, int(target.name))
        case TargetKind.NAME:
            return _process(target, _by_name(target))
        case TargetKind.NAMESPACE:
            path = Path(target.name) if "/" in target.name else _NAMED / target.name
            if not path.exists():
                raise UsageError(f"`{target.text}`: there is no network namespace {path}", hint="`ip netns list`")
            return FoundTarget(target, f"network namespace {target.name}", namespace=path)
        case TargetKind.OUTSIDE:
            return FoundTarget(target, f"outside: {target.name}", outside=outside_of(target))
    found = containers.find(target.name, compose)
    return FoundTarget(target, f"container {found.name}", container=found.id, pid=containers.first_process(found.id))


def _process(target: Target, pid: int) -> FoundTarget:
    path = Path(f"/proc/{pid}/ns/net")
    try:
        path.stat()
    except FileNotFoundError:
        raise UsageError(f"`{target.text}`: there is no process {pid}") from None
    except PermissionError:
        raise UsageError(
            f"`{target.text}`: process {pid} is somebody else's", hint="as root it can be watched"
        ) from None
    return FoundTarget(target, f"process {pid} ({_comm(pid)})", namespace=path, pid=pid)


def _by_name(target: Target) -> int:
    """Return the process of this name; of several in one network namespace the oldest."""
    found = sorted(pid for pid in _processes() if _comm(pid) == target.name[:15])
    if not found:
        raise UsageError(f"`{target.text}`: no process of this machine is called {target.name}")
    places: dict[int, int] = {}
    for pid in found:
        try:
            places.setdefault(Path(f"/proc/{pid}/ns/net").stat().st_ino, pid)
        except OSError:  # it ended, or is somebody else's
            continue
    if len(places) != 1:
        listed = ", ".join(f"pid:{pid}" for pid in found[:10])
        raise UsageError(
            f"`{target.text}`: {len(found)} processes in {len(places)} network namespaces are called so",
            hint=f"name one of {listed}",
        )
    return next(iter(places.values()))


def _processes() -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            yield int(entry.name)


def _runs(pid: int) -> bool:
    """Say whether a process runs: one that has ended stays in the list until its parent asks for it."""
    process = Path(f"/proc/{pid}")
    try:
        state = (process / "stat").read_text(encoding="utf-8", errors="replace").rpartition(") ")[2][:1]
        return state not in "ZX" or len(list((process / "task").iterdir())) > 1  # the first may end first
    except OSError:
        return False


def _comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
