"""The scenarios by name: the files in a project's ``scenarios/`` folder."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from testbed.model.errors import UsageError

FOLDER = "scenarios"
SUFFIXES = (".yaml", ".yml")


def all_scenarios(root: Path) -> list[Path]:
    """Return the files of the catalogue in the order of their names."""
    files = (path for path in (root / FOLDER).glob("*") if path.suffix in SUFFIXES and path.is_file())
    return sorted(files, key=lambda path: path.stem)


def find(name_or_path: str, root: Path) -> Path:
    """Return the file of a scenario, named as in ``scenarios/`` or by a path that ends in .yaml or .yml.

    Raises UsageError where there is none, with the nearest names.
    """
    if name_or_path.endswith(SUFFIXES):
        path = Path(name_or_path)
        if path.is_file():
            return path
        near = _near(path.name, [file.name for file in path.parent.glob("*") if file.suffix in SUFFIXES])
        raise UsageError(f"there is no scenario file {name_or_path}", hint=near)
    files = {path.stem: path for path in all_scenarios(root)}
    if name_or_path in files:
        return files[name_or_path]
    near = _near(name_or_path, list(files))
    hint = near or "`invoke list` shows the names; a path ends in .yaml or .yml"
    raise UsageError(f"there is no scenario `{name_or_path}`", hint=hint)


def _near(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else ""
