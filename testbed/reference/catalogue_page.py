"""The table of all scenarios, grouped as in the Atlas: ``docs/catalogue.md``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from testbed.atlas.groups import GROUPS, group_of
from testbed.scenario.catalogue import FOLDER, all_scenarios
from testbed.scenario.load import load
from testbed.scenario.scenario import Scenario

ROOT = Path(__file__).parents[2]
CATALOGUE_PAGE = ROOT / "docs" / "catalogue.md"

_HEAD = """\
# The catalogue

<!-- Made by `python -m testbed.reference` from scenarios/*.yaml. Do not edit it here. -->

{count} scenarios. Each shows one fact about sockets, TCP or UDP and is a test. `invoke run NAME` runs one scenario,
`invoke run --all` runs the whole catalogue. The `about` text of a file explains what to look for and names the RFC
section and the kernel function behind it. The [Atlas](atlas.md) shows the packets of every scenario as measured;
[scenarios.md](scenarios.md) is the reference of the scenario language.
"""


def catalogue_text() -> str:
    """Return the page as Markdown."""
    scenarios = [load(path) for path in all_scenarios(ROOT)]
    return "\n".join([_HEAD.format(count=len(scenarios)), *_sections(scenarios)])


def _sections(scenarios: list[Scenario]) -> Iterator[str]:
    for group in GROUPS:
        of_group = [each for each in scenarios if group_of(each.tags) == group]
        if not of_group:
            continue
        yield f"## {group.title}\n\n{group.what}\n\n| scenario | what it shows |\n|---|---|"
        for each in of_group:
            yield f"| [{each.name}](../{FOLDER}/{each.name}.yaml) | {each.summary} |"
        yield ""
