"""``invoke atlas``: run the catalogue, write the page in three forms, compare with an earlier one."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from testbed.api.campaign_worker import MODULE as WORKER
from testbed.atlas.atlas import Atlas, Entry, Kind, ScenarioDifference, differences, kind_of, picture_of, to_json
from testbed.atlas.atlas_markdown import render as to_markdown
from testbed.atlas.atlas_page import render as to_page
from testbed.campaign.campaign import plan as make_plan
from testbed.campaign.campaign_options import Options
from testbed.campaign.conduct import conduct, default_jobs, stoppable
from testbed.campaign.pool import ProcessPool
from testbed.campaign.store import Unstored
from testbed.campaign.task_list import Plan, label
from testbed.campaign.work import Report
from testbed.lab.choose_engine import choose
from testbed.model import HOSTS, Outcome
from testbed.model.errors import BothendsError, UsageError
from testbed.report.text.ladder import ladder
from testbed.report.text.terminal_text import escape
from testbed.run.evaluate import evaluate
from testbed.rundir.layout import MANIFEST, RUNS, RunDirectory
from testbed.scenario.catalogue import all_scenarios, tagged
from testbed.scenario.load import load
from testbed.scenario.scenario import Scenario

REPEAT = 3
"""How often each variant is run: what TCP may do in several ways shows as several kinds."""
_WIDTH, _HEIGHT = 100, 32
_TOLD = 50


def main(
    *,
    catalogue: Path,
    tags: Sequence[str],
    runs: Path,
    out: Path,
    against: str,
    engine: str,
    jobs: int,
    repeat: int,
) -> int:
    """Write ``atlas.md``, ``atlas.html`` and ``atlas.json``; 1 where a run failed or the earlier Atlas differs.

    ``tags``: only the scenarios with one of these. Raises UsageError where ``against`` is no Atlas.
    """
    before = read(Path(against)) if against else None
    scenarios = tagged([load(path) for path in all_scenarios(catalogue)], tags)
    atlas, failed = measure(scenarios, runs=runs, out=out, engine=engine, options=Options(repeat=repeat, jobs=jobs))
    measured = to_json(atlas)
    out.mkdir(parents=True, exist_ok=True)
    texts = {"md": to_markdown(atlas), "html": to_page(atlas), "json": _dumped(measured)}
    for suffix, text in texts.items():
        path = out / f"atlas.{suffix}"
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path}  {len(text.encode()) / 1000:,.0f} kB\n")
    for line in failed:
        sys.stdout.write(f"{line}\n")
    if before is None:
        return 1 if failed else 0
    found = differences(before, measured)
    for line in told(found, before, measured):
        sys.stdout.write(f"{escape(line)}\n")
    return 1 if found or failed else 0


def read(path: Path) -> dict[str, Any]:
    """Return an Atlas as it was written. Raises UsageError."""
    try:
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        differences(value, value)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is no Atlas", hint="an atlas.json that `invoke atlas` wrote") from error
    return value


def told(found: Sequence[ScenarioDifference], before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the comparison in lines."""
    kernels = " and ".join(f"{each['conditions']['kernel']} ({each['conditions']['engine']})" for each in (before, now))
    lines = []
    for difference in found:
        lines += [difference.name, *(f"  {line}" for line in difference.lines)]
    changed = {
        name: (before["sysctls"].get(name, "-"), value)
        for name, value in now["sysctls"].items()
        if before["sysctls"].get(name) != value
    }
    lines += [f"setting {name}: {old} before, {new} now" for name, (old, new) in changed.items()]
    same = len(now["entries"]) - sum(1 for each in found if each.lines[0] != "only in the earlier Atlas")
    lines.append(f"{kernels}: {same} of {len(now['entries'])} the same, {len(found)} differ")
    return lines


