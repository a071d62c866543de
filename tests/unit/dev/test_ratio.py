"""`invoke bench`: ratios of pairs, their limits, the table and the page that is made of it."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from dev import bench
from dev.bench.performance_page import page_text
from dev.bench.ratio import HEADS, Ratio, in_turns, of_pairs, table
from dev.benchmark_names import BESIDE_SPEED, SPEED
from dev.developer_tasks import with_developers
from testbed.cli.invoke_words import spell_out
from testbed.tasks import ns

ROOT = Path(__file__).parents[3]
SLOW = Ratio("run", "a run", "a floor", 1.3, 1.2, pairs=(1.1, 1.3, 1.4))
FAST = Ratio("probe", "throughput", "alone", 0.97, 0.95, at_least=True)


def test_of_pairs_takes_the_median_of_the_ratios_of_neighbours() -> None:
    """A minute in which the machine was ten times slower slowed both of its pair, and moves nothing."""
    ratio = of_pairs("run", "a run", "a floor", ([2.0, 30.0, 2.2], [1.0, 10.0, 2.0]), 2.0)
    assert ratio.pairs == (2.0, 3.0, 1.1)
    assert ratio.value == 2.0
    assert ratio.kept


def test_a_limit_is_a_most_or_a_least() -> None:
    """Of a duration the limit is the most, of a throughput the least."""
    assert not SLOW.kept
    assert FAST.kept
    assert not Ratio("probe", "throughput", "alone", 0.9, 0.95, at_least=True).kept


def test_measures_take_turns_and_warm_ups_do_not_count() -> None:
    """Each turn goes the other way round, so that neither is always the first."""
    order: list[str] = []

    def one(name: str) -> float:
        order.append(name)
        return float(len(order))

    taken = in_turns({"a": lambda: one("a"), "b": lambda: one("b")}, turns=2)
    assert "".join(order) == "abbaab"
    assert taken == {"a": [4.0, 5.0], "b": [3.0, 6.0]}


def test_table_and_page_have_a_row_for_each_ratio_and_name_what_is_not_kept() -> None:
    """Both have every figure, its limit, and what missed it."""
    lines = table([SLOW, FAST])
    assert len(lines) == 3
    assert "at most 1.2" in lines[1]
    assert lines[1].endswith("NOT KEPT")
    assert "at least 0.95" in lines[2]
    assert "NOT KEPT" not in lines[2]
    page = page_text([SLOW, FAST], "a machine")
    assert "| run | a run | a floor | 1.3 | 1.1 to 1.4 | at most 1.2 | NOT KEPT |" in page
    assert "measured on a machine." in page


def test_a_page_keeps_the_rows_of_benchmarks_that_were_not_measured_again() -> None:
    """The rows of those that were are new, none is there twice."""
    page = page_text([SLOW, FAST], "a machine")
    again = page_text([Ratio("run", "a run", "a floor", 1.1, 1.2)], "another", page)
    assert again.count("\n| run |") == 1
    assert "| run | a run | a floor | 1.1 |" in again
    assert "| probe | throughput | alone | 0.97 |" in again


@pytest.mark.parametrize(("ratios", "code"), [([FAST], 0), ([FAST, SLOW], 1)])
def test_bench_ends_by_the_limits(
    ratios: list[Ratio], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """One ratio beyond its limit is exit code 1, and JSON says which it was."""
    module = importlib.import_module("dev.bench.start_cost")
    monkeypatch.setattr(module, "measure", lambda **_: ratios)
    assert bench.main(["start"], repeat=1, as_json=True, page=str(tmp_path / "page.md")) == code
    said = json.loads(capsys.readouterr().out)
    assert [each["kept"] for each in said["ratios"]] == [each.kept for each in ratios]
    assert (tmp_path / "page.md").read_text().count("| at ") == len(ratios)


def test_every_benchmark_measures_ratios() -> None:
    """Each module of the list has the one function that is asked for; to import them all takes seconds."""
    assert SPEED
    for name in SPEED.values():
        source = (ROOT / f"dev/bench/{name}.py").read_text()
        assert "def measure(*, repeat: int, say: Say) -> list[Ratio]:" in source, name


def test_benchmarks_with_names_of_tasks_are_named_side_by_side() -> None:
    """Four of them are: after another benchmark they are still benchmarks; what is none begins the next task."""
    tasks = with_developers(ns)
    names = [*SPEED, *BESIDE_SPEED]
    assert {"run", "report"} < {*names} & {*tasks.task_names}
    spelled = [word for name in names for word in ("--names", name)]
    assert spell_out(["bench", *names, "--json", "lint"], tasks) == ["bench", *spelled, "--json", "lint"]


def test_the_page_is_one_that_bench_made() -> None:
    """docs/performance.md is what `invoke bench --page` would write of its own rows, and says what it lacks."""
    page = (ROOT / "docs/performance.md").read_text()
    machine = page.partition("measured on ")[2].partition(". Not measured")[0].partition(".\n")[0]
    assert page == page_text([], machine, page, SPEED)
    rows = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")]
    assert HEADS[0] in rows
    assert {"start", "namespace"} < set(rows) <= {HEADS[0], "---", *SPEED}
    for name in {*SPEED} - set(rows):
        assert name in page.partition("Not measured in this form yet:")[2]
