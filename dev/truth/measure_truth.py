"""``invoke bench truth``: run drawn scenarios, print what inference and kernel say differently, keep the smallest."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from dev.truth.run_drawn import kept_runs
from dev.truth.truth_campaign import Campaign, as_json, compare_again, load, run_campaign, save, shrink_all
from dev.truth.truth_tables import is_true, lines
from testbed.model.errors import UsageError


def main(
    *,
    seed: int,
    count: int,
    jobs: int,
    directory: Path,
    tries: int,
    json_only: bool,
    keep: bool = False,
    again: bool = False,
) -> int:
    """Run ``count`` more scenarios of a seed; 0 if the limits of ``truth_tables.py`` are kept.

    ``tries`` is how many runs may be spent to make the smallest scenario of each kind of disagreement smaller. ``keep``
    keeps all runs; ``again`` runs nothing, and compares those of the seed that were kept by the rules as they are now.
    """
    kept = directory / "runs" / str(seed)
    workers = jobs or 3 * (os.cpu_count() or 1)  # a run waits most of its time
    if again:
        if not kept_runs(kept):
            raise UsageError(f"no runs of seed {seed} are kept in {kept}", hint="make some with --keep")
        campaign = Campaign(seed)
        seconds = compare_again(campaign, kept, jobs or os.cpu_count() or 1)
    else:
        campaign = load(directory, seed)
        seconds = run_campaign(campaign, count, workers, _tell, kept if keep else None)
    if tries:
        shrink_all(campaign, workers, tries=tries, told=_tell)
    save(campaign, directory)
    text = json.dumps(as_json(campaign)) if json_only else "\n".join(lines(campaign, seconds))
    sys.stdout.write(f"{text}\n")
    return 0 if is_true(campaign.tally) else 1


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