def _dumped(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def measure(
    scenarios: Sequence[Scenario], *, runs: Path, out: Path, engine: str, options: Options, failed_too: bool = False
) -> tuple[Atlas, list[str]]:
    """Run each variant as often as asked; return the Atlas, and a line for each run that did not pass.

    ``failed_too``: runs that do not meet their expectations are measured as well. Run directories stay below ``runs``,
    one of each kind. Raises BothendsError where somebody wanted an end.
    """
    choice = choose(engine)
    choice.prepare(_tell)
    options.check()
    work = make_plan(scenarios, options, choice.name)
    root = runs.resolve()
    pool = ProcessPool(work, root, options.jobs or default_jobs(), worker=WORKER)
    failed: list[str] = []
    done = 0

    def ended(report: Report) -> None:
        nonlocal done
        done += 1
        if report.outcome not in (Outcome.PASS.value, Outcome.UNSUPPORTED.value):
            failed.append(f"{report.outcome}: {_name(work, report)}, {report.error or root / RUNS / report.directory}")
        if not done % _TOLD or done == len(work):
            sys.stderr.write(f"{done} of {len(work)} runs\n")

    with stoppable() as stop:
        try:
            reports = conduct(work, Unstored(), pool, stop, ended)
        except BaseException:
            pool.kill()
            raise
        pool.close()
    if len(reports) < len(work):
        raise BothendsError(f"stopped after {len(reports)} of {len(work)} runs; no Atlas was written")
    measured = {Outcome.PASS.value, *([Outcome.FAIL.value] if failed_too else [])}
    return _gather(work, scenarios, list(reports.values()), root, out, measured, options.fixed), failed


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _name(work: Plan, report: Report) -> str:
    variant = label(work.variants[report.task.scenario][report.task.variant])
    return f"{report.task.scenario} [{variant}]" if variant else report.task.scenario


def _gather(
    work: Plan,
    scenarios: Sequence[Scenario],
    reports: Sequence[Report],
    root: Path,
    out: Path,
    outcomes: Collection[str],
    fixed: Mapping[str, str],
) -> Atlas:
    by_variant: dict[tuple[str, int], list[Report]] = defaultdict(list)
    for report in reports:
        by_variant[report.task.scenario, report.task.variant].append(report)
    entries = []
    manifests: list[dict[str, Any]] = []
    for scenario in scenarios:
        for number, settings in enumerate(work.variants[scenario.name]):
            mine = sorted(by_variant[scenario.name, number], key=lambda each: each.task.repeat)
            variant = label({name: value for name, value in settings.items() if name not in fixed})
            entry, manifest = _entry(scenario, variant, mine, root, out, outcomes)
            entries.append(entry)
            manifests += [manifest] if manifest else []
    common = _common(manifest["hosts"][host]["sysctls"] for manifest in manifests for host in HOSTS)
    entries = [replace(each, sysctls=_own(each.sysctls, common)) for each in entries]
    engine = manifests[0]["engine"] if manifests else {}
    conditions = {
        "kernel": str(engine.get("kernel", "unknown")),
        "architecture": str(engine.get("architecture", "unknown")),
        "engine": work.engine,
        "bothends": str(manifests[0]["runner"]["bothends"]) if manifests else "",
        "measured": str(manifests[0]["started"])[:10] if manifests else "",
        "scenarios": str(len(scenarios)),
        "runs": str(len(reports)),
    }
    return Atlas(conditions, common, tuple(entries))


def _entry(
    scenario: Scenario, variant: str, reports: Sequence[Report], root: Path, out: Path, outcomes: Collection[str]
) -> tuple[Entry, dict[str, Any] | None]:
    """Return what the runs of one variant show; only those that ended in one of ``outcomes`` are measured."""
    counts = Counter(report.signature for report in reports)
    kinds: list[Kind] = []
    shown: tuple[Any, ...] = ((), ())
    manifest: dict[str, Any] | None = None
    for signature, count in counts.most_common():
        kept = next((each for each in reports if each.signature == signature and each.directory), None)
        if kept is None or kept.outcome not in outcomes:
            continue
        directory = RunDirectory(root / RUNS / kept.directory)
        analysis = evaluate(directory)
        if not kinds:
            manifest = directory.read_json(MANIFEST)
            shown = (picture_of(analysis), tuple(line.text for line in ladder(analysis, _WIDTH, _HEIGHT)))
        kinds.append(kind_of(analysis, count, exact="program" not in scenario.tags))
    entry = Entry(
        scenario=scenario.name,
        variant=variant,
        summary=scenario.summary,
        about=scenario.about,
        tags=scenario.tags,
        path=os.path.relpath(scenario.path.resolve(), out.resolve()),
        sysctls={host: manifest["hosts"][host]["sysctls"] for host in HOSTS} if manifest else {},
        kinds=tuple(kinds),
        picture=shown[0],
        ladder=shown[1],
        outcomes=Counter(report.outcome for report in reports),
    )
    return entry, manifest


def _common(several: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return for each setting the value that most hosts had."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for each in several:
        for name, value in each.items():
            found[name][value] += 1
    return {name: counts.most_common(1)[0][0] for name, counts in sorted(found.items())}


def _own(sysctls: Mapping[str, Mapping[str, str]], common: Mapping[str, str]) -> dict[str, dict[str, str]]:
    return {
        host: {name: value for name, value in own.items() if common.get(name) != value} for host, own in sysctls.items()
    }
