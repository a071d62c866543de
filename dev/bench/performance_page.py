"""docs/performance.md, made of the ratios of `invoke bench`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dev.bench.ratio import HEADS, Ratio, rows

_BEFORE = """\
# Performance

This page is made by `invoke bench --page docs/performance.md`; with names of benchmarks their rows alone are renewed.
Each figure is a ratio to what was measured in turn with it, in the same run on the same machine, and has a limit; the
command ends with 1 where one is not kept. Of several pairs the median counts, and the column says what they lie
between. Seconds are printed by the command and not judged: they tell more of the machine than of Bothends.

"""
_AFTER = """
Beside speed, `invoke bench pairs` counts wrong joins in generated pairs of captures ([compare.md](compare.md)),
`invoke bench truth` compares what is inferred of random scenarios (causes, how packets came to be sent, calls without
a packet, ledger figures, facts of the verdict) with what the kernel and the actors say, and `invoke bench healthy`
looks for findings in transfers without a fault ([diagnose.md](diagnose.md)). Comparisons of large captures are in
[compare.md](compare.md#large-files).
"""


def page_text(ratios: Sequence[Ratio], machine: str, page: str = "", names: Iterable[str] = ()) -> str:
    """Return the page: what it says, the table, and on which machine the newest of its rows were measured.

    ``page`` is the page as it was: its rows of other benchmarks are kept. ``names`` are all
    benchmarks: those without a row are named.
    """
    heads = [_line(HEADS), _line(["---"] * len(HEADS))]
    measured = {each.bench for each in ratios}
    others = [
        line
        for line in page.splitlines(keepends=True)
        if line.startswith("| ") and line not in heads and line.split("|")[1].strip() not in measured
    ]
    missing = sorted({*names} - measured - {line.split("|")[1].strip() for line in others})
    unmeasured = f" Not measured in this form yet: {', '.join(missing)}." if missing else ""
    lines = heads + sorted([*others, *map(_line, rows(ratios))], key=lambda line: line.split("|")[1])
    return f"{_BEFORE}{''.join(lines)}\nThe newest rows were measured on {machine}.{unmeasured}\n{_AFTER}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |\n"
