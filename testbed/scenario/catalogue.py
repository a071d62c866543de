"""The scenarios by name: the files in a project's ``scenarios/`` folder."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.model.errors import UsageError

if TYPE_CHECKING:
    from testbed.scenario.scenario import Scenario

FOLDER = "scenarios"
SUFFIXES = (".yaml", ".yml")
TEST = ".wire"
"""``echo.wire.yaml`` is the scenario ``echo``, which pytest collects (testbed/plugin)."""


def name_of(path: Path) -> str:
    """Return the name of the scenario in a file."""
    return path.stem.removesuffix(TEST)


def all_scenarios(root: Path) -> list[Path]:
    """Return the files of a catalogue by name; ``root`` holds ``scenarios/``, or is such a folder itself."""
    folder = root / FOLDER if (root / FOLDER).is_dir() else root
    files = (path for path in folder.glob("*") if path.suffix in SUFFIXES and path.is_file())
    return sorted(files, key=name_of)


def find(name_or_path: str, root: Path, known: Sequence[str] = ()) -> Path:
    """Return the file of a scenario, named as in ``scenarios/`` or by a path that ends in .yaml or .yml.

    Raises UsageError where there is none, with the nearest names: of those here, or of ``known``.
    """
    if name_or_path.endswith(SUFFIXES):
        path = Path(name_or_path)
        if path.is_file():
            return path
        near = _near(path.name, [file.name for file in path.parent.glob("*") if file.suffix in SUFFIXES])
        raise UsageError(f"there is no scenario file {name_or_path}", hint=near)
    files = {name_of(path): path for path in all_scenarios(root)}
    if name_or_path in files:
        return files[name_or_path]
    near = _near(name_or_path, list(known or files))
    hint = near or "`invoke list` shows the names; a path ends in .yaml or .yml"
    raise UsageError(f"there is no scenario `{name_or_path}`", hint=hint)


def tagged(scenarios: Sequence[Scenario], tags: Sequence[str]) -> list[Scenario]:
    """Return the scenarios that have one of these tags, all where none is asked for.

    Raises UsageError for a tag that none has.
    """
    known = {tag for scenario in scenarios for tag in scenario.tags}
    for tag in tags:
        if tag not in known:
            raise UsageError(
                f"no scenario has the tag `{tag}`",
                hint=_near(tag, sorted(known)) or f"the tags are {', '.join(sorted(known))}",
            )
    return [scenario for scenario in scenarios if not tags or set(tags) & set(scenario.tags)]


def _near(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else ""
