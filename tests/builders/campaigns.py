"""Campaigns to make pages of: variants of several scenarios, kinds of runs, hostile names and values."""

from __future__ import annotations

from testbed.campaign.campaign_summary import Summary, summarise
from testbed.campaign.task_list import Plan, ScenarioSource, Task
from testbed.campaign.work import Report
from testbed.report.html.campaign_page import About

HOSTILE = "<script>alert(1)</script>\x00\x1b[31m\u202eevil"
SHOWN = "<script>alert(1)</script>\\x00\\x1b[31m\\u202eevil"
"""As a reader sees it."""
SCENARIOS: dict[str, list[dict[str, str]]] = {
    "nagle": [{"link.delay": "1ms"}, {"link.delay": "5ms"}],
    "nodelay": [{"link.delay": "1ms"}, {"link.delay": "5ms"}],
    "echo": [{}],
}


def report(scenario: str, variant: int, repeat: int, kind: str, *, outcome: str = "pass", kept: bool = False) -> Report:
    """Return a run's report; runs of one ``kind`` are alike."""
    facets = {"outcome": [outcome], "segments": [f"client: {kind}"], "causes": ["client: connect, 3 data"]}
    directory = f"{scenario}/20261125T000000Z-{scenario[0]}{variant}{repeat}" if kept else ""
    shares = [{"text": "{segments: ...}", "where": "x.yaml:3:5", "share": 0.9, "ok": outcome == "pass"}]
    return Report(Task(scenario, variant, repeat), outcome, f"{kind}-{outcome}", facets, directory, 0.5, shares)


def plan(scenarios: dict[str, list[dict[str, str]]], repeat: int) -> Plan:
    """Return a plan for scenarios and their variants' settings."""
    sources = tuple(
        ScenarioSource(name, f"/x/{name}.yaml", f"{name}.yaml", f"summary: About {name}\n") for name in scenarios
    )
    return Plan(sources, {name: tuple(found) for name, found in scenarios.items()}, repeat, "namespace", "differing")


def summary() -> Summary:
    """Ten runs of each variant: nagle as one kind, then as two; nodelay fails once; of echo three runs are missing."""
    reports = [report("nagle", 0, n, "c, cstring", kept=n == 0) for n in range(10)]
    reports += [
        report("nagle", 1, n, "c, c, string" if n in (3, 4) else "c, cstring", kept=n in (0, 3)) for n in range(10)
    ]
    reports += [report("nodelay", 0, n, "c, c, string", kept=n == 0) for n in range(10)]
    reports += [report("nodelay", 1, n, "c", kept=n == 0) for n in range(9)]
    reports += [report("nodelay", 1, 9, "c", outcome="fail", kept=True)]
    reports += [report("echo", 0, n, "hello") for n in range(7)]
    return summarise(plan(SCENARIOS, 10), reports)


def hostile() -> Summary:
    """A campaign whose scenario, setting, segments and run directory hold markup and control characters."""
    reports = [
        report(HOSTILE, 0, 0, HOSTILE, kept=True),
        report(HOSTILE, 1, 0, "x" * (1 << 20), outcome="fail", kept=True),
    ]
    return summarise(plan({HOSTILE: [{"link.delay": HOSTILE}, {"link.delay": "'\"&amp;"}]}, 1), reports)


def many() -> Summary:
    """One variant of 60 runs of which no two are alike."""
    return summarise(plan({"echo": [{}]}, 60), [report("echo", 0, n, f"k{n}", kept=True) for n in range(60)])


def large() -> Summary:
    """2,000 variants of one scenario, by two settings, a run of each; only the last shows what no other does."""
    variants = [{"link.delay": f"{n // 40}ms", "link.rate": f"{n % 40 + 1}mbit"} for n in range(2000)]
    reports = [report("nagle", n, 0, "the last" if n == 1999 else "c, cstring", kept=True) for n in range(2000)]
    return summarise(plan({"nagle": variants}, 1), reports)


def about(of: Summary, **changes: object) -> About:
    """Return what a page says of a campaign besides; every kept run has a page."""
    kept = {directory for variant in of.variants for kind in variant.kinds for directory in kind.kept}
    summaries = {variant.scenario: f"About {variant.scenario}" for variant in of.variants}
    values = {"name": "20261125T000000Z-0a1b2c3d", "repeat": 10, "keep": "differing", "summaries": summaries}
    return About(**({**values, "pages": kept} | changes))  # type: ignore[arg-type]
