"""A compose file that adds a tap to each of some services, and the runs that what they capture becomes.

For people who cannot give a tool their engine: ``docker compose -f compose.yaml -f watch.yaml up`` captures,
``invoke evaluate FOLDER`` evaluates. Each tap leaves ``N-SERVICE.pcap``, with its addresses (``.json``), when it began
and ended (``.begun``, ``.ended``) and what tcpdump printed (``.log``).
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path

import numpy as np

from testbed.capture.columns import Capture
from testbed.capture.read_file import read
from testbed.lab.collected import Collected
from testbed.lab.identity import new_run_id
from testbed.model import HOSTS, Host
from testbed.model.errors import CaptureError, UsageError
from testbed.model.ip import address_words
from testbed.rundir.layout import MANIFEST, RunDirectory
from testbed.watch.edges import all_written, last_time, leave_out_edges
from testbed.watch.pcap_stream import without_frames
from testbed.watch.target import Target, TargetKind, addresses_in
from testbed.watch.watch_order import Kept
from testbed.watch.watched_manifest import KNOWN_FROM, watched_manifest

FOLDER = "watched"
"""Where the taps write, beside the compose file."""
_DROPPED = re.compile(r"^([1-9]\d*) packets? (dropped by (?:kernel|interface))", re.MULTILINE)
_COUNTED = re.compile(r"^(\d+) packets? (captured|received by filter)", re.MULTILINE)
_HEADER = """\
# Adds a tap to each of these services: captures of both ends, below ./{folder}.
#   docker compose -f compose.yaml -f THIS up        (end it with Ctrl-C, or `docker compose ... stop`)
#   invoke evaluate {folder}
# A tap begins once its service has: to see the first connection too, let the program wait a second.
services:
"""
_SERVICE = """\
  watch-{service}:
    image: "${{BOTHENDS_TAP:-{image}}}"
    network_mode: "service:{service}"
    depends_on: ["{service}"]
    cap_drop: ["ALL"]
    cap_add: ["NET_ADMIN", "NET_RAW"]
    security_opt: ["no-new-privileges"]
    stop_grace_period: 10s
    volumes: ["./{folder}:/captures"]
    entrypoint: ["/bin/sh", "-c"]
    command:
      - |
        cd /captures && ip -json address show up > {name}.json && rm -f {name}.begun {name}.ended
        trap 'ended=$$(date +%s%N); kill -INT $$tap' INT TERM
        tcpdump -i any -n -p -U -s {snap} -B 32768 -Z root --immediate-mode --time-stamp-precision=nano \
          -w {name}.pcap {filter} 2> {name}.log &
        tap=$$!
        until grep -q 'listening on' {name}.log || ! kill -0 $$tap; do sleep 0.1; done
        date +%s%N > {name}.begun
        wait $$tap || wait $$tap
        echo $${{ended:-$$(date +%s%N)}} > {name}.ended
