"""What ``invoke compare`` does: compare two captures, print, write files, return the exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.cli.progress import print_json
from testbed.model.errors import BothendsError, UsageError

if TYPE_CHECKING:
    from testbed.api.captures import CaptureComparison

_WIDE = 10_000  # columns


def compare(
    captures: Sequence[str],
    *,
    as_json: bool = False,
    csv: str = "",
    merged: str = "",
    html: str = "",
    diff_pcap: str = "",
    fail_on: str = "",
    choose: str = "",
    one_clock: bool = False,
    thorough: bool = False,
) -> int:
    """Compare two captures; 0: nothing that counts differs, 1: something does, 2: they cannot be compared, 3: unclear.

    Of one capture it says what that shows; of three and more along one path it compares each with the next.
    ``fail_on`` names the categories that count (separated by commas), all usual ones when empty.
    """
    files = {"csv": csv, "merged": merged, "html": html, "diff-pcap": diff_pcap}
    try:
        for option, target in files.items():
            if target == "-":
                raise UsageError(f"--{option} -: name a file, standard output has the summary")
            if target and len(captures) != 2:
                raise UsageError(f"--{option} is for two captures, here are {len(captures)}")
        counting = [name.strip() for name in fail_on.split(",") if name.strip()]
        if not captures:
            raise UsageError(
                "name a capture, or two of the same traffic", hint="invoke compare client.pcap server.pcap"
            )
        if len(captures) == 1:
            return _describe(captures[0], as_json=as_json)
        options: dict[str, Any] = {"one_clock": one_clock, "flow_filter": choose, "thorough": thorough}
        if counting:
            options["fail_on"] = counting
        if len(captures) > 2:
            return _along(captures, options, as_json=as_json)
        return _compare(captures[0], captures[1], options, files, as_json=as_json)
    except BothendsError as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _console() -> Any:  # noqa: ANN401 - rich is loaded only where it prints
    from rich.console import Console

    # what reads a pipe needs no line cut to a terminal's width
    return Console(width=None if sys.stdout.isatty() else _WIDE)


def _code(compared: CaptureComparison) -> int:
    return 1 if compared.differs else 0 if compared.same else 3


def _compare(client: str, server: str, options: dict[str, Any], files: dict[str, str], *, as_json: bool) -> int:
    from testbed.capture.malloc_tuning import keep_freed_memory
    from testbed.run.at_once import AtOnce
    from testbed.run.read_captures import BeingRead

    keep_freed_memory()
    files_read = BeingRead(client, server)  # two threads, while all that follows is loaded
    from testbed.api.captures import compare_read
    from testbed.diagnosis import capture_facts  # noqa: F401 - what is needed later
    from testbed.report.text.comparison_text import render

    if files["html"]:
        from testbed.report.html.comparison_page import prepare

        prepare()
    compared = compare_read(files_read.both, (client, server), **options)
    if as_json:
        print_json(compared.to_json())
    else:
        diagnosed = AtOnce(lambda: compared.diagnosed)
        render(compared.comparison, compared.paths, compared.differs, _console(), diagnosed.result)
    writers = {
        "csv": compared.write_csv,
        "merged": compared.write_merged,
        "diff-pcap": compared.write_different,
        "html": compared.write_page,
    }
    for option, write in writers.items():
        if files[option]:
            write(Path(files[option]))
    return _code(compared)


def _along(captures: Sequence[str], options: dict[str, Any], *, as_json: bool) -> int:
    """Compare each capture with the next one of its path; the result is the worst of all."""
    from testbed.api.captures import compare_captures
    from testbed.report.text.along_path_text import render

    hops = [compare_captures(*pair, **options) for pair in pairwise(captures)]
    if as_json:
        print_json({"version": 1, "hops": [each.to_json() for each in hops]})
    else:
        render([(each.comparison, each.paths, each.differs) for each in hops], _console())
    codes = {_code(each) for each in hops}
    return next(code for code in (1, 3, 0) if code in codes)


def _describe(capture: str, *, as_json: bool) -> int:
    from testbed.report.text.one_capture_text import plain, render
    from testbed.run.read_captures import read_named

    packets, flows = read_named(capture)
    if as_json:
        print_json(plain(packets, flows, capture))
    else:
        render(packets, flows, capture, _console())
    return 0
