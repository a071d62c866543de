"""``invoke bench pairs``: joins of packets that are not the same in many known pairs, and what else is wrong."""

from __future__ import annotations

import json
import time
from collections import defaultdict

from dev.pairs.judge import judge
from dev.pairs.pair_kinds import KINDS, known_pair

_AMBIGUOUS = 0.001
"""The most of all packets that may stay ambiguous."""
_SHOWN = 5


def main(*, count: int, seed: int, as_json: bool) -> int:
    """Judge ``count`` pairs of all kinds in turn; 0 if no join is wrong and little is ambiguous."""
    totals: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    examples: dict[str, list[str]] = defaultdict(list)
    kinds = list(KINDS)
    started = time.process_time()
    for k in range(count):
        kind, number = kinds[k % len(kinds)], seed + k // len(kinds)
        judged = judge(known_pair(kind, number))
        row = totals[kind]
        row["pairs"] += 1
        for name in ("wrong", "missed", "ambiguous", "packets"):
            row[name] += getattr(judged, name)
        row["not_mirrored"] += not judged.mirrored
        if judged.wrong or judged.missed or judged.ambiguous or not judged.mirrored:
            examples[kind].append(f"{number}: {judged}")
    whole = {
        name: sum(row[name] for row in totals.values())
        for name in ("pairs", "wrong", "missed", "ambiguous", "packets", "not_mirrored")
    }
    good = not whole["wrong"] and not whole["not_mirrored"] and whole["ambiguous"] <= _AMBIGUOUS * whole["packets"]
    if as_json:
        print(json.dumps({"kinds": totals, "all": whole, "good": good}, indent=1))
        return 0 if good else 1
    for name, row in (*totals.items(), ("all", whole)):
        print(
            f"{name:18} {row['pairs']:6} pairs, {row['packets']:8,} packets: {row['wrong']} wrong joins, "
            f"{row['missed']} missed, {row['ambiguous']} ambiguous, {row['not_mirrored']} not mirrored"
        )
        for example in examples[name][:_SHOWN]:
            print(f"    {example}")
    print(f"{time.process_time() - started:.0f} s of processor time; {'good' if good else 'NOT good'}")
    return 0 if good else 1
