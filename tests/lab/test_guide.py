"""docs/write-your-own.md does what it says: its files and commands, in its order, as a reader types them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from testbed.lab.choose_engine import NAMESPACE

from .conftest import LIMIT, ROOT, command

GUIDE = ROOT / "docs" / "write-your-own.md"
FENCES = re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
FILE = "question.yaml"


def typed(line: str, folder: Path) -> tuple[int, str]:
    """Carry out one line of the guide in a folder of its own; return the exit code and all that was printed."""
    words = line.partition("#")[0].split()
    assert words[0] == "invoke"
    on = ["--engine", NAMESPACE] if words[1] == "run" and "--engine" not in words else []
    done = subprocess.run(
        [*command("--search-root", str(ROOT)), *words[1:], *on],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.usefixtures("namespaces")
def test_the_guide_from_top_to_bottom(tmp_path: Path) -> None:
    """Each file is taken as it stands, each command gives the lines below it; the wrong one fails."""
    path, commands, failures = tmp_path / FILE, 0, 0
    for language, text in FENCES:
        if language == "yaml":
            first = text.partition("\n")[0]
            assert first.startswith(f"# {FILE}")
            path.write_text((path.read_text() if first.endswith("at its end") else "") + text)
        elif language == "console":
            for block in text.split("$ ")[1:]:
                line, *shown = block.splitlines()
                right = path.read_text()
                if "segments: [headbody]" in line:
                    path.write_text(right.replace("[head, body]", "[headbody]"))
                code, printed = typed(line, tmp_path)
                assert code == ("FAILED" in block), printed
                for each in shown:
                    assert each in printed.splitlines(), printed
                path.write_text(right)
                commands, failures = commands + 1, failures + code
    assert (commands, failures) == (5, 1)


@pytest.mark.usefixtures("namespaces")
def test_the_mistake_in_the_guide_is_told_as_it_shows(tmp_path: Path) -> None:
    """The message with line, column and caret, and exit code 2."""
    (tmp_path / FILE).write_text(FENCES[0][1].replace("recv_exact: 2", "recv_exakt: 2"))
    (message,) = (text for _, text in FENCES if "did you mean" in text)
    for words in ("invoke show", "invoke run"):
        code, printed = typed(f"{words} {FILE}", tmp_path)
        assert code == 2
        assert message in printed
