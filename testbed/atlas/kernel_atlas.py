"""``invoke atlas --kernels``: the catalogue on several kernels, and only what differs between them, as Markdown.

Each kernel is held against the one before it. A run that does not meet its scenario's expectations counts as well: the
expectations are those of one kernel, and that another one does something else is what is looked for.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from testbed.atlas.atlas import ScenarioDifference, differences, to_json
from testbed.atlas.kernel_changes import CHANGES, KernelChange
from testbed.atlas.make_atlas import measure
from testbed.campaign.campaign_options import Options
from testbed.model.errors import UsageError
from testbed.report.text.terminal_text import escape
from testbed.scenario.catalogue import all_scenarios, tagged
from testbed.scenario.load import load

PAGE = "kernels.md"


@dataclass(frozen=True, slots=True)
class KernelStep:
    """Two kernels, the older one first: scenarios that go otherwise, settings with other defaults.

    ``runs``, by the name of such a scenario: on each of the two, how many runs went as is shown, and of how many.
    """

    before: str
    now: str
    scenarios: tuple[ScenarioDifference, ...]
    settings: Mapping[str, tuple[str, str]]
    measured: int
    runs: Mapping[str, tuple[tuple[int, int], tuple[int, int]]] = field(default_factory=dict)


def main(
    *,
    catalogue: Path,
    tags: Sequence[str],
    runs: Path,
    out: Path,
    kernels: str,
    engine: str,
    jobs: int,
    repeat: int,
) -> int:
    """Measure the catalogue on each kernel of a list (``6.1,6.12``) and write ``kernels.md``; 0.

    Raises UsageError for fewer than two kernels, Unsupported for one that was not built.
    """
    versions = [word.strip() for word in kernels.split(",") if word.strip()]
    if len(set(versions)) < 2:
        raise UsageError("--kernels compares at least two kernels", hint="--kernels 6.1,6.12")
    scenarios = tagged([load(path) for path in all_scenarios(catalogue)], tags)
    found = []
    for version in versions:
        options = Options(repeat=repeat, jobs=jobs, fixed={"kernel": version})
        atlas, _ = measure(scenarios, runs=runs, out=out, engine=engine, options=options, failed_too=True)
        found.append(to_json(atlas))
    out.mkdir(parents=True, exist_ok=True)
    path = out / PAGE
    path.write_text(render(steps(found), found), encoding="utf-8")
    sys.stdout.write(f"{path}  {path.stat().st_size / 1000:,.0f} kB\n")
    return 0


def steps(found: Sequence[Mapping[str, Any]]) -> list[KernelStep]:
    """Compare each Atlas (as JSON) with the one before it. Pure."""
    return [_step(before, now) for before, now in pairwise(found)]


def _step(before: Mapping[str, Any], now: Mapping[str, Any]) -> KernelStep:
    scenarios = tuple(differences(before, now))
    then_counted, now_counted = _counted(before), _counted(now)
    return KernelStep(
        before=str(before["conditions"]["kernel"]),
        now=str(now["conditions"]["kernel"]),
        scenarios=scenarios,
        settings={
            name: (before["sysctls"].get(name, "none"), now["sysctls"].get(name, "none"))
            for name in sorted(before["sysctls"].keys() | now["sysctls"].keys())
            if before["sysctls"].get(name) != now["sysctls"].get(name)
        },
        measured=len(now["entries"]),
        runs={
            each.name: (then_counted.get(each.name, (0, 0)), now_counted.get(each.name, (0, 0))) for each in scenarios
        },
    )


def _counted(atlas: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Count, for each scenario, the runs that went the way that comes first, and all that could be measured."""
    return {
        f"{entry['scenario']} [{entry['variant']}]" if entry["variant"] else entry["scenario"]: (
            int(entry["kinds"][0]["runs"]) if entry["kinds"] else 0,
            sum(int(kind["runs"]) for kind in entry["kinds"]),
        )
        for entry in atlas["entries"]
    }


def render(found: Sequence[KernelStep], atlases: Sequence[Mapping[str, Any]]) -> str:
    """Return the page. Pure."""
    return "\n".join(_lines(found, atlases)) + "\n"


def _lines(found: Sequence[KernelStep], atlases: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    releases = [_cell(str(each["conditions"]["kernel"])) for each in atlases]
    runs = sum(int(each["conditions"]["runs"]) for each in atlases)
    yield "# Atlas of kernels: what each socket call puts on the wire, and where kernels differ"
    yield ""
    yield (
        f"<!-- Made by `invoke atlas --kernels {','.join(releases)} --out docs` from {runs} runs. "
        "Do not edit it here. -->"
    )
    yield ""
    yield (
        f"Measured on Linux {', '.join(releases)} (engine uml, virtual time): {runs} runs. Only what differs is here; "
        "everything else of [the Atlas](atlas.md) is the same on these kernels. What a scenario may do in several "
        "ways on each of them may differ by chance: how many runs went so is below each difference."
    )
    for step in found:
        same = step.measured - len(step.scenarios)
        yield ""
        yield f"## From {_cell(step.before)} to {_cell(step.now)}"
        yield ""
        yield f"{same} of {step.measured} scenarios do the same, {len(step.scenarios)} do not."
        for difference in step.scenarios:
            yield ""
            yield f"### {_cell(difference.name)}"
            yield ""
            for change in _known(difference.name):
                yield f"{change.what} ({change.since}, [`{change.commit[:12]}`]({change.address}))."
                yield ""
            yield "```diff"
            yield from (_as_diff(line) for line in difference.lines)
            yield "```"
            yield ""
            yield _runs(step, difference.name)
        if step.settings:
            yield ""
            yield "| setting | before | now |\n|---|---|---|"
            for name, (old, new) in step.settings.items():
                yield f"| `{_cell(name)}` | {_cell(old) or 'empty'} | {_cell(new) or 'empty'} |"


def _runs(step: KernelStep, name: str) -> str:
    told = [
        f"on {_cell(kernel)} in {so} of {of} runs"
        for kernel, (so, of) in zip((step.before, step.now), step.runs.get(name, ()), strict=False)
    ]
    again = f"{step.before},{step.now}"
    return f"{'; '.join(told)}. Again: `invoke run {_cell(name.partition(' ')[0])} --set kernel={_cell(again)}`".strip()


def _known(scenario: str) -> Iterator[KernelChange]:
    name = scenario.partition(" ")[0]
    return (change for change in CHANGES if name in change.scenarios)


def _as_diff(line: str) -> str:
    """Turn ``client: - text`` into a line of a diff: ``- client: text``."""
    where, _, rest = line.partition(": ")
    told = f"{rest[0]} {where}: {rest[2:]}" if rest[:2] in ("- ", "+ ") else f"  {line}"
    return escape(told)


def _cell(text: str) -> str:
    return escape(text).replace("|", "\\|")
