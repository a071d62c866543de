"""``invoke bench truth``: run drawn scenarios, print what inference and kernel say differently, keep the smallest."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from dev.truth.truth_campaign import as_json, load, run_campaign, save, shrink_all
from dev.truth.truth_tables import is_true, lines


def main(*, seed: int, count: int, jobs: int, directory: Path, tries: int, json_only: bool) -> int:
    """Run ``count`` more scenarios of a seed; 0 if the limits of ``truth_tables.py`` are kept.

    ``tries`` is how many runs may be spent to make the smallest scenario of each kind of disagreement smaller.
    """
    campaign = load(directory, seed)
    workers = jobs or 3 * (os.cpu_count() or 1)  # a run waits most of its time
    seconds = run_campaign(campaign, count, workers, _tell)
    if tries:
        shrink_all(campaign, workers, tries=tries, told=_tell)
    save(campaign, directory)
    text = json.dumps(as_json(campaign)) if json_only else "\n".join(lines(campaign, seconds))
    sys.stdout.write(f"{text}\n")
    return 0 if is_true(campaign.tally) else 1


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
