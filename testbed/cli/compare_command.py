"""What ``invoke compare`` does: compare two captures, print, write files, return the exit code."""

from __future__ import annotations

import sys
from pathlib import Path

from testbed.cli.progress import print_json
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
    """Compare two captures; 0: nothing that counts differs, 1: something does, 2: they cannot be compared, 3: unclear.

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
    from testbed.api.captures import compare_captures
    from testbed.capture.malloc_tuning import keep_freed_memory
    from testbed.pairing.same import USUAL

    for option, target in (("--csv", csv), ("--merged", merged), ("--html", html)):
        if target == "-":
            raise UsageError(f"{option} -: name a file, standard output has the summary")
    keep_freed_memory()
    counting = [name.strip() for name in fail_on.split(",") if name.strip()] if fail_on else USUAL
    compared = compare_captures(client, server, one_clock=one_clock, flow_filter=choose, fail_on=counting)
    if csv:
        compared.write_csv(Path(csv))
    if merged:
        compared.write_merged(Path(merged))
    if html:
        compared.write_page(Path(html))
    if as_json:
        print_json(compared.to_json())
    else:
        from rich.console import Console

        from testbed.report.text.comparison_text import render

        # what reads a pipe needs no line cut to a terminal's width
        console = Console(width=None if sys.stdout.isatty() else _WIDE)
        render(compared.comparison, compared.paths, compared.differs, console, compared.diagnosed)
    return 1 if compared.differs else 3 if compared.inconclusive else 0
