"""Watch two or more targets until something happens: taps beside them, and a run directory for each pair."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

from testbed.lab.docker.running_containers import RunningContainers
from testbed.lab.engine import Progress
from testbed.lab.identity import new_run_id
from testbed.lab.namespace.beside import Beside
from testbed.model import Host
from testbed.model.errors import EngineError, LabError, UsageError
from testbed.rundir.layout import RunDirectory
from testbed.watch.find_target import FoundTarget, find_target
from testbed.watch.happenings import Happening
from testbed.watch.target import Target, ends
from testbed.watch.watch_order import Kept, Watched, WatchOrder
from testbed.watch.watch_round import WatchRound
from testbed.watch.watched_end import WatchedEnd, check_apart, listed, make_end, meet, together

POLL = 0.2
LOOK = 2.0
"""Seconds between two looks at whether the targets are still there."""


class TargetsLost(Exception):  # noqa: N818 - what happened
    """A target went away, or a tap died: why watching ends."""


def watch(
    targets: Sequence[Target],
    order: WatchOrder,
    *,
    root: Path,
    progress: Progress,
    meanwhile: Callable[[], bool] = lambda: False,
    on_kept: Callable[[Kept], None] = lambda _: None,
) -> Watched:
    """Watch until an event, the time or an interruption ends it; nothing of the targets is touched.

    ``meanwhile`` is called now and then and says whether watching is to end; ``on_kept`` is given each run as it is
    there. Run directories are made below ``root/runs``; they have captures, calls and manifest, and are not evaluated.
    A KeyboardInterrupt ends watching, and what was captured is kept.

    Raises UsageError for what cannot be found, Unsupported, EngineError, LabError.
    """
    with ExitStack() as stack:
        containers = stack.enter_context(RunningContainers(new_run_id(), progress))
        beside = stack.enter_context(Beside(progress))
        found = [find_target(target, containers, order.compose) for target in targets]
        for one, other in combinations(found, 2):
            if one.container and one.container == other.container:
                raise together(one, other)
        started = {each.container: containers.started(each.container) for each in found if each.container}
        progress(f"starting {len(found)} taps")
        with ThreadPoolExecutor(len(found)) as pool:
            all_ends = list(pool.map(lambda each: make_end(each, containers, beside), found))
        check_apart(all_ends)
        together_by_network = [(one, other) for one, other in combinations(all_ends, 2) if meet(one, other)]
        if not together_by_network:
            names = " and ".join(f"`{each.target.text}`" for each in found)
            raise UsageError(f"{names} have no network in common", state=listed(all_ends))
        engine = _engine(found, containers)

        def make_round() -> WatchRound:
            made = [(_ends(one, other), _directory(one, other, root)) for one, other in together_by_network]
            return WatchRound(made, order, containers, beside, progress)

        lives = _Lives(found, containers, started)
        watched = _Watching(order, make_round, lives, engine, meanwhile, on_kept).run(progress)
    return replace(watched, left=tuple(containers.left))


class _Lives:
    """Looks whether the targets are still there."""

    def __init__(self, found: Sequence[FoundTarget], containers: RunningContainers, started: Mapping[str, str]) -> None:
        self._found = found
        self._containers = containers
        self._started = started

    def gone(self) -> str:
        """Say which target is not there any more, empty for none."""
        return next(filter(None, map(self._gone, self._found)), "")

    def _gone(self, found: FoundTarget) -> str:
        name = found.target.text
        if not found.container:
            return "" if found.lives() else f"`{name}` ended while it was watched"
        state = self._containers.state(found.container)
        if state:
            return f"`{name}` ended while it was watched ({state})"
        if self._containers.started(found.container) != self._started[found.container]:
            return f"`{name}` was restarted while it was watched: its network is another one since"
        return ""


class _Watching:
    """Rounds of watching: one, or with ``every`` the next before the last has ended, so that nothing is missed."""

    def __init__(
        self,
        order: WatchOrder,
        make_round: Callable[[], WatchRound],
        lives: _Lives,
        engine: Mapping[str, Any],
        meanwhile: Callable[[], bool],
        on_kept: Callable[[Kept], None],
    ) -> None:
        self._order = order
        self._make_round = make_round
        self._lives = lives
        self._engine = engine
        self._meanwhile = meanwhile
        self._on_kept = on_kept
        self._result = Watched()
        self._deadline = float("inf")

    def run(self, progress: Progress) -> Watched:
        """Watch to the end."""
        now = self._make_round()
        following: WatchRound | None = None
        try:
            now.begin()
            if self._order.seconds:
                self._deadline = time.monotonic() + self._order.seconds
            progress("watching" + (f" for {self._order.seconds:g} s" if self._order.seconds else "; Ctrl-C ends it"))
            while (happened := self._wait(now)) is not None and self._order.every:
                following = self._make_round()
                following.begin()
                self._keep(now, happened)
                following.follow(now)
                now, following = following, None
        except KeyboardInterrupt:
            progress("ending")
            if following is not None:
                following.give_up()
        except TargetsLost as lost:
            self._result.ended = str(lost)
        except (LabError, EngineError) as failed:
            self._result.ended = failed.what
            if following is not None:
                following.give_up()
        self._keep(now, None)
        return self._result

    def _keep(self, now: WatchRound, happened: Happening | None) -> None:
        for kept in now.finish(self._engine, self._result.ended):
            if isinstance(kept, Kept):
                self._result.happened = happened or kept.happened or self._result.happened
                self._result.kept.append(kept)
                self._on_kept(kept)
            elif kept not in self._result.silent:
                self._result.silent.append(kept)

    def _wait(self, now: WatchRound) -> Happening | None:
        """Wait for an event, and as long after it as asked for; None where something else ends watching."""
        looked = time.monotonic()
        while True:
            happened = now.happened
            if happened is not None:
                time.sleep(self._order.after)
                return happened
            if time.monotonic() >= self._deadline or self._meanwhile():
                return None
            if now.died:
                time.sleep(LOOK)  # with a target its network goes, and the tap with that: which ended shows soon
                raise TargetsLost(self._lives.gone() or "a tap ended")
            if time.monotonic() - looked >= LOOK:
                gone = self._lives.gone()
                if gone:
                    raise TargetsLost(gone)
                now.look()
                looked = time.monotonic()
            time.sleep(POLL)


def _ends(one: WatchedEnd, other: WatchedEnd) -> dict[Host, WatchedEnd]:
    client, _ = ends(one.found.target, other.found.target)
    return {"client": one, "server": other} if client is one.found.target else {"client": other, "server": one}


def _directory(one: WatchedEnd, other: WatchedEnd, root: Path) -> Callable[[], RunDirectory]:
    by_host = _ends(one, other)
    name = "-".join(by_host[host].found.target.label for host in ("client", "server"))
    return lambda: RunDirectory.create(root, f"watch-{name}", new_run_id())


def _engine(found: Sequence[FoundTarget], containers: RunningContainers) -> dict[str, str]:
    version = containers.version() if any(each.container for each in found) else {}
    return {"name": "watch", **version}
