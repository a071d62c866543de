"""What the tasks do that begin in a repository of one's own: ``new`` (a first scenario) and ``init`` (folder, CI)."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from testbed.api.project import USUAL_FOLDER, Project
from testbed.cli.how_called import in_callers_words
from testbed.model.errors import UsageError
from testbed.shipped.files import STARTER

GITHUB, GITLAB, NO_CI = "github", "gitlab", "none"
FIRST = "first"
IGNORED = "/runs/"
_ENDING = ".wire.yaml"


def new(name: str, mine: Project) -> int:
    """Write a first scenario that passes into the folder of scenarios; nothing is overwritten."""
    path = _write_scenario(name, mine)
    sys.stdout.write(in_callers_words(f"{path}: run it with `invoke run {name}`\n"))
    return 0


def init(mine: Project, ci: str) -> int:
    """Add the folder with a first scenario, a CI job and a line in .gitignore; what is there already stays as it is."""
    choices = ("", GITHUB, GITLAB, NO_CI)
    if ci not in choices:
        raise UsageError(f"`{ci}` is no CI service that this writes a job for", hint=f"--ci {'|'.join(choices[1:])}")
    folder = mine.scenarios or Path(USUAL_FOLDER)
    if folder.is_dir() and any(folder.glob("*.y*ml")):
        _say(f"{folder}/: is there already")
    else:
        _say(f"{_write_scenario(FIRST, mine)}: a first scenario; `invoke run {FIRST}` runs it")
    _add_ci(ci or _service(), folder)
    ignore = Path(".gitignore")
    lines = ignore.read_text(encoding="utf-8").splitlines() if ignore.exists() else []
    if not {IGNORED, "runs/", "runs", "/runs"} & set(lines):
        ignore.write_text("".join(f"{line}\n" for line in (*lines, IGNORED)), encoding="utf-8")
        _say(f"{ignore}: {IGNORED} added: what runs leave is not for git")
    return 0


def _write_scenario(name: str, mine: Project) -> Path:
    from testbed.scenario.load import NAME

    name = name.removesuffix(_ENDING).removesuffix(".yaml")
    if not re.fullmatch(NAME, name):
        raise UsageError(f"`{name}` is no name for a scenario", hint="small letters, digits, and . _ - after the first")
    path = (mine.scenarios or Path(USUAL_FOLDER)) / f"{name}{_ENDING}"
    there = mine.path_of(name) if mine.path_of(name) != name else path
    if Path(there).exists():
        raise UsageError(f"{there} is there already", hint="choose another name")
    text = (STARTER / "scenario.yaml").read_text(encoding="utf-8")
    _create(path, in_callers_words(text.replace("NAME", name)))
    return path


def _service() -> str:
    """Return the CI service that this repository seems to be on."""
    config = Path(".git/config")
    remote = config.read_text(encoding="utf-8", errors="replace") if config.is_file() else ""
    return GITLAB if Path(".gitlab-ci.yml").exists() or "gitlab" in remote else GITHUB


def _add_ci(service: str, folder: Path) -> None:
    if service == NO_CI:
        return
    path = Path(".github/workflows/wire.yml") if service == GITHUB else Path(".gitlab-ci.yml")
    beside = Path(".gitlab/wire.yml")
    if service == GITLAB and path.exists() and "wire:" not in path.read_text(encoding="utf-8"):
        path = beside  # theirs is not for us to change
    if path.exists():
        _say(f"{path}: is there already")
        return
    _create(path, (STARTER / f"{service}.yaml").read_text(encoding="utf-8").replace("{folder}", str(folder)))
    _say(f"{path}: runs all scenarios on every push")
    if path == beside:
        _say(f"add to .gitlab-ci.yml:  include: [{{local: {beside}}}]")


def _create(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error


def _say(text: str) -> None:
    sys.stdout.write(in_callers_words(f"{text}\n"))
