"""Every file that docs/architecture.md names exists: a page about code that has moved on misleads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = ("docs/architecture.md", "docs/protocols.md", "CONTRIBUTING.md", "compose/README.md")
FOLDERS = ("testbed", "dev", "compose", "tests", "docs", "scenarios")
OF_A_RUN = {"manifest.json", "result.json", "scenario.yaml"}
"""Files that a run leaves."""
FILES = [path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in (ROOT / folder).rglob("*")]


def named_files(text: str) -> list[str]:
    """Return the names of source files and folders between backticks: ``cli/run_command.py``, ``lab/docker/``."""
    quoted = re.findall(r"`([^`\s]+)`", text)
    return [
        name
        for name in quoted
        if re.fullmatch(r"[\w./-]+(\.(py|c|h|js|css|j2|json|yaml|sh|md)|/)", name)
        and name not in OF_A_RUN
        and "FOLDER" not in name
    ]


def exists(name: str) -> bool:
    path = name.rstrip("/")
    return (ROOT / path).exists() or any(file.endswith(f"/{path}") for file in FILES)


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_names_exists(page: str) -> None:
    assert [name for name in named_files((ROOT / page).read_text(encoding="utf-8")) if not exists(name)] == []


def test_names_are_found_and_a_missing_file_is_noticed() -> None:
    assert len(named_files((ROOT / PAGES[0]).read_text(encoding="utf-8"))) > 50
    assert named_files("`lab/no_such_file.py` and `runs/`") == ["lab/no_such_file.py", "runs/"]
    assert not exists("lab/no_such_file.py")
    assert exists("lab/engine.py")
