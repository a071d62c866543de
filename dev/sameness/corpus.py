"""The recorded inputs of a check: kept runs and captures, copied once, so that both trees see the same bytes.

Beside each run stands a copy of it that is damaged in one way, so that the reasons for an incomplete observation and
the rules for altered and lost packets are met more often than healthy runs meet them.
"""

from __future__ import annotations

import hashlib
import shutil
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any

CAPTURES = (".pcap", ".pcapng", ".gz")
_LARGE = 2_000_000  # bytes of a run's captures beyond which it is neither damaged nor diffed
_DIFFED = 4  # runs of one scenario, each held against the one before
_HEADER, _RECORD = 24, 16  # bytes of a pcap file's header, and of a record's


@dataclass(frozen=True, slots=True)
class Item:
    """One question to both trees: ``kind`` is run, pair or diff, ``paths`` are relative to the copy.

    ``name`` is what people call it. ``texts``: ask for the page for people too. ``options`` are of `invoke compare`.
    """

    kind: str
    name: str
    paths: tuple[str, ...]
    texts: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)


OTHERWISE: tuple[Mapping[str, Any], ...] = ({"one_clock": True}, {"filter": "tcp and not (port 80 or udp)"})
"""With which options captures of both ends are compared besides."""


def runs_below(place: Path) -> list[Path]:
    """Return the run directories at or below a folder; ``latest`` and other links are not followed."""
    return sorted({path.parent for path in place.rglob("manifest.json")})


def captures_below(place: Path) -> list[tuple[Path, Path]]:
    """Return pairs of captures: all of one folder of ``pairs``, both ways; others with themselves and the next."""
    folders: dict[Path, list[Path]] = {}
    for path in sorted(place.rglob("*")):
        if path.is_file() and path.suffix in CAPTURES:
            folders.setdefault(path.parent, []).append(path)
    found: list[tuple[Path, Path]] = []
    for folder, files in folders.items():
        if folder.parent.name == "pairs":
            found += permutations(files, 2)
        else:
            found += [pair for k, path in enumerate(files) for pair in ((path, path), (path, files[k - 1]))]
    return found


def gather(copy: Path, runs: Sequence[Path], captures: Path | None, *, damaged: bool = True) -> list[Item]:
    """Copy the inputs of both trees into a new folder and return what is to be asked of them."""
    items: list[Item] = []
    by_scenario: dict[str, list[str]] = {}
    kept = [run for place in runs for run in runs_below(place)]
    for number, run in enumerate(dict.fromkeys(kept)):
        path = Path("runs", f"{number:04}", run.parent.name, run.name)
        shutil.copytree(run, copy / path, ignore=shutil.ignore_patterns("report.html", "annotated.pcapng"))
        items += _asked(copy, path, str(run))
        small = sum(file.stat().st_size for file in (copy / path).glob("*.pcap")) < _LARGE
        if small:
            by_scenario.setdefault(run.parent.name, []).append(str(path))
        if damaged and small:
            items += _damaged(copy, path, str(run), number)
    for name, paths in by_scenario.items():
        items += [Item("diff", f"{name}: {one} {other}", (one, other)) for one, other in pairwise(paths[:_DIFFED])]
    if captures is not None:
        shutil.copytree(captures, copy / "captures")
        for one, other in captures_below(copy / "captures"):
            files = str(one.relative_to(copy)), str(other.relative_to(copy))
            items.append(Item("pair", " ".join(files), files))
            if "pairs" in one.parts:
                items += [Item("pair", f"{' '.join(files)} {options}", files, False, options) for options in OTHERWISE]
    return items


def _asked(copy: Path, path: Path, name: str) -> Iterator[Item]:
    """Yield what is asked of a run; of a damaged one without the pages, and with one clock for both captures."""
    whole = path.parts[0] == "runs"
    yield Item("run", name, (str(path),), whole)
    ends = path / "client.pcap", path / "server.pcap"
    if all((copy / end).exists() for end in ends):
        options = {} if whole else OTHERWISE[0]
        yield Item("pair", f"captures of {name} {options or ''}", (str(ends[0]), str(ends[1])), whole, options)


