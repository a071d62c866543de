"""What ``invoke compare`` does: read two captures, compare them, print, write files, return the exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from testbed.model.errors import BothendsError, UsageError

_WIDE = 10_000  # columns


def compare(
    client: str,
    server: str,
    *,
    as_json: bool,
    csv: str,
    merged: str,
    html: str,
    fail_on: str,
    choose: str,
    one_clock: bool,
) -> int:
    """Compare two captures; 0: nothing that counts differs, 1: something does, 2: they cannot be compared.

    ``fail_on`` names the categories that count (separated by commas), all usual ones when empty.
    """
    try:
        return _compare(
            client,
            server,
            as_json=as_json,
            csv=csv,
            merged=merged,
            html=html,
            fail_on=fail_on,
            choose=choose,
            one_clock=one_clock,
        )
    except BothendsError as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _compare(
    client: str,
    server: str,
    *,
    as_json: bool,
    csv: str,
    merged: str,
    html: str,
    fail_on: str,
    choose: str,
    one_clock: bool,
) -> int:
    from testbed.capture.malloc_tuning import keep_freed_memory
    from testbed.pairing.compare_captures import compare as compare_tracks
    from testbed.pairing.flow_filter import parse_filter
    from testbed.pairing.same import count_differences
    from testbed.run.read_captures import read_both

    for option, target in (("--csv", csv), ("--merged", merged), ("--html", html)):
        if target == "-":
            raise UsageError(f"{option} -: name a file, standard output has the summary")
    keep_freed_memory()
    counting = _categories(fail_on)
    wanted = parse_filter(choose) if choose else None
    (one, first), (two, second) = read_both(client, server)
    compared = compare_tracks(one, first, two, second, one_clock=one_clock, wanted=wanted)
    counts = count_differences(compared)
    differs = tuple(name for name in counting if counts[name])
    if not len(compared.pairs) and "alone" in counting and not differs:
        differs = ("nothing in common",)
    paths = (client, server)
    if csv:
        from testbed.report.text.comparison_csv import write_csv

        try:
            with Path(csv).open("w", encoding="utf-8", newline="") as out:
                write_csv(compared, out)
        except OSError as problem:
            raise UsageError(f"{csv}: {problem.strerror or problem}") from problem
    if merged:
        from testbed.report.captures.merged_pcapng import write_merged

        write_merged(compared, paths, Path(merged))
    if html:
        from testbed.report.html.comparison_page import render as render_page

        page = render_page(compared, paths, differs)
        try:
            Path(html).write_text(page, encoding="utf-8")
        except OSError as problem:
            raise UsageError(f"{html}: {problem.strerror or problem}") from problem
    if as_json:
        from testbed.report.json.comparison_json import to_json

        sys.stdout.write(json.dumps(to_json(compared, paths, differs), indent=1) + "\n")
    else:
        from rich.console import Console

        from testbed.report.text.comparison_text import render

        # what reads a pipe needs no line cut to a terminal's width
        render(compared, paths, differs, Console(width=None if sys.stdout.isatty() else _WIDE))
    return 1 if differs else 0


def _categories(text: str) -> Sequence[str]:
    from testbed.pairing.same import CATEGORIES, USUAL

    if not text:
        return USUAL
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in CATEGORIES]
    if unknown:
        raise UsageError(f"--fail-on: {unknown[0]!r} is unknown", hint=f"known are {', '.join(CATEGORIES)}")
    return names
