"""Many drawn scenarios: the totals, one smallest scenario of each kind of disagreement, and a state to go on from.

The directory (default ``truth/``) holds ``state.json`` and ``<kind>.yaml``, whose first lines say what is wrong; with
``--keep`` also ``runs/<seed>/``, of which ``--again`` compares each run anew instead of making any.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from dev.truth.compare_run import Tally
from dev.truth.draw_scenario import Document, as_yaml
from dev.truth.run_drawn import Measured, kept_runs, measure, measure_kept, measure_number
from dev.truth.shrink import shrink, size

FORMAT = "bothends-truth/1"
_SEPARATOR = "\t"


@dataclass(slots=True)
class Campaign:
    """What a seed's scenarios came to so far; ``next`` is the first number that was not run."""

    seed: int
    next: int = 0
    tally: Tally = field(default_factory=Tally)
    smallest: dict[str, tuple[Document, str]] = field(default_factory=dict)
    """By kind of disagreement: the smallest scenario, and what is wrong about it."""

    def take(self, measured: Measured) -> None:
        """Add a run."""
        self.tally.add(measured.tally)
        for each in measured.disagreements:
            before = self.smallest.get(each.kind)
            if before is None or size(measured.document) < size(before[0]):
                self.smallest[each.kind] = measured.document, each.text


def run_campaign(
    campaign: Campaign, count: int, jobs: int, told: Callable[[str], None], keep: Path | None = None
) -> float:
    """Run so many more scenarios, several at the same time; return the seconds that they took.

    With ``keep`` the runs stay below that directory.
    """
    begun = time.monotonic()
    with ProcessPoolExecutor(jobs) as pool:
        for measured in _in_order(pool, campaign.seed, range(campaign.next, campaign.next + count), jobs, keep):
            campaign.take(measured)
            campaign.next += 1
            if campaign.next % 100 == 0:
                rate = campaign.tally.runs / (time.monotonic() - begun)
                told(f"{campaign.next} scenarios, {campaign.tally.contradicted} contradicted, {rate:.1f} a second")
    return time.monotonic() - begun


def compare_again(campaign: Campaign, directory: Path, jobs: int) -> float:
    """Compare the runs that were kept below a directory by the rules as they are now; return the seconds it took."""
    begun = time.monotonic()
    with ProcessPoolExecutor(jobs) as pool:
        for measured in pool.map(measure_kept, kept_runs(directory), chunksize=4):
            campaign.take(measured)
            campaign.next = max(campaign.next, (measured.number or 0) + 1)
    return time.monotonic() - begun


def _in_order(pool: ProcessPoolExecutor, seed: int, numbers: range, jobs: int, keep: Path | None) -> Iterator[Measured]:
    """Yield the runs in order of their numbers, with a bounded number under way."""
    under_way: dict[int, Future[Measured]] = {}
    waiting = iter(numbers)
    wanted = numbers.start
    while wanted < numbers.stop:
        while len(under_way) < 4 * jobs and (number := next(waiting, None)) is not None:
            under_way[number] = pool.submit(measure_number, seed, number, keep)
        wait([under_way[wanted]], return_when=FIRST_COMPLETED)
        yield under_way.pop(wanted).result()
        wanted += 1


def shrink_all(campaign: Campaign, jobs: int, *, tries: int, told: Callable[[str], None]) -> None:
    """Make the smallest scenario of each kind of disagreement smaller still."""
    with ProcessPoolExecutor(jobs) as pool:
        under_way = {
            kind: pool.submit(_shrunk, kind, document, tries) for kind, (document, _) in campaign.smallest.items()
        }
        for kind, future in under_way.items():
            document = future.result()
            before, text = campaign.smallest[kind]
            told(f"{kind}: {size(before)} to {size(document)}")
            campaign.smallest[kind] = document, text


def _shrunk(kind: str, document: Document, tries: int) -> Document:
    def still_wrong(smaller: Document) -> bool:
        return any(each.kind == kind for each in measure(smaller).disagreements)

    return shrink(document, still_wrong, tries=tries)


def save(campaign: Campaign, directory: Path) -> None:
    """Write the state and a file for each kind of disagreement."""
    directory.mkdir(parents=True, exist_ok=True)
    for kind, (document, text) in campaign.smallest.items():
        words = [f"# {kind}", f"# {text}", "# the actors wait at most as long as SO_RCVTIMEO and SO_SNDTIMEO say"]
        name = re.sub("[^a-z0-9]+", "-", kind.lower()).strip("-")
        (directory / f"{name}.yaml").write_text("\n".join(words) + "\n" + as_yaml(document), encoding="utf-8")
    (directory / "state.json").write_text(json.dumps(as_json(campaign)) + "\n", encoding="utf-8")


def load(directory: Path, seed: int) -> Campaign:
    """Return the campaign that a directory holds for this seed, a new one where it holds none."""
    path = directory / "state.json"
    if not path.exists():
        return Campaign(seed)
    value = json.loads(path.read_text(encoding="utf-8"))
    return from_json(value) if value["format"] == FORMAT and value["seed"] == seed else Campaign(seed)


def as_json(campaign: Campaign) -> dict[str, Any]:
    """Return a campaign as a JSON object."""
    tally = {each.name: getattr(campaign.tally, each.name) for each in fields(campaign.tally)}
    tally["confusion"] = {_SEPARATOR.join(pair): count for pair, count in campaign.tally.confusion.items()}
    smallest = {kind: {"scenario": document, "text": text} for kind, (document, text) in campaign.smallest.items()}
    return {"format": FORMAT, "seed": campaign.seed, "next": campaign.next, "tally": tally, "smallest": smallest}


def from_json(value: dict[str, Any]) -> Campaign:
    """Read what :func:`as_json` gave."""
    members = dict(value["tally"])
    for name in ("skipped", "open", "unnamed", "calls", "facts", "disagreements"):
        members[name] = Counter(members[name])
    pairs = (key.split(_SEPARATOR) for key in members["confusion"])
    counts = members["confusion"].values()
    members["confusion"] = Counter({(one, two): count for (one, two), count in zip(pairs, counts, strict=True)})
    smallest = {kind: (each["scenario"], each["text"]) for kind, each in value["smallest"].items()}
    return Campaign(value["seed"], value["next"], Tally(**members), smallest)