def _damaged(copy: Path, path: Path, name: str, number: int) -> Iterator[Item]:
    """Damage a copy of a run in the next way, of those in turn, that it can be damaged in."""
    broken = Path("damaged", *path.parts[1:])
    shutil.copytree(copy / path, copy / broken)
    ways = list(DAMAGES.items())
    turned = ways[number % len(ways) :] + ways[: number % len(ways)]
    for what, damage in turned:
        if damage(copy / broken):
            yield from _asked(copy, broken, f"{name} ({what})")
            return


def digests(place: Path) -> dict[str, str]:
    """Return a digest of every file below a folder."""
    return {
        str(path.relative_to(place)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(place.rglob("*"))
        if path.is_file()
    }


def _records(data: bytes) -> list[tuple[int, int]]:
    """Return where the records of a pcap file are that tcpdump wrote here: (start, end), their headers included."""
    found, at = [], _HEADER
    while at + _RECORD <= len(data):
        (length,) = struct.unpack_from("<I", data, at + 8)
        found.append((at, at + _RECORD + length))
        at = found[-1][1]
    return [each for each in found if each[1] <= len(data)]


def _largest(data: bytes) -> tuple[int, int] | None:
    """Return the longest record but for the last five, among which is the sentinel; None if there are too few."""
    found = _records(data)[:-5]
    return max(found, key=lambda each: each[1] - each[0], default=None)


def _edit(name: str, change: Callable[[bytes, tuple[int, int]], bytes]) -> Callable[[Path], bool]:
    """Make a damage of one capture: ``change`` gets the file and where its longest record is."""

    def damage(run: Path) -> bool:
        path = run / name
        data = path.read_bytes() if path.exists() else b""
        place = _largest(data)
        if place is None:
            return False
        path.write_bytes(change(data, place))
        return True

    return damage


def _flip(count: int) -> Callable[[bytes, tuple[int, int]], bytes]:
    """Change the last bytes of a record."""

    def change(data: bytes, place: tuple[int, int]) -> bytes:
        tail = data[place[1] - count : place[1]]
        return data[: place[1] - count] + bytes(byte ^ 0x20 for byte in tail) + data[place[1] :]

    return change


def _without(name: str) -> Callable[[Path], bool]:
    """Make a damage: a file is missing."""

    def damage(run: Path) -> bool:
        there = (run / name).exists()
        (run / name).unlink(missing_ok=True)
        return there

    return damage


def _halved(name: str) -> Callable[[Path], bool]:
    """Make a damage: a file of lines ends after half of them."""

    def damage(run: Path) -> bool:
        path = run / name
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        path.write_bytes(b"".join(lines[: (len(lines) + 1) // 2])) if len(lines) > 1 else None
        return len(lines) > 1

    return damage


def _unreadable_scenario(run: Path) -> bool:
    (run / "scenario.yaml").write_text("summary: [\n", encoding="utf-8")
    return True


DAMAGES: dict[str, Callable[[Path], bool]] = {
    "a byte altered": _edit("server.pcap", _flip(1)),
    "server's capture cut": _edit("server.pcap", lambda data, place: data[: place[0] + _RECORD + 20]),
    "client's calls cut": _halved("client.calls.jsonl"),
    "a packet lost": _edit("server.pcap", lambda data, place: data[: place[0]] + data[place[1] :]),
    "no journal": _without("link.jsonl"),
    "three bytes altered": _edit("client.pcap", _flip(3)),
    "kernel's trace cut": _halved("kernel.jsonl"),
    "a packet twice": _edit("server.pcap", lambda data, place: data[: place[1]] + data[place[0] :]),
    "no calls of the server": _without("server.calls.jsonl"),
    "a packet appeared": _edit("client.pcap", lambda data, place: data[: place[0]] + data[place[1] :]),
    "journal cut": _halved("link.jsonl"),
    "no capture of the client": _without("client.pcap"),
    "scenario unreadable": _unreadable_scenario,
}
"""Ways to damage a run directory; each says whether it could."""
