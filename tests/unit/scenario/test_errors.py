"""Golden errors: each bad file beside it the exact message that it must give."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.model.errors import ScenarioError
from testbed.scenario.load import parse

FOLDER = Path(__file__).with_name("errors")
FILES = sorted(FOLDER.glob("*.yaml"))


def message(path: Path) -> str:
    with pytest.raises(ScenarioError) as caught:
        parse(path.read_bytes(), name="bad", path=path, shown=path.name)
    return str(caught.value) + "\n"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_bad_file_gives_exactly_its_message(path: Path) -> None:
    assert message(path) == path.with_suffix(".txt").read_text(encoding="utf-8")


def test_each_message_has_its_file_and_each_file_its_message() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} == {path.stem for path in FILES}