"""
_FILTER = "'tcp or udp or icmp or icmp6'"


def overlay(targets: Sequence[Target], image: str, snap: int) -> str:
    """Return the text of a compose file; ``snap``: bytes that are kept of each packet, 0 for all.

    Raises UsageError for what is no service.
    """
    wrong = next((each for each in targets if each.kind is not TargetKind.CONTAINER), None)
    if wrong is not None:
        raise UsageError(f"`{wrong.text}` is no service", hint="an overlay adds taps to the services of a compose file")
    if len(targets) < 2:
        raise UsageError("name at least two services")
    first = {"client": 0, None: 1, "server": 2}
    ordered = sorted(targets, key=lambda each: first[each.role])
    services = [
        _SERVICE.format(
            service=each.name, name=f"{n}-{each.label}", image=image, folder=FOLDER, snap=snap, filter=_FILTER
        )
        for n, each in enumerate(ordered, 1)
    ]
    return _HEADER.format(folder=FOLDER) + "".join(services)


@dataclass(frozen=True, slots=True)
class _Tapped:
    """What one tap left: the service's place and name, its addresses, times in ns, and what tcpdump dropped.

    ``whole``: all that had come as it ended was written.
    """

    path: Path
    name: str
    addresses: list[str]
    begun: int
    ended: int
    problems: tuple[str, ...]
    whole: bool


def is_overlay_folder(folder: Path) -> bool:
    """Say whether taps of an overlay wrote to a folder."""
    return any(path.with_suffix(".begun").exists() for path in folder.glob("*.pcap"))


def runs_of(folder: Path) -> Iterator[Kept]:
    """Make a run of each two services that talked, below ``folder/runs``.

    Raises UsageError where a folder holds nothing that taps wrote.
    """
    tapped = [
        _tapped(path) for path in sorted(folder.glob("*.pcap"), key=_number) if path.with_suffix(".begun").exists()
    ]
    if len(tapped) < 2:
        raise UsageError(f"{folder} holds {len(tapped)} captures of taps", hint="`invoke watch --overlay` makes taps")
    for client, server in combinations(tapped, 2):
        kept = _run(folder, client, server)
        if kept is not None:
            yield kept


def _number(path: Path) -> tuple[int, str]:
    number = path.name.partition("-")[0]
    return (int(number) if number.isdecimal() else 0), path.name


def _tapped(path: Path) -> _Tapped:
    try:
        addresses = addresses_in(path.with_suffix(".json").read_text(encoding="utf-8"))
        begun = int(path.with_suffix(".begun").read_text())
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"what the tap wrote beside {path} cannot be read: {error}") from error
    problems = []
    try:
        ended = int(path.with_suffix(".ended").read_text())
    except (OSError, ValueError):
        ended = 0
        problems.append("its tap was killed: what it dropped is not known")
    log = path.with_suffix(".log")
    said = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    problems += [f"tcpdump says that {count} packets were {where}" for count, where in _DROPPED.findall(said)]
    own = [address for each in addresses.values() for address in each]
    counted = {what: int(count) for count, what in _COUNTED.findall(said)}
    return _Tapped(
        path, path.stem.partition("-")[2], own, begun, ended, tuple(problems), bool(ended) and all_written(counted)
    )


def _run(folder: Path, client: _Tapped, server: _Tapped) -> Kept | None:
    tapped: dict[Host, _Tapped] = {"client": client, "server": server}
    collected = Collected(observers=dict.fromkeys(HOSTS, "none"), notes=[KNOWN_FROM])
    captures: dict[Host, Capture] = {}
    for host, each in tapped.items():
        collected.incomplete += [f"{host}: {problem}" for problem in each.problems]
        try:
            captures[host] = read(each.path)
        except CaptureError as error:
            raise UsageError(str(error)) from error
    ours = {host: _between(capture, client.addresses, server.addresses) for host, capture in captures.items()}
    if not any(rows.any() for rows in ours.values()):
        return None
    directory = RunDirectory.create(folder, f"watch-{client.name}-{server.name}", new_run_id())
    paths = {host: directory.file(f"{host}.pcap") for host in HOSTS}
    for host, each in tapped.items():
        shutil.copyfile(each.path, paths[host])
        without_frames(paths[host], frozenset((np.flatnonzero(~ours[host]) + 1).tolist()))
    addresses: dict[Host, list[str]] = {host: each.addresses for host, each in tapped.items()}
    begun = max(each.begun for each in tapped.values())
    ended = min(each.ended if each.whole else last_time(captures[host]) for host, each in tapped.items())
    left_out = leave_out_edges(paths, addresses, begun, ended)
    if any(left_out.values()):
        words = " and ".join(f"{number} at the {host}" for host, number in left_out.items() if number)
        collected.notes.append(f"packets on their way as watching began or ended are left out: {words}")
    targets = {host: (each.name, f"compose service {each.name}") for host, each in tapped.items()}
    started = datetime.fromtimestamp(begun / 1e9, UTC)
    engine = {"name": "watch"}
    directory.write_json(
        MANIFEST, watched_manifest(directory, targets, addresses, collected, started=started, engine=engine)
    )
    return Kept(directory, client.name, server.name)


def _between(capture: Capture, one: Sequence[str], other: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return which packets two ends sent each other."""

    def among(high: str, low: str, addresses: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        found = np.zeros(len(capture.version), np.bool_)
        for address in addresses:
            words = map(np.uint64, address_words(address))
            found |= (getattr(capture, high) == next(words)) & (getattr(capture, low) == next(words))
        return found

    there = among("src_hi", "src_lo", one) & among("dst_hi", "dst_lo", other)
    back = among("src_hi", "src_lo", other) & among("dst_hi", "dst_lo", one)
    return (there | back) & (capture.version > 0)
