"""What a campaign is to do, and what it makes of the reports."""

from __future__ import annotations

from testbed.campaign.campaign_summary import summarise
from testbed.campaign.read_settings import read_settings
from testbed.campaign.task_list import Plan, ScenarioSource, Task, label, variants
from testbed.campaign.work import Report, plan_from_json, plan_to_json
from testbed.model import Outcome
from testbed.report.text.campaign_text import lines

SOURCE = ScenarioSource("echo", "/x/echo.yaml", "echo.yaml", "text")
PLAN = Plan((SOURCE,), {"echo": ({"ip": 4}, {"ip": 6})}, 3, "namespace", "differing")


def report(variant: int, repeat: int, segments: str, outcome: str = "pass", ok: bool | None = True) -> Report:
    return Report(
        task=Task("echo", variant, repeat),
        outcome=outcome,
        signature=segments,
        facets={"outcome": [outcome], "segments": [segments]},
        directory=f"echo/{variant}-{repeat}" if repeat == 0 else "",
        seconds=0.1,
        shares=[{"text": "{x: 1, in: 60%}", "where": "echo.yaml:9", "share": 0.6, "ok": ok}],
    )


def test_every_variant_has_its_turn() -> None:
    """Variants in turn, each as often as wanted, every task with a key of its own."""
    tasks = list(PLAN.tasks())
    assert len(tasks) == len(PLAN) == 6
    assert [task.variant for task in tasks] == [0, 1, 0, 1, 0, 1]
    assert len({task.key for task in tasks}) == 6


def test_plan_survives_its_file() -> None:
    """What is written is what is read."""
    assert plan_from_json(plan_to_json(PLAN)) == PLAN


def test_settings_of_the_command_line() -> None:
    """They replace the matrix's and add to it."""
    settings = read_settings(["ip=4,6", "observe.client=probe"])
    assert variants({"ip": [4], "seed": [1, 2]}, settings) == (
        {"ip": 4, "seed": 1, "observe.client": "probe"},
        {"ip": 4, "seed": 2, "observe.client": "probe"},
        {"ip": 6, "seed": 1, "observe.client": "probe"},
        {"ip": 6, "seed": 2, "observe.client": "probe"},
    )
    assert label({"ip": [4, 6], "offloads": True}) == "ip=[4, 6] offloads=true"


def test_runs_are_counted_by_kind_with_an_example_of_each() -> None:
    """The most frequent kind comes first; each names a run that is kept."""
    reports = [report(0, 0, "c"), report(0, 1, "c, c", "fail"), report(0, 2, "c, c", "fail")]
    first, second = summarise(PLAN, reports).variants
    assert [(kind.signature, kind.count, kind.example) for kind in first.kinds] == [
        ("c, c", 2, ""),
        ("c", 1, "echo/0-0"),
    ]
    assert first.outcomes == {"fail": 2, "pass": 1}
    assert first.outcome is Outcome.FAIL
    assert second.runs == 0
    assert second.outcome is Outcome.INCONCLUSIVE


def test_a_share_is_judged_over_all_runs() -> None:
    """An expectation with `in` that failed once in three runs: too few to tell, and how many would do."""
    reports = [report(0, number, "c", ok=number != 1) for number in range(3)]
    (check,) = summarise(PLAN, reports).variants[0].checks
    assert (check.held, check.of, check.ok) == (2, 3, None)
    assert "6 runs without a failure would do" in check.sure


def test_variants_are_compared() -> None:
    """Only what differs between the variants' usual runs is told."""
    reports = [report(variant, number, f"{variant}") for variant in (0, 1) for number in range(3)]
    summary = summarise(PLAN, reports)
    (difference,) = summary.differences["echo"]
    assert (difference.facet, difference.lines) == ("segments", {"ip=4": ["0"], "ip=6": ["1"]})
    text = "\n".join(lines(summary, "runs/campaigns/x"))
    assert "echo ip=6: 3 runs: 3 pass" in text
    assert "where its variants differ" in text
