"""The user's own project: where its scenarios are, where runs go, and on which engine they are made.

``[tool.bothends]`` in the nearest ``pyproject.toml`` at or above the working directory says so; ``ns.configure`` of a
Collection of tasks and the command line's options come before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.shipped.files import ROOT

FILE = "pyproject.toml"
TABLE = "tool.bothends"
KEYS = ("scenarios", "runs", "engine")
USUAL_FOLDER = "wire"
"""Where a project's scenarios are if nothing says otherwise."""
SUFFIXES = (".yaml", ".yml", ".wire.yaml")


@dataclass(frozen=True, slots=True)
class Project:
    """Settings; ``scenarios`` is a folder that exists, None where the project has none of its own."""

    scenarios: Path | None = None
    runs: Path = Path()
    engine: str = ""

    def path_of(self, name: str) -> str:
        """Return the path of a scenario of the project's own, by its name or its path there; else ``name`` as it is."""
        if self.scenarios is None or Path(name).is_file():
            return name
        candidates = (self.scenarios / name, *(self.scenarios / f"{name}{suffix}" for suffix in SUFFIXES))
        return next((str(path) for path in candidates if path.suffix and path.is_file()), name)

    def scenario(self, name: str) -> str:
        """Return :meth:`path_of` a scenario. Raises UsageError, with the nearest names, where there is none.

        Those of the project and of the catalogue are looked at.
        """
        path = self.path_of(name)
        if path == name and self.scenarios is not None and not name.endswith(SUFFIXES):
            from testbed.scenario.catalogue import all_scenarios, find, name_of

            known = [name_of(path) for root in (self.scenarios, ROOT) for path in all_scenarios(root)]
            return str(find(name, ROOT, known))
        return path

    def runs_in(self, option: str) -> Path:
        """Return the directory in which ``runs/`` is made; ``option`` is the command line's, empty where not given."""
        return Path(option) if option else self.runs


def read_project(given: Mapping[str, Any] | None = None, start: Path | None = None) -> Project:
    """Return the settings that hold at ``start`` (default: the working directory); ``given`` comes first.

    Paths in pyproject.toml are relative to it, those in ``given`` to the working directory. Raises UsageError for a
    key that does not exist, a value that is no text, and a folder that is not there.
    """
    here = (start or Path.cwd()).absolute()
    root, table = _table(here)
    settings = {**{key: (root, value) for key, value in table.items()}}
    settings |= {key: (Path(), value) for key, value in (given or {}).items()}
    for key, (_, value) in settings.items():
        _check(key, value)
    scenarios = _joined(settings.get("scenarios"))
    if scenarios is None and (root / USUAL_FOLDER).is_dir() and any((root / USUAL_FOLDER).glob("*.y*ml")):
        scenarios = _short(root / USUAL_FOLDER)
    elif scenarios is not None and not scenarios.is_dir():
        raise _wrong(f"there is no folder {scenarios}", f"`scenarios` of [{TABLE}] in {FILE} names it")
    return Project(scenarios, _joined(settings.get("runs")) or Path(), settings.get("engine", (root, ""))[1])


def _joined(setting: tuple[Path, str] | None) -> Path | None:
    return _short(setting[0] / setting[1]) if setting is not None else None


def _short(path: Path) -> Path:
    """Return the path from the working directory, where it is below that."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_absolute() and path.is_relative_to(here) else path


def _table(here: Path) -> tuple[Path, Mapping[str, Any]]:
    """Return the directory of the nearest pyproject.toml and its table of ours; ``here`` and nothing without one."""
    for directory in (here, *here.parents):
        try:
            text = (directory / FILE).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        if f"[{TABLE}]" not in text:
            return directory, {}
        import tomllib  # few projects have the table

        try:
            table = tomllib.loads(text).get("tool", {}).get("bothends", {})
        except tomllib.TOMLDecodeError as error:
            raise _wrong(f"{directory / FILE} cannot be read: {error}", "it must be TOML") from error
        return directory, table
    return here, {}


def _check(key: str, value: object) -> None:
    if key not in KEYS:
        raise _wrong(f"[{TABLE}] has no setting `{key}`", f"it has {', '.join(KEYS)}")
    if not isinstance(value, str):
        raise _wrong(f"`{key}` of [{TABLE}] is a text, not {value!r}", f'{key} = "..."')


def _wrong(what: str, hint: str) -> Exception:
    from testbed.model.errors import UsageError

    return UsageError(what, hint=hint)
